#include "collector/sock_diag_message.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace idlewatt {
namespace {

template <typename T>
std::string BytesOf(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string Message(uint16_t type, const std::string& payload) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + payload.size());
  header.nlmsg_type = type;
  std::string out = BytesOf(header) + payload;
  out.resize(NLMSG_ALIGN(out.size()));
  return out;
}

std::string Attribute(uint16_t type, const std::string& value) {
  rtattr header{};
  header.rta_len = static_cast<uint16_t>(sizeof header + value.size());
  header.rta_type = type;
  std::string out = BytesOf(header) + value;
  out.resize(RTA_ALIGN(out.size()));
  return out;
}

std::string Info() {
  tcp_info info{};
  info.tcpi_bytes_received = 10;
  info.tcpi_bytes_acked = 20;
  info.tcpi_last_data_recv = 1500;
  info.tcpi_last_data_sent = 2500;
  return BytesOf(info);
}

std::string Socket(int family, const std::string& attributes) {
  inet_diag_msg socket{};
  socket.idiag_family = static_cast<uint8_t>(family);
  socket.idiag_state = 7;
  socket.id.idiag_sport = htons(80);
  socket.id.idiag_dport = htons(5000);
  socket.id.idiag_cookie[0] = 3;
  socket.id.idiag_cookie[1] = 1;
  const char* near = family == AF_INET ? "10.0.0.1" : "::ffff:10.0.0.1";
  const char* far = family == AF_INET ? "10.0.0.2" : "2001:db8::2";
  ::inet_pton(family, near, socket.id.idiag_src);
  ::inet_pton(family, far, socket.id.idiag_dst);
  return Message(TCPDIAG_GETSOCK, BytesOf(socket) + attributes);
}

std::vector<SocketMessage> All(std::string_view datagram, SockDiagEnd* end = nullptr) {
  std::vector<SocketMessage> out;
  const SockDiagEnd found =
      ForEachSocket(datagram, [&](const SocketMessage& socket) { out.push_back(socket); });
  if (end != nullptr) *end = found;
  return out;
}

TEST(SockDiagMessageTest, ASocketIsGivenWithItsUse) {
  const std::string datagram =
      Socket(AF_INET, Attribute(INET_DIAG_PROTOCOL, "\6") + Attribute(INET_DIAG_INFO, Info()));
  const auto sockets = All(datagram);
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0].state, 7);
  EXPECT_EQ(sockets[0].cookie, (uint64_t{1} << 32) + 3);
  EXPECT_EQ(sockets[0].near_port, 80);
  EXPECT_EQ(sockets[0].far_port, 5000);
  EXPECT_EQ(sockets[0].near_address, std::string_view("\x0a\0\0\1", 4));
  EXPECT_EQ(sockets[0].far_address, std::string_view("\x0a\0\0\2", 4));
  ASSERT_TRUE(sockets[0].use);
  EXPECT_EQ(sockets[0].use->bytes_received, 10U);
  EXPECT_EQ(sockets[0].use->bytes_acked, 20U);
  EXPECT_EQ(sockets[0].use->since_received, std::chrono::milliseconds(1500));
  EXPECT_EQ(sockets[0].use->since_sent, std::chrono::milliseconds(2500));
}

TEST(SockDiagMessageTest, Ipv4WithinIpv6IsIpv4) {
  const std::string datagram = Socket(AF_INET6, "");
  const auto sockets = All(datagram);
  ASSERT_EQ(sockets.size(), 1U);
  EXPECT_EQ(sockets[0].near_address, std::string_view("\x0a\0\0\1", 4));
  EXPECT_EQ(sockets[0].far_address.size(), 16U);
  EXPECT_FALSE(sockets[0].use);
}

TEST(SockDiagMessageTest, TheInfoOfAnOlderKernelIsShorter) {
  const std::string datagram =
      Socket(AF_INET, Attribute(INET_DIAG_INFO, Info().substr(0, offsetof(tcp_info, tcpi_pmtu))));
  const auto sockets = All(datagram);
  ASSERT_TRUE(sockets.at(0).use);
  EXPECT_EQ(sockets[0].use->since_received, std::chrono::milliseconds(1500));
  EXPECT_EQ(sockets[0].use->bytes_received, 0U);
}

TEST(SockDiagMessageTest, ListsEndWithDoneOrAnError) {
  SockDiagEnd end;
  EXPECT_EQ(All(Socket(AF_INET, "") + Socket(AF_INET, ""), &end).size(), 2U);
  EXPECT_FALSE(end.done);
  EXPECT_FALSE(end.error);
  All(Socket(AF_INET, "") + Message(NLMSG_DONE, std::string(4, '\0')), &end);
  EXPECT_TRUE(end.done);
  nlmsgerr error{};
  error.error = -EPERM;
  All(Message(NLMSG_ERROR, BytesOf(error)), &end);
  EXPECT_EQ(end.error, EPERM);
  for (const int absurd : {0, 1, -4096, INT32_MIN}) {
    error.error = absurd;
    All(Message(NLMSG_ERROR, BytesOf(error)), &end);
    EXPECT_EQ(end.error, EPROTO) << absurd;
  }
}

TEST(SockDiagMessageTest, WhatIsOfAnotherFamilyIsLeftOut) {
  EXPECT_EQ(All(Socket(AF_UNIX, "") + Socket(AF_INET, "")).size(), 1U);
}

TEST(SockDiagMessageTest, WhatIsCutOffIsLeftOut) {
  const std::string datagram = Socket(AF_INET, Attribute(INET_DIAG_INFO, Info()));
  for (size_t length = 0; length < datagram.size(); ++length) {
    // On the heap, so that a read past the end is noticed.
    const std::vector<char> cut(datagram.begin(),
                                datagram.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_TRUE(All({cut.data(), cut.size()}).empty()) << length;
  }
}

TEST(SockDiagMessageTest, DamageIsNoCrash) {
  const std::string datagram = Socket(AF_INET, Attribute(INET_DIAG_INFO, Info())) +
                               Socket(AF_INET6, Attribute(INET_DIAG_INFO, Info()));
  std::minstd_rand random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<char> damaged(datagram.begin(), datagram.end());
    for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    damaged.resize(random() % (damaged.size() + 1));
    EXPECT_LE(All({damaged.data(), damaged.size()}).size(), datagram.size() / NLMSG_HDRLEN);
  }
}

}  // namespace
}  // namespace idlewatt
