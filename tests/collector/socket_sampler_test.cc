#include "collector/socket_sampler.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <set>

#include "base/unique_fd.h"
#include "tests/collector/readings_support.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

WatchedService Watch(const std::string& name, uint16_t port) {
  WatchedService watch;
  watch.name = name;
  watch.port = port;
  return watch;
}

class SocketSamplerTest : public ::testing::Test {
 protected:
  void Start(std::vector<WatchedService> watched) {
    sampler.emplace(
        std::move(watched), &directory,
        [this](const std::vector<uint16_t>& ports) -> Result<std::vector<TcpConnection>> {
          asked = ports;
          if (error) return *error;
          return listed;
        });
    driver.emplace(*sampler);
  }
  static TcpConnection Open(const std::string& key, uint64_t in, uint64_t out, uint16_t port = 80) {
    return {key, port, true, false, in, out};
  }
  static TcpConnection Ended(const std::string& key, uint16_t port = 80) {
    return {key, port, false, true, 0, 0};
  }
  void Read(std::vector<TcpConnection> connections) {
    listed = std::move(connections);
    driver->Read();
  }
  double Connections(const std::string& service = "web") const {
    return driver->values.at("idlewatt_service_connections{service=\"" + service + "\"}");
  }
  double Seen(const std::string& service = "web") const {
    return driver->values.at("idlewatt_service_connections_seen_total{service=\"" + service +
                             "\"}");
  }
  double Bytes(const std::string& direction) const {
    return driver->values.at("idlewatt_service_network_bytes_total{service=\"web\",direction=\"" +
                             direction + "\"}");
  }

  FakeDirectory directory;
  std::vector<TcpConnection> listed;
  std::vector<uint16_t> asked;
  std::optional<Error> error;
  std::optional<SocketSampler> sampler;
  std::optional<SamplerDriver> driver;
};

// A failure would back off for minutes, and a service with a port may start any time.
TEST_F(SocketSamplerTest, WithoutPortsThereIsARefusedSourceAndNoFailure) {
  Start({});
  Read({});
  EXPECT_TRUE(driver->result.ok());
  EXPECT_EQ(driver->sources.at("sockets"), "!no_data");
}

TEST_F(SocketSamplerTest, WhatWasThereBeforeIsNotCounted) {
  Start({Watch("web", 80)});
  Read({Open("a", 1000, 2000), Ended("b")});
  EXPECT_EQ(Connections(), 1);
  EXPECT_EQ(Seen(), 0);
  EXPECT_EQ(Bytes("in"), 0);
  EXPECT_EQ(Bytes("out"), 0);
}

TEST_F(SocketSamplerTest, BytesGrowWithTheConnection) {
  Start({Watch("web", 80)});
  Read({Open("a", 1000, 2000)});
  Read({Open("a", 1010, 2500)});
  EXPECT_EQ(Bytes("in"), 10);
  EXPECT_EQ(Bytes("out"), 500);
  EXPECT_EQ(Seen(), 0);
}

TEST_F(SocketSamplerTest, ANewConnectionIsSeenWithAllItsBytes) {
  Start({Watch("web", 80)});
  Read({});
  Read({Open("a", 10, 20)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 10);
  Read({Open("a", 10, 20)});
  EXPECT_EQ(Seen(), 1);
}

TEST_F(SocketSamplerTest, AShortConnectionIsSeenByWhatItLeavesBehind) {
  Start({Watch("web", 80)});
  Read({});
  Read({Ended("a")});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Connections(), 0);
  Read({Ended("a")});
  EXPECT_EQ(Seen(), 1);
  Read({});
  Read({Ended("a")});
  EXPECT_EQ(Seen(), 2);
}

TEST_F(SocketSamplerTest, ALongConnectionThatEndsIsSeenOnce) {
  Start({Watch("web", 80)});
  Read({});
  Read({Open("a", 10, 20)});
  Read({Ended("a")});
  Read({});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 10);
}

TEST_F(SocketSamplerTest, AddressesUsedAgainAreAnotherConnection) {
  Start({Watch("web", 80)});
  Read({Open("a", 1000, 2000)});
  Read({Open("a", 5, 6)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 5);
  EXPECT_EQ(Bytes("out"), 6);
}

TEST_F(SocketSamplerTest, TotalsDoNotFallWhenConnectionsEnd) {
  Start({Watch("web", 80)});
  Read({});
  Read({Open("a", 10, 20), Open("b", 1, 2)});
  Read({});
  EXPECT_EQ(Connections(), 0);
  EXPECT_EQ(Seen(), 2);
  EXPECT_EQ(Bytes("in"), 11);
}

TEST_F(SocketSamplerTest, TheFirstReadingOfAServiceThatCameLaterIsItsBaseline) {
  Start({Watch("web", 80)});
  directory.roots = {};
  Read({});
  directory.roots = {{"db", 5, 5432}};
  Read({Open("x", 100, 100, 5432)});
  EXPECT_EQ(Seen("db"), 0);
  EXPECT_EQ(Connections("db"), 1);
  EXPECT_THAT(asked, ::testing::ElementsAre(80, 5432));
}

TEST_F(SocketSamplerTest, TwoPortsOfOneServiceAreOneSeries) {
  directory.roots = {{"web", 5, 443}};
  Start({Watch("web", 80)});
  Read({Open("a", 1, 1), Open("b", 1, 1, 443)});
  EXPECT_EQ(Connections(), 2);
}

TEST_F(SocketSamplerTest, ASupervisedServiceOwnsItsPort) {
  directory.roots = {{"mine", 5, 80}};
  Start({Watch("web", 80)});
  Read({Open("a", 1, 1)});
  EXPECT_EQ(Connections("mine"), 1);
  EXPECT_EQ(driver->values.count("idlewatt_service_connections{service=\"web\"}"), 0U);
}

TEST_F(SocketSamplerTest, AnErrorOfTheKernelIsHandedOn) {
  Start({Watch("web", 80)});
  error = Error{ErrorCode::kTransient, "NETLINK_SOCK_DIAG", 0, ""};
  Read({});
  EXPECT_EQ(driver->result.error().code, ErrorCode::kTransient);
}

// One TCP connection on the loopback of this machine, for the lister that asks the kernel.
class SockDiagTest : public ::testing::Test {
 protected:
  // A server on a port of the kernel's choice. `v6`: one that takes IPv4 too.
  void Listen(bool v6) {
    server = UniqueFd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address6{};
    address6.sin6_family = AF_INET6;
    sockaddr_in address4{};
    address4.sin_family = AF_INET;
    const int bound =
        v6 ? ::bind(server.get(), reinterpret_cast<sockaddr*>(&address6), sizeof address6)
           : ::bind(server.get(), reinterpret_cast<sockaddr*>(&address4), sizeof address4);
    ASSERT_EQ(bound, 0);
    ASSERT_EQ(::listen(server.get(), 5), 0);
    sockaddr_in6 name{};
    socklen_t size = sizeof name;
    ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&name), &size);
    port = ntohs(name.sin6_port);  // in the same place for both families
    for (TcpConnection& connection : All()) before.insert(std::move(connection.key));
  }
  void Connect() {
    client = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    accepted = UniqueFd(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(accepted);
  }
  std::vector<TcpConnection> All() {
    auto connections = lister({port});
    if (!connections) {
      ADD_FAILURE() << connections.error().ToString();
      return {};
    }
    return *std::move(connections);
  }
  // Without what an earlier user of the port left behind.
  std::vector<TcpConnection> List() {
    std::vector<TcpConnection> connections = All();
    std::erase_if(connections, [this](const TcpConnection& c) { return before.contains(c.key); });
    return connections;
  }

  UniqueFd server;
  UniqueFd client;
  UniqueFd accepted;
  uint16_t port = 0;
  std::set<std::string> before;
  SocketSampler::Lister lister = MakeSockDiagLister();
};

TEST_F(SockDiagTest, AListeningPortHasNoConnection) {
  Listen(false);
  EXPECT_TRUE(List().empty());
}

TEST_F(SockDiagTest, AnEstablishedConnectionIsListedOnceWithItsBytes) {
  for (const bool v6 : {false, true}) {
    Listen(v6);
    Connect();
    ASSERT_EQ(::send(client.get(), "hello", 5, 0), 5);
    std::array<char, 8> buffer{};
    ASSERT_EQ(::recv(accepted.get(), buffer.data(), buffer.size(), 0), 5);
    const auto connections = List();
    ASSERT_EQ(connections.size(), 1U) << v6;
    EXPECT_EQ(connections[0].port, port);
    EXPECT_TRUE(connections[0].established);
    EXPECT_FALSE(connections[0].ended);
    EXPECT_EQ(connections[0].bytes_in, 5U);
  }
}

TEST_F(SockDiagTest, ALocalConnectionThatEndedKeepsItsKey) {
  // The client closes first, so TIME_WAIT is on its side; with a server of IPv6 too.
  for (const bool v6 : {false, true}) {
    Listen(v6);
    Connect();
    const std::string key = List().at(0).key;
    client.reset();
    std::array<char, 8> buffer{};
    ASSERT_EQ(::recv(accepted.get(), buffer.data(), buffer.size(), 0), 0);  // its FIN has come
    accepted.reset();
    const auto connections = List();
    ASSERT_EQ(connections.size(), 1U) << v6;
    EXPECT_TRUE(connections[0].ended);
    EXPECT_EQ(connections[0].key, key) << v6;
  }
}

TEST_F(SockDiagTest, ASocketWithoutBytesIsNoNewConnection) {
  Listen(false);
  Connect();
  SocketSampler sampler({Watch("web", port)}, nullptr, MakeSockDiagLister());
  SamplerDriver driver(sampler);
  ASSERT_EQ(::send(client.get(), "hello", 5, 0), 5);
  std::array<char, 8> buffer{};
  ASSERT_EQ(::recv(accepted.get(), buffer.data(), buffer.size(), 0), 5);
  driver.Read();
  // The server closes first and the client does not. Once its FIN is acknowledged, which the
  // client does within 40 ms, all that is left of it is FIN_WAIT2 without tcp_info.
  accepted.reset();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const auto is_left = [this] {
    const auto connections = List();
    return !connections.empty() && connections[0].ended;
  };
  while (!is_left()) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  driver.Read();
  client.reset();
  driver.Read();
  EXPECT_EQ(driver.values.at("idlewatt_service_connections_seen_total{service=\"web\"}"), 0);
}

// What the kernel answered, byte by byte.
class SockDiagAnswerTest : public ::testing::Test {
 protected:
  // A message with its header, not padded.
  void Add(uint16_t type, std::string_view body, uint32_t claimed = 0) {
    const auto length = static_cast<uint32_t>(16 + body.size());
    const std::array<uint32_t, 4> header{claimed == 0 ? length : claimed, type, 0, 0};
    answer.append(reinterpret_cast<const char*>(header.data()), 16);
    answer += body;
  }
  Result<bool> Take() {
    const std::vector<char> exact(answer.begin(), answer.end());
    return TakeSockDiagMessages({exact.data(), exact.size()}, {80}, connections);
  }
  std::string answer;
  std::vector<TcpConnection> connections;
};

TEST_F(SockDiagAnswerTest, AnAnswerCutAnywhereIsReadNoFurther) {
  Add(20, std::string(72, '\0'));
  answer.pop_back();
  EXPECT_FALSE(Take().value());  // not the last
  answer = "abc";
  EXPECT_FALSE(Take().value());
  EXPECT_TRUE(connections.empty());
}

TEST_F(SockDiagAnswerTest, AMessageWithoutItsPaddingIsTheLast) {
  Add(20, "x");  // 17 bytes: aligned, it would end behind the answer
  EXPECT_FALSE(Take().value());
}

TEST_F(SockDiagAnswerTest, AnErrorIsAnErrorWhateverItHolds) {
  Add(2, std::string(1, '\0'));
  EXPECT_EQ(Take().error().sys_errno, EPROTO);
  const int32_t refused = -EPERM;
  answer.clear();
  Add(2, {reinterpret_cast<const char*>(&refused), 4});
  EXPECT_EQ(Take().error().code, ErrorCode::kPermission);
  const int32_t absurd = INT32_MIN;
  answer.clear();
  Add(2, {reinterpret_cast<const char*>(&absurd), 4});
  EXPECT_EQ(Take().error().sys_errno, EPROTO);
}

TEST_F(SockDiagAnswerTest, TheEndIsTold) {
  Add(3, std::string(4, '\0'));
  EXPECT_TRUE(Take().value());
}

}  // namespace
}  // namespace idlewatt
