// Readiness and liveness of services that really run.
#include <gmock/gmock.h>

#include "tests/supervisor/supervisor_fixture.h"
#include "tests/supervisor/test_server.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class SupervisorReadyTest : public SupervisorFixture {
 protected:
  // A service that nothing makes ready yet; not to be ready in time is a failure.
  static ServiceSpec Awaited(std::string name, std::string script) {
    ServiceSpec spec = Shell(std::move(name), std::move(script));
    spec.ready.emplace().fail_on_timeout = true;
    return spec;
  }
  ServiceSpec Program(std::string name, const std::string& program,
                      std::vector<std::string> arguments) {
    ServiceSpec spec = Awaited(std::move(name), "");
    spec.command = {"/usr/bin/python3",
                    IDLEWATT_SOURCE_DIR "/tests/supervisor/programs/" + program};
    spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
    spec.working_dir = tree.path();
    return spec;
  }
  ServiceSpec Server(std::string name, std::vector<std::string> behaviour) {
    behaviour.insert(behaviour.begin(), "${PORT}");
    ServiceSpec spec = Program(std::move(name), "server.py", std::move(behaviour));
    spec.auto_port = true;
    return spec;
  }
  std::vector<StateChange> Changes() const { return supervisor->WaitForChanges(0, 0s).changes; }
  // Why the service became ready the last time.
  std::string HowReady(std::string_view name) const {
    std::string how;
    for (const StateChange& change : Changes()) {
      if (change.service == name && change.to == ServiceState::kReady) how = change.reason;
    }
    return how;
  }
  void StartAndWaitReady(std::string_view name) {
    ASSERT_TRUE(supervisor->Start(name));
    ASSERT_TRUE(WaitState(name, ServiceState::kReady)) << Get(name).failure;
  }
};

TEST_F(SupervisorReadyTest, AllStartAtOnce) {
  constexpr int kServices = 20;
  std::vector<ServiceSpec> specs;
  for (int i = 0; i < kServices; ++i) {
    specs.push_back(Awaited("s" + std::to_string(i), "sleep 1; echo listening; exec sleep 1000"));
    specs.back().ready->log_patterns = {"listening"};
  }
  Create(std::move(specs));
  const auto begin = std::chrono::steady_clock::now();
  supervisor->StartAutostart();
  ASSERT_TRUE(supervisor->WaitFor(
      [](const std::vector<ServiceStatus>& statuses) {
        return std::ranges::all_of(statuses, [](const ServiceStatus& s) { return s.ready; });
      },
      kLong));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, 1s);
  EXPECT_LT(took, 1s * kServices / 2) << "the slowest is 1 s, the sum 20 s";
}

TEST_F(SupervisorReadyTest, LogLineInTwoWritesWithoutItsEndOnStderrCounts) {
  ServiceSpec spec =
      Awaited("a", "printf 'server lis' >&2; sleep 0.1; printf tening >&2; sleep 1000");
  spec.ready->log_patterns = {"server listening"};
  Create({spec});
  StartAndWaitReady("a");
  EXPECT_THAT(HowReady("a"), HasSubstr("log line \"server listening\""));
}

TEST_F(SupervisorReadyTest, HttpIsAskedUntilItIsWell) {
  ServiceSpec spec = Server("a", {"unwell=2"});
  spec.ready->http_get = "/health";
  Create({spec});
  StartAndWaitReady("a");
  EXPECT_THAT(HowReady("a"), HasSubstr("answered 200"));
  EXPECT_THAT(Get("a").last_output, ElementsAre("503", "503", "200"));
}

TEST_F(SupervisorReadyTest, PortMayOpenLate) {
  ServiceSpec spec = Server("a", {"late=0.2"});
  spec.ready->tcp_socket = true;
  Create({spec});
  StartAndWaitReady("a");
  EXPECT_THAT(HowReady("a"), HasSubstr("tcp_socket"));
}

TEST_F(SupervisorReadyTest, CommandMakesReady) {
  ServiceSpec spec = Awaited("a", "sleep 0.1; touch flag; exec sleep 1000");
  spec.working_dir = tree.path();
  spec.ready->exec = {"/bin/sh", "-c", "test -e flag"};
  Create({spec});
  StartAndWaitReady("a");
  EXPECT_TRUE(std::filesystem::exists(tree.PathOf("flag")));
  EXPECT_THAT(HowReady("a"), HasSubstr("exec"));
}

TEST_F(SupervisorReadyTest, NotifyMakesReadyAndTellsAStatus) {
  ServiceSpec spec = Program("a", "notify.py", {"STATUS=loads the model", "READY=1"});
  spec.ready->notify = true;
  Create({spec});
  StartAndWaitReady("a");
  EXPECT_THAT(HowReady("a"), HasSubstr("READY=1 of process " + std::to_string(*Get("a").pid)));
  EXPECT_EQ(Get("a").note, "loads the model");
}

TEST_F(SupervisorReadyTest, FirstOfSeveralWaysWins) {
  ServiceSpec spec = Server("a", {"unwell=1000000"});
  spec.ready->http_get = "/health";
  spec.ready->delay = 1h;
  spec.ready->log_patterns = {"never", "503"};
  spec.ready->timeout = 2h;
  Create({spec});
  StartAndWaitReady("a");
  EXPECT_THAT(HowReady("a"), HasSubstr("log line \"503\""));
}

TEST_F(SupervisorReadyTest, WhatIsNeverReadyFailsOrCountsAsReady) {
  ServiceSpec fails = Awaited("fails", "exec sleep 1000");
  fails.ready->log_patterns = {"listening"};
  fails.ready->timeout = 100ms;
  ServiceSpec counts = fails;
  counts.name = "counts";
  counts.ready->fail_on_timeout = false;
  ServiceSpec retried = fails;
  retried.name = "retried";
  retried.restart = RestartMode::kOnFailure;
  retried.start_limit.burst = 1;
  retried.backoff.initial = 1ms;
  Create({fails, counts, retried});
  supervisor->StartAutostart();
  ASSERT_TRUE(Wait("fails", [](const ServiceStatus& s) {
    return s.state == ServiceState::kFailed && !s.has_processes;
  }));
  EXPECT_THAT(Get("fails").failure, HasSubstr("not ready after"));
  EXPECT_THAT(Get("fails").failure, HasSubstr("no log line matched"));
  ASSERT_TRUE(WaitState("counts", ServiceState::kReady));
  EXPECT_THAT(HowReady("counts"), HasSubstr("not ready after"));
  ASSERT_TRUE(WaitState("retried", ServiceState::kFailed));
  EXPECT_THAT(Get("retried").restarts, ElementsAre(Pair("not_ready", 1)));
}

TEST_F(SupervisorReadyTest, OutputExtendsTheTimeoutWhereItMay) {
  const std::string talks =
      "i=0; while [ $i -lt 20 ]; do echo $i; sleep 0.05; i=$((i+1)); done; echo listening; "
      "exec sleep 1000";
  ServiceSpec extended = Awaited("extended", talks);
  extended.ready->log_patterns = {"listening"};
  extended.ready->timeout = 200ms;
  ServiceSpec not_extended = extended;
  not_extended.name = "not-extended";
  ServiceSpec silent = Awaited("silent", "echo loading; exec sleep 1000");
  silent.ready->log_patterns = {"listening"};
  silent.ready->timeout = silent.ready->stall_timeout.emplace(200ms);
  extended.ready->stall_timeout = 10s;
  Create({extended, not_extended, silent});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("extended", ServiceState::kReady)) << Get("extended").failure;
  EXPECT_THAT(HowReady("extended"), HasSubstr("log line \"listening\""));
  ASSERT_TRUE(WaitState("not-extended", ServiceState::kFailed));
  ASSERT_TRUE(WaitState("silent", ServiceState::kFailed));
}

TEST_F(SupervisorReadyTest, DeathWhileStartingIsKnownAtOnceWithItsLastWords) {
  ServiceSpec spec = Awaited("a", "echo loading; echo 'cannot read the model' >&2; exit 3");
  spec.ready->log_patterns = {"listening"};
  spec.ready->timeout = 1h;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kFailed));
  EXPECT_EQ(Get("a").failure, "exited with code 3");
  ASSERT_TRUE(Get("a").last_exit);
  EXPECT_THAT(Get("a").last_exit->lines, ElementsAre("loading", "cannot read the model"));
  EXPECT_EQ(HowReady("a"), "");
}

TEST_F(SupervisorReadyTest, StrangerOnThePortIsNamed) {
  const Listener stranger;
  ServiceSpec spec = Awaited("a", "echo up; exec sleep 1000");
  spec.port = stranger.port();
  spec.ready->tcp_socket = true;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kFailed));
  EXPECT_THAT(Get("a").failure, HasSubstr("port " + std::to_string(stranger.port())));
  EXPECT_THAT(Get("a").failure, HasSubstr("held by process " + std::to_string(::getpid()) + " ("));
  EXPECT_EQ(tree.Read("log/a.log"), "") << "it was not started at all";
}

// On ::1, so that the service's own port looks free when it is started.
TEST_F(SupervisorReadyTest, AnswerOfAStrangerIsNotItsReadiness) {
  const Listener stranger(AF_INET6);
  ServiceSpec spec = Awaited("a", "exec sleep 1000");
  spec.port = stranger.port();
  spec.ready->tcp_socket = true;
  spec.ready->timeout = 300ms;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kFailed));
  EXPECT_THAT(Get("a").failure, HasSubstr("held by process " + std::to_string(::getpid()) + " ("));
  EXPECT_EQ(HowReady("a"), "");
}

TEST_F(SupervisorReadyTest, ServerThatStopsAnsweringIsRestarted) {
  ServiceSpec spec = Server("a", {});
  spec.ready->http_get = "/health";
  spec.liveness.emplace().http_get = "/health";
  spec.liveness->period = 50ms;
  spec.liveness->timeout = 500ms;
  spec.liveness->failure_threshold = 2;
  spec.restart = RestartMode::kOnFailure;
  spec.backoff.initial = 1ms;
  spec.start_limit.burst = 100;
  Create({spec});
  StartAndWaitReady("a");
  const pid_t first = Get("a").pid.value_or(-1);
  tree.Write("hang", "");
  ASSERT_TRUE(Wait("a", [&](const ServiceStatus& s) { return s.ready && s.pid != first; }));
  EXPECT_THAT(Get("a").restarts, ElementsAre(Pair("unhealthy", testing::Ge(1))));
  std::vector<ServiceState> steps;
  for (const StateChange& change : Changes()) steps.push_back(change.to);
  ASSERT_GE(steps.size(), 5U);
  EXPECT_EQ(steps[3], ServiceState::kUnhealthy) << "one failure is no reason to restart";
  EXPECT_EQ(steps[4], ServiceState::kBackoff);
  EXPECT_TRUE(IsGone(first));
}

}  // namespace
}  // namespace idlewatt
