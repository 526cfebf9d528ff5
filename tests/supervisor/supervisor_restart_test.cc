// What follows the end of a service: back-off, limits, exit codes, dependencies that fail.
#include <gmock/gmock.h>

#include <atomic>

#include "tests/supervisor/supervisor_fixture.h"

namespace idlewatt {
namespace {

using testing::HasSubstr;

class SupervisorRestartTest : public SupervisorFixture {
 protected:
  // Restarted after 20, 40, 80 ms without jitter.
  ServiceSpec Restarting(std::string name, std::string script) {
    ServiceSpec spec = Shell(std::move(name), std::move(script));
    spec.restart = RestartMode::kOnFailure;
    spec.working_dir = tree.path();
    spec.backoff.initial = 20ms;
    spec.backoff.jitter = 0;
    return spec;
  }
  // One that appends a line to the file NAME at each start.
  ServiceSpec Counting(const std::string& name, const std::string& script) {
    return Restarting(name, "echo x >>" + name + "; " + script);
  }
  size_t Starts(const std::string& name) const { return tree.Read(name).size() / 2; }
  StateNews Changes() const { return supervisor->WaitForChanges(0, 0s); }
  // The steps of a service as "backoff pending starting".
  std::string Steps(std::string_view name) const {
    std::string steps;
    for (const StateChange& change : Changes().changes) {
      if (change.service == name) steps.append(ServiceStateName(change.to)).append(" ");
    }
    return steps;
  }
};

TEST_F(SupervisorRestartTest, CrashesAreRestartedLaterAndLaterAndTheFourthIsTheLast) {
  Create({Counting("a", "exit 3")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kFailed));
  EXPECT_EQ(Starts("a"), 4U);
  EXPECT_THAT(Get("a").failure, HasSubstr("exited with code 3; "));
  EXPECT_EQ(Get("a").restart_attempts, 3);
  EXPECT_THAT(Get("a").restarts, testing::ElementsAre(testing::Pair("crash", 3)));
  std::vector<WallTime> begins;
  for (const StateChange& change : Changes().changes) {
    if (change.to == ServiceState::kBackoff || change.from == ServiceState::kBackoff) {
      begins.push_back(change.at);
    }
  }
  ASSERT_EQ(begins.size(), 6U);
  EXPECT_GE(begins[1] - begins[0], 19ms);
  EXPECT_GE(begins[3] - begins[2], 39ms);
  EXPECT_GE(begins[5] - begins[4], 79ms);
}

TEST_F(SupervisorRestartTest, AttemptsAndNextRetryAreTold) {
  ServiceSpec spec = Counting("a", "echo why >&2; kill -SEGV $$");
  spec.backoff.initial = spec.backoff.max = 1h;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kBackoff));
  const ServiceStatus status = Get("a");
  EXPECT_EQ(status.restart_attempts, 1);
  EXPECT_EQ(status.backoff_seconds, 3600);
  ASSERT_TRUE(status.next_retry_at);
  EXPECT_GT(*status.next_retry_at, clock.Now().wall + 59min);
  EXPECT_EQ(status.failure, "killed by SIGSEGV");
  ASSERT_TRUE(status.last_exit);
  EXPECT_THAT(status.last_exit->lines, testing::ElementsAre("why"));
  EXPECT_FALSE(status.pid);
}

TEST_F(SupervisorRestartTest, StartInBackoffActsAtOnce) {
  ServiceSpec spec = Counting("a", "[ $(wc -l <a) = 2 ] && { echo up; exec sleep 1000; }; exit 1");
  spec.backoff.initial = spec.backoff.max = 1h;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kBackoff));
  StartUp("a");
  EXPECT_FALSE(Get("a").next_retry_at);
  EXPECT_EQ(Get("a").restart_attempts, 0) << "an operator's start begins anew";
}

// The real one, but for a wall clock that somebody sets.
class JumpingClock final : public Clock {
 public:
  TimePoint Now() const override {
    TimePoint now = RealClock().Now();
    now.wall += std::chrono::hours(hours);
    return now;
  }
  std::atomic<int> hours = 0;
};

TEST_F(SupervisorRestartTest, ClockJumpOfAnHourMovesNoRetry) {
  JumpingClock jumping;
  service_clock = &jumping;
  ServiceSpec forward = Counting("forward", "exit 1");
  forward.backoff.initial = forward.backoff.max = 30min;
  ServiceSpec back = Counting("back", "[ $(wc -l <back) = 2 ] && exec sleep 1000; exit 1");
  back.backoff.initial = 200ms;
  Create({forward, back});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("forward", ServiceState::kBackoff));
  const WallTime before = Get("forward").next_retry_at.value_or(WallTime());
  jumping.hours = 1;
  EXPECT_EQ(Get("forward").state, ServiceState::kBackoff);
  EXPECT_NEAR(ToSeconds(*Get("forward").next_retry_at - before), 3600, 1);
  ASSERT_TRUE(WaitState("back", ServiceState::kBackoff));
  jumping.hours = -1;
  ASSERT_TRUE(WaitState("back", ServiceState::kReady)) << "after 200 ms, not an hour later";
  EXPECT_EQ(Get("forward").state, ServiceState::kBackoff);
  supervisor.reset();  // before its clock
}

TEST_F(SupervisorRestartTest, StopInBackoffActsAtOnce) {
  ServiceSpec spec = Counting("a", "exit 1");
  spec.backoff.initial = spec.backoff.max = 1h;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kBackoff));
  StopAndWait("a");
  EXPECT_FALSE(Get("a").next_retry_at);
  EXPECT_EQ(Starts("a"), 1U);
}

TEST_F(SupervisorRestartTest, HealthOfResetAfterBeginsAnewAndLessDoesNot) {
  // Ready for 60 ms each time.
  ServiceSpec healthy =
      Counting("healthy", "[ $(wc -l <healthy) -gt 8 ] && exec sleep 1000; sleep 0.06; exit 1");
  healthy.backoff.reset_after = 30ms;
  ServiceSpec flapping = Counting("flapping", "sleep 0.02; exit 1");
  flapping.backoff.reset_after = 1h;
  Create({healthy, flapping});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("flapping", ServiceState::kFailed));
  EXPECT_EQ(Starts("flapping"), 4U);
  ASSERT_TRUE(Wait("healthy", [&](const ServiceStatus& s) {
    return s.ready && s.restarts.contains("crash") && s.restarts.at("crash") == 8;
  })) << Get("healthy").failure;
}

TEST_F(SupervisorRestartTest, ExitCodesRule) {
  ServiceSpec success = Counting("success", "exit 7");
  success.success_exit_codes = {7};
  ServiceSpec prevented = Counting("prevented", "exit 78");
  prevented.restart_prevent_exit_codes = {78};
  ServiceSpec always = Counting("always", "[ $(wc -l <always) = 2 ] && exec sleep 1000; exit 0");
  always.restart = RestartMode::kAlways;
  ServiceSpec never = Counting("never", "exit 1");
  never.restart = RestartMode::kNo;
  Create({success, prevented, always, never});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("success", ServiceState::kExited));
  ASSERT_TRUE(WaitState("prevented", ServiceState::kFailed));
  ASSERT_TRUE(WaitState("never", ServiceState::kFailed));
  ASSERT_TRUE(Wait("always",
                   [](const ServiceStatus& s) { return s.restarts.contains("exit") && s.ready; }));
  EXPECT_EQ(Starts("success"), 1U);
  EXPECT_EQ(Starts("prevented"), 1U);
  EXPECT_EQ(Starts("never"), 1U);
  EXPECT_EQ(Get("success").failure, "");
  EXPECT_THAT(Get("prevented").failure, HasSubstr("78"));
}

TEST_F(SupervisorRestartTest, KillFromOutsideIsACrash) {
  Create({Counting("a", "echo up; exec sleep 1000")});
  StartUp("a");
  const pid_t first = Get("a").pid.value_or(-1);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(Wait("a", [&](const ServiceStatus& s) { return s.ready && s.pid != first; }));
  EXPECT_EQ(LastExitText("a"), "killed by SIGKILL");
  EXPECT_EQ(Get("a").restarts.at("crash"), 1);
}

TEST_F(SupervisorRestartTest, RestartOfAnOperatorIsNoCrash) {
  Create({Counting("a", "trap 'sleep 0.2; exit 0' TERM; echo up; while :; do sleep 0.01; done")});
  StartUp("a");
  const pid_t first = Get("a").pid.value_or(-1);
  ASSERT_TRUE(supervisor->Restart("a"));
  ASSERT_TRUE(supervisor->Restart("a"));
  ASSERT_TRUE(Wait("a", [&](const ServiceStatus& s) {
    return s.ready && s.pid != first && !s.last_output.empty();
  }));
  EXPECT_EQ(Starts("a"), 2U) << "the second request found the first under way";
  EXPECT_THAT(Get("a").restarts, testing::ElementsAre(testing::Pair("request", 1)));
  EXPECT_EQ(Get("a").restart_attempts, 0);
}

TEST_F(SupervisorRestartTest, WhatIsTransientIsTriedAgain) {
  // A folder for FIFOs that is not there stands for any lack of resources.
  Create({Counting("a", "echo up; exec sleep 1000")});
  std::filesystem::rename(tree.PathOf("fifo"), tree.PathOf("away"));
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kBackoff));
  EXPECT_THAT(Get("a").failure, HasSubstr("no FIFO for its output"));
  std::filesystem::rename(tree.PathOf("away"), tree.PathOf("fifo"));
  ASSERT_TRUE(WaitLine("a", "up"));
  EXPECT_EQ(Get("a").restarts.at("spawn"), 1);
}

// --- Dependencies ---

TEST_F(SupervisorRestartTest, StartBringsWhatItNeedsInOrder) {
  ServiceSpec db = Counting("db", "exec sleep 1000");
  db.ready = ReadySpec{};
  db.ready->delay = 50ms;
  ServiceSpec migration = Counting("migration", "exit 0");
  migration.depends_on = {{"db", DependencyCondition::kReady}};
  ServiceSpec web = Counting("web", "exec sleep 1000");
  web.depends_on = {{"migration", DependencyCondition::kCompleted},
                    {"db", DependencyCondition::kStarted}};
  Create({web, migration, db});
  ASSERT_TRUE(supervisor->Start("web"));
  ASSERT_TRUE(WaitState("web", ServiceState::kReady)) << Get("web").failure << Get("web").note;
  EXPECT_EQ(Get("migration").state, ServiceState::kExited);
  EXPECT_EQ(Get("db").state, ServiceState::kReady);
  std::vector<std::string> order;
  for (const StateChange& change : Changes().changes) {
    if (change.to == ServiceState::kStarting) order.push_back(change.service);
  }
  EXPECT_THAT(order, testing::ElementsAre("db", "migration", "web"));
}

TEST_F(SupervisorRestartTest, WhoWaitsSaysForWhom) {
  ServiceSpec db = Counting("db", "exec sleep 1000");
  db.ready = ReadySpec{};
  db.ready->delay = 1h;
  db.ready->timeout = 2h;
  ServiceSpec web = Counting("web", "exec sleep 1000");
  web.depends_on = {{"db", DependencyCondition::kReady}};
  Create({db, web});
  supervisor->StartAutostart();
  ASSERT_TRUE(Wait("web", [](const ServiceStatus& s) {
    return s.note == "waits for db to be ready, it is starting";
  })) << Get("web").note;
  EXPECT_EQ(Get("web").state, ServiceState::kPending);
  StopAndWait("web");
}

TEST_F(SupervisorRestartTest, FailedDependencyFailsItsDependentsOneAfterTheOther) {
  ServiceSpec db = Counting("db", "exit 1");
  db.restart = RestartMode::kNo;
  db.ready = ReadySpec{};
  db.ready->delay = 1h;
  db.ready->timeout = 2h;
  ServiceSpec web = Counting("web", "exec sleep 1000");
  web.depends_on = {{"db", DependencyCondition::kReady}};
  ServiceSpec proxy = Counting("proxy", "exec sleep 1000");
  proxy.depends_on = {{"web", DependencyCondition::kStarted}};
  ServiceSpec other = Counting("other", "exec sleep 1000");
  Create({proxy, web, db, other});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("proxy", ServiceState::kFailed));
  EXPECT_EQ(Get("web").failure, "needs db to be ready, it is failed");
  EXPECT_EQ(Get("proxy").failure, "needs web to be started, it is failed");
  ASSERT_TRUE(WaitState("other", ServiceState::kReady)) << "one failure does not stop the rest";
}

TEST_F(SupervisorRestartTest, StopOfAllIsInReverseOrderAndInParallel) {
  // Each writes its name when it is stopped, and takes 200 ms for it.
  const auto slow = [&](const std::string& name) {
    return Restarting(name, "trap 'sleep 0.2; echo " + name +
                                " >>order; exit 0' TERM; echo up; while :; do sleep 0.01; done");
  };
  ServiceSpec db = slow("db");
  ServiceSpec cache = slow("cache");
  ServiceSpec web = slow("web");
  web.depends_on = {{"db", DependencyCondition::kStarted},
                    {"cache", DependencyCondition::kStarted}};
  Create({db, cache, web});
  supervisor->StartAutostart();
  for (const char* name : {"db", "cache", "web"}) ASSERT_TRUE(WaitLine(name, "up"));
  const auto before = std::chrono::steady_clock::now();
  supervisor->StopAll();
  ASSERT_TRUE(supervisor->WaitAllStopped(kLong));
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_THAT(tree.Read("order"), testing::AnyOf("web\ndb\ncache\n", "web\ncache\ndb\n"));
  EXPECT_GE(took, 400ms);
  EXPECT_LT(took, 590ms) << "db and cache at once";
}

TEST_F(SupervisorRestartTest, NothingStartsOnceAllIsStopped) {
  Create({Counting("a", "echo up; exec sleep 1000")});
  StartUp("a");
  supervisor->StopAll();
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(supervisor->WaitAllStopped(kLong));
  EXPECT_EQ(Get("a").state, ServiceState::kStopped);
  EXPECT_EQ(Starts("a"), 1U);
}

TEST_F(SupervisorRestartTest, EveryStepIsToldInOrderAndNoneIsMissed) {
  Create({Counting("a", "echo up; exec sleep 1000")});
  StartUp("a");
  StopAndWait("a");
  EXPECT_EQ(Steps("a"), "pending starting ready stopping stopped ");
  uint64_t number = 0;
  ServiceState last = ServiceState::kStopped;
  for (const StateChange& change : Changes().changes) {
    EXPECT_EQ(change.number, ++number);
    EXPECT_EQ(change.from, last);
    last = change.to;
  }
  EXPECT_TRUE(supervisor->WaitForChanges(number, 1ms).changes.empty());
}

}  // namespace
}  // namespace idlewatt
