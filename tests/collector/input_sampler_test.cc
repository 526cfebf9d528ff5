#include "collector/input_sampler.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"
#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

class FakeSessions final : public LoginSessionsApi {
 public:
  explicit FakeSessions(const Result<std::vector<LoginSession>>& sessions) : sessions_(sessions) {}
  Result<std::vector<LoginSession>> Read() override { return sessions_; }

 private:
  const Result<std::vector<LoginSession>>& sessions_;
};

class InputSamplerTest : public ::testing::Test {
 protected:
  InputSamplerTest() { tree.MakeDir("pts"); }

  // A terminal that was last used so long ago.
  void Terminal(const std::string& name, milliseconds ago) {
    tree.Write(name, "");
    const milliseconds since_1970 = (driver.clock.Now().wall - ago).time_since_epoch();
    const timespec used{since_1970 / seconds(1), (since_1970 % seconds(1)).count() * 1'000'000};
    const timespec untouched{0, UTIME_OMIT};
    const std::array<timespec, 2> times{used, untouched};
    ASSERT_EQ(::utimensat(AT_FDCWD, tree.PathOf(name).c_str(), times.data(), 0), 0);
  }
  // Of somebody, in front.
  LoginSession& Session(const std::string& id, const std::string& type,
                        const std::string& tty = "") {
    LoginSession& session = sessions->emplace_back();
    session.id = id;
    session.session_class = "user";
    session.type = type;
    session.state = "active";
    session.tty = tty;
    session.active = true;
    return session;
  }
  LoginSession& IdleDesktop(const std::string& id, milliseconds ago) {
    LoginSession& session = Session(id, "wayland", "tty2");
    session.idle = true;
    session.idle_since = driver.clock.Now().wall - ago;
    return session;
  }
  std::optional<double> Age() const {
    const auto it = driver.values.find("idlewatt_host_input_idle_seconds");
    return it == driver.values.end() ? std::nullopt : std::optional(it->second);
  }
  std::optional<double> ReadAge() {
    driver.Read();
    EXPECT_TRUE(driver.result.ok()) << driver.result.error().ToString();
    return Age();
  }

  FakeTree tree;
  const FileRoot dev = tree.Root();
  Result<std::vector<LoginSession>> sessions = std::vector<LoginSession>();
  // The files are those of whoever runs the test, as unused consoles are root's.
  InputSampler sampler{dev, std::make_unique<FakeSessions>(sessions), ::geteuid()};
  SamplerDriver driver{sampler};
};

TEST_F(InputSamplerTest, TheNewestInputOfAllTerminalsAndDesktopsWins) {
  Terminal("pts/0", seconds(300));
  Terminal("pts/12", seconds(90));
  IdleDesktop("4", seconds(200));
  EXPECT_EQ(ReadAge(), 90);
  EXPECT_EQ(driver.sources.at("input"), "newest of 2 terminals and 1 desktop: pts/12");
  Terminal("pts/0", milliseconds(1500));
  EXPECT_EQ(ReadAge(), 1.5);
  tree.Remove("pts");
  EXPECT_EQ(ReadAge(), 200);
  EXPECT_EQ(driver.sources.at("input"), "newest of 0 terminals and 1 desktop: session 4 (wayland)");
}

TEST_F(InputSamplerTest, OfATerminalOnlyItsAccessTimeCounts) {
  Terminal("pts/0", seconds(300));  // written to now
  EXPECT_EQ(ReadAge(), 300);
}

// What the sampler relies on, with the kernel's own terminal.
TEST(TerminalOfTheKernelTest, TypingRenewsTheAccessTimeAndOutputDoesNot) {
  const UniqueFd keyboard(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(keyboard && ::unlockpt(keyboard.get()) == 0) << std::strerror(errno);
  const std::string path = ::ptsname(keyboard.get());
  const UniqueFd shell(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(shell) << path;
  const auto accessed = [&] { return FileRoot::Open("/")->Stat(path.substr(1))->st_atim.tv_sec; };
  const std::array<timespec, 2> long_ago{};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), long_ago.data(), 0), 0);

  std::array<char, 8> buffer{};
  ASSERT_EQ(::write(shell.get(), "$", 1), 1);
  ASSERT_EQ(::read(keyboard.get(), buffer.data(), buffer.size()), 1);
  EXPECT_EQ(accessed(), 0);
  ASSERT_EQ(::write(keyboard.get(), "ls\n", 3), 3);
  ASSERT_EQ(::read(shell.get(), buffer.data(), buffer.size()), 3);
  EXPECT_GT(accessed(), 0);
}

TEST_F(InputSamplerTest, NobodyLoggedInIsNoValueAndNoFailure) {
  Terminal("tty1", seconds(10));
  EXPECT_EQ(ReadAge(), std::nullopt);
  EXPECT_EQ(driver.sources.at("input"), "nobody is logged in");
  EXPECT_EQ(driver.sources.at("input:logind"), "0 sessions of users");
}

TEST_F(InputSamplerTest, WhatIsNoTerminalIsNotLookedAt) {
  Terminal("pts/ptmx", seconds(1));
  Terminal("tty", seconds(1));
  Terminal("tty0", seconds(1));
  Terminal("tty64", seconds(1));
  Terminal("ttyS0", seconds(1));
  InputSampler others(dev, std::make_unique<FakeSessions>(sessions), ::geteuid() + 1);
  SamplerDriver of_others(others);
  of_others.Read();
  EXPECT_TRUE(of_others.values.empty()) << of_others.sources.at("input");
}

TEST_F(InputSamplerTest, AConsoleCountsOnceSomebodyIsLoggedInThere) {
  Terminal("tty1", seconds(10));
  Terminal("tty63", seconds(20));
  EXPECT_EQ(ReadAge(), std::nullopt);
  Session("1", "tty", "tty63");  // of root: the console keeps its owner
  EXPECT_EQ(ReadAge(), 20);
}

TEST_F(InputSamplerTest, WithoutLogindTheOwnerOfAConsoleSaysWhetherItIsUsed) {
  sessions = Error{ErrorCode::kNoData, "systemd-logind", 0, "does not run"};
  Terminal("tty1", seconds(20));
  Terminal("tty63", seconds(10));
  EXPECT_EQ(ReadAge(), std::nullopt);
  InputSampler others(dev, std::make_unique<FakeSessions>(sessions), ::geteuid() + 1);
  SamplerDriver of_others(others);
  of_others.Read();
  EXPECT_EQ(of_others.values.at("idlewatt_host_input_idle_seconds"), 10);
}

TEST_F(InputSamplerTest, ASessionOnASerialLineCounts) {
  Terminal("ttyS0", seconds(10));
  Session("1", "tty", "ttyS0");
  EXPECT_EQ(ReadAge(), 10);
}

TEST_F(InputSamplerTest, TheConsoleOfAGreeterOrOfASessionThatEndsDoesNotCount) {
  for (const auto& [session_class, state] :
       {std::pair("greeter", "active"), std::pair("lock-screen", "active"),
        std::pair("user", "closing")}) {
    sessions->clear();
    LoginSession& session = Session("c1", "x11", "tty1");
    session.session_class = session_class;
    session.state = state;
    Terminal("tty1", seconds(10));
    InputSampler others(dev, std::make_unique<FakeSessions>(sessions), ::geteuid() + 1);
    SamplerDriver of_others(others);
    of_others.Read();
    EXPECT_TRUE(of_others.values.empty()) << session_class << " " << state;
    EXPECT_EQ(of_others.sources.at("input"), "nobody is logged in");
  }
}

TEST_F(InputSamplerTest, SessionClassesOfNewerSystemdAreSomebody) {
  Terminal("tty1", seconds(10));
  Session("1", "tty", "tty1").session_class = "user-early";
  Session("2", "unspecified").session_class = "manager";
  EXPECT_EQ(ReadAge(), 10);
  EXPECT_EQ(driver.sources.at("input:logind"), "1 session of users");
}

TEST_F(InputSamplerTest, ATimeInTheFutureIsNow) {
  Terminal("pts/0", -minutes(10));
  EXPECT_EQ(ReadAge(), 0);
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 30);  // and not 0 until the clock has caught up
}

TEST_F(InputSamplerTest, NobodyTypedBeforeTheBoot) {
  Terminal("pts/0", std::chrono::hours(500'000));  // the clock was set after it was opened
  EXPECT_EQ(ReadAge(), ToSeconds(driver.clock.Now().boot.time_since_epoch()));
}

TEST_F(InputSamplerTest, AWallClockThatIsSetChangesNoAge) {
  Terminal("pts/0", seconds(60));
  LoginSession& desktop = IdleDesktop("4", seconds(100));
  EXPECT_EQ(ReadAge(), 60);
  for (const minutes jump : {minutes(120), -minutes(300)}) {
    driver.clock.SetWall(driver.clock.Now().wall + jump);
    EXPECT_EQ(ReadAge(), 60);
  }
  tree.Remove("pts/0");
  EXPECT_EQ(ReadAge(), 100);
  desktop.idle_since = driver.clock.Now().wall - seconds(5);
  EXPECT_EQ(ReadAge(), 5);
}

TEST_F(InputSamplerTest, ATerminalOfTheSameNameThatIsOpenedLaterIsAnother) {
  Terminal("pts/0", seconds(60));
  EXPECT_EQ(ReadAge(), 60);
  driver.clock.Advance(seconds(30));
  Terminal("pts/0", seconds(2));
  EXPECT_EQ(ReadAge(), 2);
}

TEST_F(InputSamplerTest, ATerminalThatIsClosedMeanwhileIsSkipped) {
  Terminal("pts/0", seconds(60));
  Session("3", "tty", "pts/7");  // logind has not noticed yet
  EXPECT_EQ(ReadAge(), 60);
  EXPECT_EQ(driver.sources.at("input"), "newest of 1 terminal and 0 desktops: pts/0");
}

TEST_F(InputSamplerTest, ADesktopThatIsNotIdleIsInUseNow) {
  LoginSession& desktop = IdleDesktop("4", seconds(100));
  desktop.idle = false;
  EXPECT_EQ(ReadAge(), 0);
  EXPECT_THAT(driver.sources.at("input"), HasSubstr("session 4 (wayland), in use"));
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 0);
}

TEST_F(InputSamplerTest, ADesktopThatNeverSaysThatItIsIdleIsInUseAndNamed) {
  Session("4", "x11", "tty2");
  EXPECT_EQ(ReadAge(), 0);
  EXPECT_THAT(driver.sources.at("input"),
              HasSubstr("session 4 (x11), which has never said that it is idle"));
}

TEST_F(InputSamplerTest, ALockedDesktopCountsFromWhenItWasFirstSeenLocked) {
  LoginSession& desktop = Session("4", "x11", "tty2");
  EXPECT_EQ(ReadAge(), 0);
  desktop.locked = true;
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 0);
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 30);
  // That it is idle as well, which it says later, is no newer input.
  desktop.idle = true;
  desktop.idle_since = driver.clock.Now().wall;
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 60);
  desktop.locked = desktop.idle = false;
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 0);
  desktop.locked = true;
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 0);
}

TEST_F(InputSamplerTest, ADesktopBehindAnotherSessionTakesNoInput) {
  Session("4", "x11", "tty2").active = false;
  EXPECT_EQ(ReadAge(), std::nullopt);
  EXPECT_EQ(driver.sources.at("input"), "1 session, none with a terminal or a desktop in front");
  IdleDesktop("5", seconds(100)).active = false;
  EXPECT_EQ(ReadAge(), 100);
}

TEST_F(InputSamplerTest, TheConsoleOfADesktopIsNoTerminal) {
  Terminal("tty2", seconds(10));
  IdleDesktop("4", seconds(100));
  InputSampler others(dev, std::make_unique<FakeSessions>(sessions), ::geteuid() + 1);
  SamplerDriver of_others(others);
  of_others.Read();
  EXPECT_EQ(of_others.values.at("idlewatt_host_input_idle_seconds"), 100);
}

TEST_F(InputSamplerTest, ASessionWithoutATerminalIsSomebodyWithoutInput) {
  Session("9", "tty");  // sftp
  EXPECT_EQ(ReadAge(), std::nullopt);
  EXPECT_EQ(driver.sources.at("input"), "1 session, none with a terminal or a desktop in front");
}

TEST_F(InputSamplerTest, WithoutABusTerminalsAreReadAndASentenceSaysSo) {
  sessions = Error{ErrorCode::kNoData, "D-Bus system bus", ENOENT, "there is none"};
  Terminal("pts/0", seconds(60));
  EXPECT_EQ(ReadAge(), 60);
  EXPECT_EQ(driver.sources.at("input:logind"), "!no_data");
  EXPECT_EQ(driver.rows.back().error->ToString(),
            "D-Bus system bus: there is none: No such file or directory");
}

TEST_F(InputSamplerTest, WhereLogindMayNotBeAskedTerminalsAreRead) {
  sessions = Error{ErrorCode::kPermission, "systemd-logind", EACCES, ""};
  Terminal("pts/0", seconds(60));
  EXPECT_EQ(ReadAge(), 60);
  EXPECT_EQ(driver.sources.at("input:logind"), "!permission");
}

TEST_F(InputSamplerTest, ALogindThatDoesNotAnswerFailsTheReading) {
  sessions = Error{ErrorCode::kTransient, "systemd-logind", ETIMEDOUT, ""};
  Terminal("pts/0", seconds(60));
  driver.Read();
  ASSERT_FALSE(driver.result.ok());
  EXPECT_EQ(driver.result.error().code, ErrorCode::kTransient);
}

TEST_F(InputSamplerTest, ALogindThatIsGoneDoesNotMakeTheMachineLookIdle) {
  Terminal("pts/0", seconds(600));
  Session("4", "x11", "tty2");
  EXPECT_EQ(ReadAge(), 0);
  const auto was = sessions;
  sessions = Error{ErrorCode::kNoData, "systemd-logind", 0, "does not run"};
  for (int look = 0; look < 3; ++look) {
    driver.ReadAfter(seconds(30));
    ASSERT_FALSE(driver.result.ok());
    // Not what makes the loop wait for longer and longer.
    EXPECT_EQ(driver.result.error().code, ErrorCode::kTransient);
    EXPECT_EQ(driver.result.error().ToString(), "systemd-logind: does not run");
  }
  sessions = was;
  driver.ReadAfter(seconds(30));
  EXPECT_EQ(Age(), 0);
}

TEST_F(InputSamplerTest, TerminalsThatMayNotBeListedFailTheReading) {
  tree.Remove("pts");
  tree.Link("pts", "pts");
  driver.Read();
  ASSERT_FALSE(driver.result.ok());
  EXPECT_EQ(driver.result.error().sys_errno, ELOOP);
}

}  // namespace
}  // namespace idlewatt
