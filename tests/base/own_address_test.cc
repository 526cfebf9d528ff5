#include "base/own_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>
#include <string>

#include "base/unique_fd.h"

namespace idlewatt {
namespace {

std::string Bytes(int family, const char* text) {
  std::string bytes(family == AF_INET ? 4 : 16, '\0');
  EXPECT_EQ(::inet_pton(family, text, bytes.data()), 1) << text;
  return bytes;
}

TEST(OwnAddressTest, IsOursInIpv4AndInIpv4WithinIpv6) {
  EXPECT_TRUE(IsOwnAddress(Bytes(AF_INET, "127.73.87.84"), 5));
  EXPECT_TRUE(IsOwnAddress(Bytes(AF_INET6, "::ffff:127.73.87.84"), 5));
}

TEST(OwnAddressTest, AnyOtherAddressIsNot) {
  for (const char* text : {"127.0.0.1", "127.73.87.85", "84.87.73.127", "0.0.0.0"}) {
    EXPECT_FALSE(IsOwnAddress(Bytes(AF_INET, text), kOwnIpv6FirstPort)) << text;
  }
  for (const char* text : {"::", "::ffff:127.0.0.1", "::127.73.87.84", "fe80::1"}) {
    EXPECT_FALSE(IsOwnAddress(Bytes(AF_INET6, text), kOwnIpv6FirstPort)) << text;
  }
  for (const char* text : {"", "127", "127.73.87.84"}) {
    EXPECT_FALSE(IsOwnAddress(text, kOwnIpv6FirstPort)) << text;
  }
}

TEST(OwnAddressTest, OnIpv6LoopbackThePortTells) {
  const std::string loopback = Bytes(AF_INET6, "::1");
  EXPECT_FALSE(IsOwnAddress(loopback, kOwnIpv6FirstPort - 1));
  EXPECT_TRUE(IsOwnAddress(loopback, kOwnIpv6FirstPort));
  EXPECT_TRUE(IsOwnAddress(loopback, kOwnIpv6FirstPort + kOwnIpv6Ports - 1));
  EXPECT_FALSE(IsOwnAddress(loopback, kOwnIpv6FirstPort + kOwnIpv6Ports));
}

TEST(OwnAddressTest, ABoundSocketIsOurs) {
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(BindOwnAddress(client.get()).ok());
  sockaddr_in name{};
  socklen_t size = sizeof name;
  ASSERT_EQ(::getsockname(client.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  EXPECT_EQ(ntohl(name.sin_addr.s_addr), kOwnIpv4Address);
}

TEST(OwnAddressTest, SocketsOfIpv6AreBoundToDifferentPortsOfOurs) {
  std::set<uint16_t> ports;
  for (int i = 0; i < 3; ++i) {
    const UniqueFd client(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    const UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) != 0) {
      GTEST_SKIP() << "no IPv6 here";
    }
    ASSERT_TRUE(BindOwnAddress(client.get()).ok());
    sockaddr_in6 name{};
    socklen_t size = sizeof name;
    ASSERT_EQ(::getsockname(client.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    EXPECT_TRUE(
        IsOwnAddress({reinterpret_cast<const char*>(&name.sin6_addr), 16}, ntohs(name.sin6_port)));
    ports.insert(ntohs(name.sin6_port));
  }
  EXPECT_EQ(ports.size(), 3U);
}

TEST(OwnAddressTest, WhatIsNoSocketIsAnError) { EXPECT_FALSE(BindOwnAddress(-1).ok()); }

}  // namespace
}  // namespace idlewatt
