#include "app/sd_notify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/text.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::StartsWith;

// Stands for the manager: a datagram socket at a path, or in the abstract namespace with '@'.
class Manager {
 public:
  explicit Manager(const std::string& address)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.copy(name.sun_path, sizeof name.sun_path);
    if (address.front() == '@') name.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
  }
  // The next message; "" when there is none.
  std::string Receive() const {
    std::array<char, 4096> text{};
    const ssize_t size = ::recv(socket_.get(), text.data(), text.size(), MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text.data(), static_cast<size_t>(size));
  }

 private:
  const UniqueFd socket_;
};

class SdNotifyTest : public ::testing::Test {
 protected:
  ~SdNotifyTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  static void Set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  FakeTree tree;
  const std::string address = tree.PathOf("notify");
};

TEST_F(SdNotifyTest, TellsTheManager) {
  const Manager manager(address);
  Set("NOTIFY_SOCKET", address);
  const SdNotify notify = SdNotify::FromEnvironment();
  EXPECT_EQ(manager.Receive(), "") << "nothing was asked of it yet";
  notify.Ready();
  EXPECT_EQ(manager.Receive(), "READY=1");
  notify.Status("2 services\nREADY=1");
  EXPECT_EQ(manager.Receive(), "STATUS=2 services READY=1");
  notify.Alive();
  EXPECT_EQ(manager.Receive(), "WATCHDOG=1");
  notify.Stopping();
  EXPECT_EQ(manager.Receive(), "STOPPING=1");
  EXPECT_EQ(manager.Receive(), "");
}

TEST_F(SdNotifyTest, AReloadSaysWhenItBegan) {
  const Manager manager(address);
  Set("NOTIFY_SOCKET", address);
  const SdNotify notify = SdNotify::FromEnvironment();
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
  };
  const int64_t before = now();
  notify.Reloading();
  const std::string message = manager.Receive();
  const std::string begin = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_THAT(message, StartsWith(begin));
  const auto when = ParseNumber<int64_t>(message.substr(begin.size()));
  ASSERT_TRUE(when) << message;
  EXPECT_GE(*when, before);
  EXPECT_LE(*when, now());
}

TEST_F(SdNotifyTest, AnAbstractSocketHearsItToo) {
  const std::string abstract = "@idlewatt-test-" + std::to_string(::getpid());
  const Manager manager(abstract);
  Set("NOTIFY_SOCKET", abstract);
  SdNotify::FromEnvironment().Ready();
  EXPECT_EQ(manager.Receive(), "READY=1");
}

TEST_F(SdNotifyTest, TheVariablesAreGoneAfterwards) {
  Set("NOTIFY_SOCKET", address);  // nobody is there
  Set("WATCHDOG_USEC", "1000000");
  Set("WATCHDOG_PID", std::to_string(::getpid()));
  const SdNotify notify = SdNotify::FromEnvironment();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    EXPECT_EQ(::getenv(name), nullptr) << name;
  }
  EXPECT_EQ(notify.alive_interval(), std::nullopt);
}

TEST_F(SdNotifyTest, SignsOfLifeAreTwiceAsOftenAsTheManagerWants) {
  const Manager manager(address);
  const auto interval = [&](const char* timeout, const std::string& pid) {
    Set("NOTIFY_SOCKET", address);
    Set("WATCHDOG_USEC", timeout);
    if (!pid.empty()) Set("WATCHDOG_PID", pid);
    return SdNotify::FromEnvironment().alive_interval();
  };
  EXPECT_EQ(interval("30000000", std::to_string(::getpid())), std::chrono::seconds(15));
  EXPECT_EQ(interval("30000000", ""), std::chrono::seconds(15));
  EXPECT_EQ(interval("30000000", std::to_string(::getppid())), std::nullopt);
  for (const char* timeout : {"", "0", "-5", "soon", "99999999999999999999"}) {
    EXPECT_EQ(interval(timeout, ""), std::nullopt) << timeout;
  }
}

TEST_F(SdNotifyTest, WithoutAManagerNothingIsSaidAndNothingFails) {
  const SdNotify none = SdNotify::FromEnvironment();
  none.Ready();
  none.Alive();
  for (const std::string& bad : {address, std::string(200, 'x'), std::string("@")}) {
    Set("NOTIFY_SOCKET", bad);
    SdNotify::FromEnvironment().Ready();
  }
}

TEST_F(SdNotifyTest, ASignOfLifeNeverWaitsForAManagerThatDoesNotListen) {
  const Manager manager(address);
  Set("NOTIFY_SOCKET", address);
  const SdNotify notify = SdNotify::FromEnvironment();
  // A few more than the kernel keeps for a socket; each of them would wait for a second.
  int kept = 0;
  ASSERT_TRUE(std::ifstream("/proc/sys/net/unix/max_dgram_qlen") >> kept);
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < kept + 20; ++i) notify.Alive();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
  EXPECT_EQ(manager.Receive(), "WATCHDOG=1");
}

}  // namespace
}  // namespace idlewatt
