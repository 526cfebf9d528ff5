#include "app/service_commands.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <thread>

#include "exporters/api.h"
#include "tests/support/fake_service_control.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

const std::string kToken(64, 'a');

// The commands against the real server over a supervisor that is none.
class ServiceCommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("IDLEWATT_TOKEN");
    data_.Write("control.token", kToken + "\n");
    for (const char* name : {"a", "b"}) control_.Add(name);
    control_.Add("off", ServiceState::kDisabled);
    // A service that is asked to start is ready a little later, but for b.
    control_.on_request = [this](const std::string& request) {
      const std::string name = request.substr(request.rfind(' ') + 1);
      if (request.starts_with("stop")) {
        control_.Change(name, ServiceState::kStopping);
        control_.Change(name, ServiceState::kStopped);
        return;
      }
      control_.Change(name, ServiceState::kStarting, "all gone");
      control_.Change(name, name == "b" ? b_goes_ : ServiceState::kReady, "log line");
    };
    Start();
  }

  void Start() {
    HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    auto started = HttpServer::Start(
        options, MakeEndpoints({.snapshot = snapshot_,
                                .alerts = alerts_,
                                .control = [this] { return &control_; },
                                .token = [] { return kToken; },
                                .reload = [this] { return reload_; },
                                .range = {},
                                .series = {},
                                .events = {},
                                .idle = {},
                                .storage =
                                    [this] {
                                      return StorageStatus{data_.PathOf("history.db"), {}};
                                    },
                                .clock = clock_}));
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
  }

  struct Ran {
    int exit_code = 0;
    std::string out, err;
  };
  template <typename Command>
  static Ran Run(Command command) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Ran ran;
    ran.exit_code = command();
    ran.out = testing::internal::GetCapturedStdout();
    ran.err = testing::internal::GetCapturedStderr();
    return ran;
  }
  Ran RunService(ServiceRequest request, std::vector<std::string> names, bool wait = true,
                 const std::string& timeout = "20s") const {
    ServiceArguments arguments;
    arguments.http = server_->address();
    arguments.all = names.empty();
    arguments.names = std::move(names);
    arguments.wait = wait;
    arguments.timeout = timeout;
    return Run([&] { return ServiceCommand(request, arguments); });
  }

  FakeTree data_;
  ServiceState b_goes_ = ServiceState::kReady;
  FakeServiceControl control_;
  Slot<Snapshot> snapshot_;
  Slot<std::vector<AlertStatus>> alerts_;
  RealClock clock_;
  Result<ReloadOutcome> reload_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ServiceCommandsTest, StartWaitsUntilAllAreReady) {
  const Ran ran = RunService(ServiceRequest::kStart, {"a", "b", "a"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "a  ready: log line\nb  ready: log line\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(control_.TakeRequests(), (std::vector<std::string>{"start a", "start b"}));
  const Ran again = RunService(ServiceRequest::kStart, {"a"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, "a  ready already\n");
}

TEST_F(ServiceCommandsTest, OneFailureDoesNotStopTheRestAndIsToldAtTheEnd) {
  b_goes_ = ServiceState::kFailed;
  ServiceStatus& c = control_.Add("c");
  c.failure = "exited with code 3\x1b[2J";
  c.last_exit = LastExit{};
  c.last_exit->lines = {"cannot bind", "bye"};
  control_.on_request = [this, next = control_.on_request](const std::string& request) {
    if (request != "start c") return next(request);
    control_.Change("c", ServiceState::kPending);
    control_.Change("c", ServiceState::kFailed);
  };
  const Ran ran = RunService(ServiceRequest::kStart, {"nobody", "b", "c", "a"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.out.find("a       ready: log line\n"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.err,
            "idlewatt: nobody: nobody: there is no such service\n"
            "idlewatt: b: is failed\n"
            "idlewatt: c: is failed: exited with code 3 [2J\n"
            "    | cannot bind\n"
            "    | bye\n");
}

TEST_F(ServiceCommandsTest, AllLeavesOutTheDisabled) {
  EXPECT_EQ(RunService(ServiceRequest::kStart, {}).exit_code, 0);
  EXPECT_EQ(control_.TakeRequests(), (std::vector<std::string>{"start a", "start b"}));
  EXPECT_EQ(RunService(ServiceRequest::kStop, {}).out,
            "off  disabled already\na    stopped: test\nb    stopped: test\n")
      << "in the order in which they are through";
}

TEST_F(ServiceCommandsTest, GivesUpAfterTheTimeout) {
  b_goes_ = ServiceState::kBackoff;
  const Ran ran = RunService(ServiceRequest::kStart, {"b"}, true, "300ms");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "idlewatt: b: was still backoff after 300ms\n");
  EXPECT_EQ(RunService(ServiceRequest::kStart, {"b"}, true, "soon").exit_code, 1);
}

TEST_F(ServiceCommandsTest, GivesUpWhenTheDaemonEnds) {
  std::jthread ends;
  control_.on_request = [this, &ends](const std::string& request) {
    if (request == "start b") ends = std::jthread([this] { server_.reset(); });
  };
  const Ran ran = RunService(ServiceRequest::kStart, {"a", "b"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.err.find("idlewatt: a: was still stopped when the daemon ended\n"),
            std::string::npos)
      << ran.err;
}

TEST_F(ServiceCommandsTest, WithoutWaitItIsEnoughToAsk) {
  b_goes_ = ServiceState::kBackoff;
  const Ran ran = RunService(ServiceRequest::kRestart, {"b"}, false);
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(control_.TakeRequests(), (std::vector<std::string>{"restart b"}));
}

TEST_F(ServiceCommandsTest, TheTokenMayComeFromTheEnvironment) {
  ::setenv("IDLEWATT_TOKEN", std::string(64, 'b').c_str(), 1);
  const Ran refused = RunService(ServiceRequest::kStart, {"a"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("the token is not that of this daemon"), std::string::npos);
  data_.Remove("control.token");
  ::setenv("IDLEWATT_TOKEN", kToken.c_str(), 1);
  EXPECT_EQ(RunService(ServiceRequest::kStart, {"a"}).exit_code, 0);
  ::unsetenv("IDLEWATT_TOKEN");
  const Ran missing = RunService(ServiceRequest::kStart, {"a"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.err.find("set IDLEWATT_TOKEN"), std::string::npos) << missing.err;
}

TEST_F(ServiceCommandsTest, WithoutADaemonAllSaySo) {
  const std::string address = server_->address();
  server_.reset();
  for (const Ran& ran : {Run([&] { return ReloadCommand(address); }),
                         Run([&] { return ProfileListCommand(address, false); }), Run([&] {
                           return LogsCommand({address, "a"});
                         })}) {
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.err.find(address), std::string::npos) << ran.err;
  }
}

TEST_F(ServiceCommandsTest, SwapSendsModelAndCommand) {
  const Ran ran = Run([&] {
    return SwapCommand({server_->address(), "a", "q \"4\".gguf", {"run", "--port", "1"}});
  });
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(control_.TakeRequests(),
            (std::vector<std::string>{"swap model=q \"4\".gguf [run] [--port] [1] a"}));
}

TEST_F(ServiceCommandsTest, LogsPrintsAndFollows) {
  control_.LogOf("a").Append("one\ntwo\n");
  EXPECT_EQ(Run([&] { return LogsCommand({server_->address(), "a", false, 1}); }).out, "two\n");
  const int before = control_.log_calls;
  const std::jthread writes([this, before] {
    // Asked for once to begin with, and then again and again by who waits for more.
    while (control_.log_calls < before + 2) ::poll(nullptr, 0, 5);
    control_.LogOf("a").Append("three\n");
    control_.Remove("a");
  });
  const Ran ran = Run([&] { return LogsCommand({server_->address(), "a", true, 1}); });
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "two\nthree\n");
}

TEST_F(ServiceCommandsTest, LogsOfNobodyNamesTheNearest) {
  const Ran ran = Run([&] { return LogsCommand({server_->address(), "of"}); });
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "idlewatt: there is no service \"of\"; did you mean \"off\"?\n");
}

TEST_F(ServiceCommandsTest, ReloadSaysWhatChanged) {
  reload_ = ReloadOutcome{{"new"}, {}, {"a", "b"}, {}, {"http"}};
  EXPECT_EQ(Run([&] { return ReloadCommand(server_->address()); }).out,
            "added: new\nrestarted: a, b\n"
            "changed, but only applied when the daemon is restarted: http\n");
  reload_ = ReloadOutcome{};
  EXPECT_EQ(Run([&] { return ReloadCommand(server_->address()); }).out, "nothing changed\n");
  reload_ = Error{ErrorCode::kInvalid, "idlewatt.toml:3", 0, "unknown key"};
  const Ran refused = Run([&] { return ReloadCommand(server_->address()); });
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.err, "idlewatt: idlewatt.toml:3: unknown key\n");
}

TEST_F(ServiceCommandsTest, ProfilesAreListedAndActivated) {
  EXPECT_EQ(Run([&] { return ProfileListCommand(server_->address(), false); }).out,
            "no service names a profile\n");
  control_.profiles = {{"fast", true, {"a", "b"}}, {"small", false, {}}};
  EXPECT_EQ(Run([&] { return ProfileListCommand(server_->address(), false); }).out,
            "PROFILE  ACTIVE  SERVICES\nfast     yes     a, b\nsmall    no\n");
  EXPECT_EQ(Run([&] { return ProfileActivateCommand(server_->address(), "small"); }).exit_code, 0);
  EXPECT_EQ(Run([&] { return ProfileActivateCommand(server_->address(), "none"); }).exit_code, 1);
}

}  // namespace
}  // namespace idlewatt
