// The real sd-bus with a bus of our own, where dbusmock stands for systemd-logind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/unique_fd.h"
#include "collector/login_sessions_api.h"
#include "tests/support/child_process.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogindTest : public ::testing::Test {
 protected:
  void StartBus() {
    std::filesystem::remove(tree.PathOf("bus"));
    tree.Write("bus.conf", R"(<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>)" + address + R"(</listen>
  <servicedir>)" + tree.PathOf("services") +
                               R"(</servicedir>
  <policy context="default">
    <allow user="*"/> <allow own="*"/> <allow send_destination="*"/> <allow receive_sender="*"/>
  </policy>
</busconfig>
)");
    tree.MakeDir("services");
    bus = std::make_unique<ChildProcess>(
        std::vector<std::string>{"dbus-daemon", "--config-file=" + tree.PathOf("bus.conf"),
                                 "--nofork", "--nopidfile", "--print-address=1"});
    ASSERT_TRUE(bus->WaitForLine("unix:")) << bus->output();
  }
  void StopBus() {
    bus.reset();
    logind.reset();
  }
  // `sessions` as fake_logind.py takes them.
  void StartLogind(const std::string& sessions) {
    // Debian's own Python, whatever else is in the PATH: dbusmock is a package for that.
    logind = std::make_unique<ChildProcess>(std::vector<std::string>{
        "/usr/bin/python3", std::string(IDLEWATT_SOURCE_DIR) + "/tests/collector/fake_logind.py",
        address, sessions});
    ASSERT_TRUE(logind->WaitForLine("ready", milliseconds(30'000))) << logind->output();
  }

  FakeTree tree;
  const std::string address = "unix:path=" + tree.PathOf("bus");
  std::unique_ptr<ChildProcess> bus;
  std::unique_ptr<ChildProcess> logind;
  const std::unique_ptr<LoginSessionsApi> api = MakeLogindApi({address, milliseconds(30'000)});
};

TEST_F(LogindTest, SessionsAreReadWithWhatTheirDesktopsSay) {
  StartBus();
  StartLogind(R"({"2": {"Type": "wayland", "TTY": "tty2", "IdleHint": true, "LockedHint": true,
                        "IdleSinceHint": 1700000000123456},
                  "c1": {"Class": "greeter", "Type": "x11", "State": "online", "Active": false},
                  "ghost": null})");
  Result<std::vector<LoginSession>> sessions = api->Read();
  ASSERT_TRUE(sessions.ok()) << sessions.error().ToString();
  ASSERT_THAT(*sessions, SizeIs(2));
  std::sort(sessions->begin(), sessions->end(),
            [](const LoginSession& a, const LoginSession& b) { return a.id < b.id; });
  const LoginSession& desktop = sessions->front();
  EXPECT_EQ(desktop.id, "2");
  EXPECT_EQ(desktop.session_class, "user");
  EXPECT_EQ(desktop.type, "wayland");
  EXPECT_EQ(desktop.state, "active");
  EXPECT_EQ(desktop.tty, "tty2");
  EXPECT_TRUE(desktop.active && desktop.locked && desktop.idle);
  EXPECT_EQ(desktop.idle_since, WallTime(milliseconds(1'700'000'000'123)));
  const LoginSession& greeter = sessions->back();
  EXPECT_EQ(greeter.id, "c1");
  EXPECT_EQ(greeter.session_class, "greeter");
  EXPECT_EQ(greeter.state, "online");
  EXPECT_FALSE(greeter.active || greeter.locked || greeter.idle);
  EXPECT_EQ(greeter.idle_since, std::nullopt);
}

TEST_F(LogindTest, NobodyLoggedInIsNoSession) {
  StartBus();
  StartLogind("{}");
  const auto sessions = api->Read();
  ASSERT_TRUE(sessions.ok()) << sessions.error().ToString();
  EXPECT_THAT(*sessions, IsEmpty());
}

TEST_F(LogindTest, WithoutABusThereIsNoData) {
  const auto sessions = api->Read();
  ASSERT_FALSE(sessions.ok());
  EXPECT_EQ(sessions.error().code, ErrorCode::kNoData);
  EXPECT_EQ(sessions.error().ToString(),
            "D-Bus at " + address + ": there is none: No such file or directory");
}

TEST_F(LogindTest, ALogindThatDoesNotRunIsNotStarted) {
  // The bus would start it for whoever does not say otherwise.
  tree.Write("services/org.freedesktop.login1.service",
             "[D-BUS Service]\nName=org.freedesktop.login1\nExec=/usr/bin/touch " +
                 tree.PathOf("started") + "\n");
  StartBus();
  const auto sessions = api->Read();
  ASSERT_FALSE(sessions.ok());
  EXPECT_EQ(sessions.error().code, ErrorCode::kNoData);
  EXPECT_EQ(sessions.error().ToString(), "systemd-logind: does not run");
  EXPECT_FALSE(tree.Root().Exists("started"));
}

TEST_F(LogindTest, ABusThatCameBackIsAskedAgain) {
  StartBus();
  StartLogind(R"({"2": {}})");
  ASSERT_TRUE(api->Read().ok());
  StopBus();
  const auto without = api->Read();
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.error().code, ErrorCode::kNoData);
  StartBus();
  const auto bus_alone = api->Read();
  ASSERT_FALSE(bus_alone.ok());
  EXPECT_EQ(bus_alone.error().ToString(), "systemd-logind: does not run");
  StartLogind(R"({"3": {}})");
  const auto sessions = api->Read();
  ASSERT_TRUE(sessions.ok()) << sessions.error().ToString();
  ASSERT_THAT(*sessions, SizeIs(1));
  EXPECT_EQ(sessions->front().id, "3");
}

TEST_F(LogindTest, ABusThatWasStartedAnewBetweenTwoReadingsFailsNone) {
  StartBus();
  StartLogind(R"({"2": {}})");
  ASSERT_TRUE(api->Read().ok());
  StopBus();
  StartBus();
  StartLogind(R"({"3": {}})");
  const auto sessions = api->Read();
  ASSERT_TRUE(sessions.ok()) << sessions.error().ToString();
  EXPECT_EQ(sessions->front().id, "3");
}

TEST_F(LogindTest, AnAnswerInAnotherFormIsSaidToBeOne) {
  StartBus();
  StartLogind(R"({"2": {"Active": "yes"}})");
  const auto sessions = api->Read();
  ASSERT_FALSE(sessions.ok());
  EXPECT_EQ(sessions.error().code, ErrorCode::kParse);
  EXPECT_THAT(sessions.error().ToString(), HasSubstr("answers GetAll in another form"));
}

TEST_F(LogindTest, ALogindThatStandsStillIsGivenUp) {
  StartBus();
  StartLogind(R"({"2": {}})");
  const auto hasty = MakeLogindApi({address, milliseconds(100)});
  logind->Signal(SIGSTOP);
  const auto sessions = hasty->Read();
  ASSERT_FALSE(sessions.ok());
  EXPECT_EQ(sessions.error().code, ErrorCode::kTransient);
  EXPECT_EQ(sessions.error().sys_errno, ETIMEDOUT);
}

TEST_F(LogindTest, ABusThatTakesTheConnectionAndSaysNothingIsGivenUp) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, tree.PathOf("bus").c_str(), sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ASSERT_EQ(::listen(socket.get(), 8), 0);
  const auto hasty = MakeLogindApi({address, milliseconds(100)});
  const auto begin = std::chrono::steady_clock::now();
  const auto sessions = hasty->Read();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  ASSERT_FALSE(sessions.ok());
  EXPECT_EQ(sessions.error().code, ErrorCode::kTransient);
  EXPECT_EQ(sessions.error().sys_errno, ETIMEDOUT);
}

}  // namespace
}  // namespace idlewatt
