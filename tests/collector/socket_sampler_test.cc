#include "collector/socket_sampler.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>

#include "base/own_address.h"
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
    sampler.emplace(std::move(watched), &directory,
                    [this](const std::vector<uint16_t>& ports) -> Result<TcpListing> {
                      asked = ports;
                      if (error) return *error;
                      return listing;
                    });
    driver.emplace(*sampler);
  }
  // A socket of its own for each key.
  static TcpConnection Open(const std::string& key, uint64_t in, uint64_t out, uint16_t port = 80) {
    return {key, std::hash<std::string>()(key), port, true, false, in, out};
  }
  static TcpConnection Ended(const std::string& key, uint16_t port = 80) {
    return {key, 0, port, false, true, 0, 0};
  }
  // One reading where the kernel does not tell of ends.
  void Read(std::vector<TcpConnection> connections) {
    listing = {std::move(connections)};
    listing.untold = Error{ErrorCode::kPermission, "NETLINK_SOCK_DIAG", EPERM, ""};
    driver->Read();
  }
  // And one where it does.
  void ReadTold(std::vector<TcpConnection> connections, std::vector<TcpConnection> destroyed) {
    listing = {std::move(connections), std::move(destroyed), true, std::nullopt};
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
  TcpListing listing;
  std::vector<uint16_t> asked;
  std::optional<Error> error;
  std::optional<SocketSampler> sampler;
  std::optional<SamplerDriver> driver;
};

// A failure would back off for minutes, and a service with a port may start any time. Nor is the
// source lost when the last one is stopped.
TEST_F(SocketSamplerTest, WithoutPortsThereIsNoFailure) {
  Start({});
  Read({});
  EXPECT_TRUE(driver->result.ok());
  EXPECT_EQ(driver->sources.at("sockets"),
            "nothing: no running service has a port (set port in [[service]] or [[watch]])");
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
  TcpConnection again = Open("a", 5, 6);
  ++again.cookie;
  Read({again});
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

TEST_F(SocketSamplerTest, TheLastDataIsThatOfTheConnectionThatCarriedSomeLast) {
  using std::chrono::milliseconds;
  Start({Watch("web", 80), Watch("db", 5432)});
  TcpConnection quiet = Open("a", 1, 1);
  quiet.last_data = milliseconds(90'000);
  TcpConnection busy = Open("b", 1, 1);
  busy.last_data = milliseconds(250);
  TcpConnection closing = Open("c", 1, 1);
  closing.established = false;
  closing.last_data = milliseconds(0);
  Read({quiet, busy, closing});
  EXPECT_EQ(driver->values.at("idlewatt_service_last_data_seconds{service=\"web\"}"), 0.25);
  EXPECT_EQ(driver->values.count("idlewatt_service_last_data_seconds{service=\"db\"}"), 0U);
  Read({});
  EXPECT_EQ(driver->values.count("idlewatt_service_last_data_seconds{service=\"web\"}"), 0U);
}

TEST_F(SocketSamplerTest, TheSourceSaysHowShortConnectionsAreSeen) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  EXPECT_EQ(driver->sources.at("sockets"),
            "connections of 1 ports; short ones by the kernel's messages of their end");
  EXPECT_EQ(driver->sources.size(), 1U);
  Read({});
  EXPECT_EQ(driver->sources.at("sockets"),
            "connections of 1 ports; short ones by what they leave in TIME_WAIT");
  EXPECT_EQ(driver->sources.at("sockets:ends"), "!permission");
  EXPECT_FALSE(driver->rows.back().remedy.empty());
}

TEST_F(SocketSamplerTest, AConnectionThatCameAndWentIsSeenByTheMessageOfItsEnd) {
  Start({Watch("web", 80)});
  ReadTold({}, {Open("early", 9, 9)});  // before the first look
  EXPECT_EQ(Seen(), 0);
  ReadTold({}, {Open("a", 10, 20)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 10);
  EXPECT_EQ(Bytes("out"), 20);
}

TEST_F(SocketSamplerTest, TheLastBytesOfAListedConnectionAreThoseOfItsEnd) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Open("a", 10, 20)}, {});
  ReadTold({}, {Open("a", 15, 300)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 15);
  EXPECT_EQ(Bytes("out"), 300);
}

TEST_F(SocketSamplerTest, AConnectionThatShowsInEveryWayCountsOnce) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  // Listed and ended within one look; what it leaves shows at the same time and later.
  ReadTold({Open("a", 10, 20), Ended("a")}, {Open("a", 11, 21)});
  ReadTold({Ended("a")}, {});
  ReadTold({Ended("a")}, {Open("a", 11, 21)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 11);
  EXPECT_EQ(Bytes("out"), 21);
}

TEST_F(SocketSamplerTest, WhatIsLeftCountsOnceWhateverComesFirst) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Ended("a")}, {});  // the message is on its way
  EXPECT_EQ(Seen(), 0);
  ReadTold({Ended("a")}, {Open("a", 10, 20)});
  EXPECT_EQ(Seen(), 1);
  ReadTold({Ended("b")}, {Open("b", 10, 20)});
  ReadTold({Ended("b")}, {});
  EXPECT_EQ(Seen(), 2);
}

TEST_F(SocketSamplerTest, AMessageThatIsLateIsThatOfTheConnectionListedBefore) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Open("a", 10, 20)}, {});
  ReadTold({}, {});
  ReadTold({}, {Open("a", 12, 20)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 12);
}

TEST_F(SocketSamplerTest, WhereMessagesWereLostWhatIsLeftCounts) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Ended("old")}, {Open("old", 1, 1)});
  EXPECT_EQ(Seen(), 1);
  // Of three that ended one was told of; what "old" left is still there.
  listing = {{Ended("old"), Ended("a"), Ended("b"), Ended("c")}, {Open("b", 10, 20)}, false, {}};
  driver->Read();
  EXPECT_EQ(Seen(), 4);
  EXPECT_EQ(Bytes("in"), 11);
  // The message of one of them was only late.
  ReadTold({Ended("old"), Ended("a"), Ended("b"), Ended("c")}, {Open("c", 5, 5)});
  EXPECT_EQ(Seen(), 4);
  EXPECT_EQ(Bytes("in"), 16);
}

// The kernel sends the messages from a thread of its own.
TEST_F(SocketSamplerTest, WhereTheLossIsNoticedLateWhatIsLeftCountsToo) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Ended("a"), Ended("b")}, {Open("b", 10, 20)});
  EXPECT_EQ(Seen(), 1);
  listing = {{Ended("a"), Ended("b")}, {}, false, {}};
  driver->Read();
  driver->Read();
  EXPECT_EQ(Seen(), 2);
}

TEST_F(SocketSamplerTest, ALossLongAfterSaysNothingOfWhatIsLeft) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Ended("a")}, {Open("a", 10, 20)});
  for (int i = 0; i < 4; ++i) {
    driver->clock.Advance(std::chrono::seconds(5));
    ReadTold({Ended("a")}, {});
  }
  listing = {{Ended("a")}, {}, false, {}};
  driver->Read();
  EXPECT_EQ(Seen(), 1);
}

TEST_F(SocketSamplerTest, ASocketThatWasResetTakesNothingBack) {
  Start({Watch("web", 80)});
  ReadTold({}, {});
  ReadTold({Open("a", 10, 20)}, {});
  ReadTold({}, {Open("a", 0, 0)});
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(Bytes("in"), 10);
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
  // `own`: from the address of our own probes.
  void Connect(bool own = false) {
    client = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (own) {
      ASSERT_TRUE(BindOwnAddress(client.get()).ok());
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    accepted = UniqueFd(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(accepted);
  }
  void SendHello() {
    ASSERT_EQ(::send(client.get(), "hello", 5, 0), 5);
    std::array<char, 8> buffer{};
    ASSERT_EQ(::recv(accepted.get(), buffer.data(), buffer.size(), 0), 5);
  }
  // Both ends, the client's first; with a reset, nothing stays in TIME_WAIT.
  void CloseByClient(bool reset = false) {
    const linger abort{1, 0};
    if (reset) ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    client.reset();
    std::array<char, 8> buffer{};
    EXPECT_EQ(::recv(accepted.get(), buffer.data(), buffer.size(), 0), reset ? -1 : 0);
    accepted.reset();
  }
  void CloseByServer() {
    accepted.reset();
    std::array<char, 8> buffer{};
    EXPECT_EQ(::recv(client.get(), buffer.data(), buffer.size(), 0), 0);
    client.reset();
  }
  std::vector<TcpConnection> All() {
    auto connections = lister({port});
    if (!connections) {
      ADD_FAILURE() << connections.error().ToString();
      return {};
    }
    return std::move(connections->connections);
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
  SendHello();
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

// The whole way on a live machine: a server, clients, the kernel, the sampler.
class LiveSocketsTest : public SockDiagTest, public ::testing::WithParamInterface<bool> {
 protected:
  // After Listen.
  void Start(SockDiagOptions options = {}) {
    sampler.emplace(std::vector{Watch("web", port)}, nullptr, MakeSockDiagLister(options));
    driver.emplace(*sampler);
    driver->Read();
  }
  double Value(const std::string& metric) const {
    return driver->values.at("idlewatt_service_" + metric);
  }
  double Seen() const { return Value("connections_seen_total{service=\"web\"}"); }
  double BytesIn() const { return Value("network_bytes_total{service=\"web\",direction=\"in\"}"); }
  // The kernel tells of an end within milliseconds, from a thread of its own.
  void ReadUntilSeen(double count) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    do {
      driver->Read();
    } while (Seen() < count && std::chrono::steady_clock::now() < deadline);
    EXPECT_EQ(Seen(), count);
  }
  // What the kernel could not put into the buffers of this process's sockets.
  static int64_t LostMessages() {
    std::set<std::string> inodes;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code closed;  // by the iterator itself
      const std::string target = std::filesystem::read_symlink(entry, closed).string();
      if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
    }
    int64_t lost = 0;
    std::ifstream sockets("/proc/net/netlink");
    std::string line, drops, inode;
    while (std::getline(sockets, line)) {
      std::istringstream fields(line);
      for (int field = 0; field < 8; ++field) fields >> drops;
      fields >> drops >> inode;
      if (inodes.contains(inode)) lost += std::strtoll(drops.c_str(), nullptr, 10);
    }
    return lost;
  }
  bool EndsAreTold() const { return !driver->sources.contains("sockets:ends"); }

  std::optional<SocketSampler> sampler;
  std::optional<SamplerDriver> driver;
};

// "Called once a second for 2 ms": with the messages of the kernel and without.
TEST_P(LiveSocketsTest, AShortConnectionIsSeenOnceWhoeverClosesFirst) {
  Listen(GetParam());
  for (const bool watch : {true, false}) {
    Start({watch});
    if (watch && !EndsAreTold()) GTEST_SKIP() << "this kernel does not tell of ends";
    Connect();
    SendHello();
    CloseByClient();
    ReadUntilSeen(1);
    Connect();
    SendHello();
    CloseByServer();
    ReadUntilSeen(2);
    for (int i = 0; i < 4; ++i) driver->Read();
    EXPECT_EQ(Seen(), 2) << "counted again, " << watch;
    EXPECT_EQ(Value("connections{service=\"web\"}"), 0);
    // Without messages nobody knows what they carried. The end itself counts as a byte.
    if (watch) {
      EXPECT_GE(BytesIn(), 10);
      EXPECT_LE(BytesIn(), 12);
    } else {
      EXPECT_EQ(BytesIn(), 0);
    }
  }
}

TEST_P(LiveSocketsTest, AConnectionThatIsResetLeavesNothingAndIsSeenByItsEnd) {
  Listen(GetParam());
  Start();
  if (!EndsAreTold()) GTEST_SKIP() << "this kernel does not tell of ends";
  Connect();
  SendHello();
  CloseByClient(/*reset=*/true);
  ReadUntilSeen(1);
  EXPECT_EQ(BytesIn(), 5);
}

TEST_P(LiveSocketsTest, TheLastBytesOfAListedConnectionAreNotLost) {
  Listen(GetParam());
  Start();
  if (!EndsAreTold()) GTEST_SKIP() << "this kernel does not tell of ends";
  Connect();
  driver->Read();
  EXPECT_EQ(Seen(), 1);
  EXPECT_EQ(BytesIn(), 0);
  SendHello();
  CloseByClient();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (BytesIn() < 5 && std::chrono::steady_clock::now() < deadline) driver->Read();
  EXPECT_GE(BytesIn(), 5);
  EXPECT_EQ(Seen(), 1);
}

// A buffer for one message or two: the rest is lost, and TIME_WAIT tells of them.
TEST_P(LiveSocketsTest, LostMessagesAreOnlyLostHints) {
  constexpr int kConnections = 40;
  Listen(GetParam());
  Start({.watch_ends = true, .receive_bytes = 1});
  if (!EndsAreTold()) GTEST_SKIP() << "this kernel does not tell of ends";
  for (int i = 0; i < kConnections; ++i) {
    Connect();
    SendHello();
    CloseByClient();
  }
  // The kernel tells of ends when it has time for it; a read before that would make room.
  const auto told = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (LostMessages() == 0) ASSERT_LT(std::chrono::steady_clock::now(), told);
  ReadUntilSeen(kConnections);
  for (int i = 0; i < 3; ++i) driver->Read();
  EXPECT_EQ(Seen(), kConnections);
  EXPECT_LT(BytesIn(), 5 * kConnections);
  // What comes after is told of again, once nothing is left of the flood.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (Seen() == kConnections) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    Connect();
    SendHello();
    CloseByClient(/*reset=*/true);
    driver->Read();
  }
}

TEST_P(LiveSocketsTest, OurOwnProbesAreNoUse) {
  Listen(GetParam());
  for (const bool watch : {true, false}) {
    Start({watch});
    Connect(/*own=*/true);
    SendHello();
    driver->Read();
    EXPECT_EQ(Value("connections{service=\"web\"}"), 0);
    EXPECT_EQ(driver->values.count("idlewatt_service_last_data_seconds{service=\"web\"}"), 0U);
    CloseByClient();  // TIME_WAIT on the client's side
    Connect(/*own=*/true);
    SendHello();
    CloseByServer();  // and on the server's
    // One that is use, after them: when it is seen, they were looked at.
    Connect();
    SendHello();
    CloseByClient();
    ReadUntilSeen(1);
    driver->Read();
    EXPECT_EQ(Seen(), 1);
    if (watch && EndsAreTold()) {
      EXPECT_LE(BytesIn(), 6);
    }
  }
}

TEST_P(LiveSocketsTest, AConnectionWithoutDataCountsFromItsStart) {
  Listen(GetParam());
  Start();
  Connect();
  driver->Read();
  const double first = Value("last_data_seconds{service=\"web\"}");
  EXPECT_GE(first, 0);
  EXPECT_LT(first, 60);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const auto last_data = [&] {
    driver->Read();
    return Value("last_data_seconds{service=\"web\"}");
  };
  while (last_data() < 0.05) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  SendHello();
  EXPECT_LT(last_data(), 0.05);
}

std::string FamilyName(const ::testing::TestParamInfo<bool>& family) {
  return family.param ? "Ipv6" : "Ipv4";
}
INSTANTIATE_TEST_SUITE_P(Families, LiveSocketsTest, ::testing::Values(false, true), FamilyName);

// Services that listen on ::1 only.
TEST(OwnAddressTest, AProbeOfIpv6LoopbackIsKnownByItsPort) {
  const UniqueFd server(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  socklen_t size = sizeof address;
  if (!server || ::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) {
    GTEST_SKIP() << "no IPv6 here";
  }
  ASSERT_EQ(::listen(server.get(), 5), 0);
  ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size);
  SocketSampler sampler({Watch("web", ntohs(address.sin6_port))}, nullptr, MakeSockDiagLister());
  SamplerDriver driver(sampler);
  driver.Read();
  std::vector<UniqueFd> ends;
  for (const bool own : {true, true, false}) {
    UniqueFd client(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (own) {
      const Result<void> bound = BindOwnAddress(client.get());
      ASSERT_TRUE(bound.ok()) << bound.error().ToString();
    }
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ends.push_back(std::move(client));
    ends.emplace_back(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  driver.Read();
  EXPECT_EQ(driver.values.at("idlewatt_service_connections{service=\"web\"}"), 1);
  EXPECT_EQ(driver.values.at("idlewatt_service_connections_seen_total{service=\"web\"}"), 1);
}

}  // namespace
}  // namespace idlewatt
