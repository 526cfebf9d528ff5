// Stopping: nobody is left behind, and it ends in time.
#include <sys/wait.h>

#include <csignal>

#include "supervisor/process/service_cgroup.h"
#include "tests/supervisor/supervisor_fixture.h"

namespace idlewatt {
namespace {

// With and without a cgroup for each run: true and false.
class SupervisorStopTest : public SupervisorFixture, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    options.cgroups = GetParam();
    if (!GetParam()) return;
    const auto cgroup =
        ServiceCgroup::FindParent(*FileRoot::Open("/proc"), *FileRoot::Open("/sys"));
    if (!cgroup) GTEST_SKIP() << cgroup.error().ToString();
  }
  // A service that works in the tree and is killed 300 ms after a stop.
  ServiceSpec Impatient(std::string name, std::string script) {
    ServiceSpec spec = Shell(std::move(name), std::move(script));
    spec.working_dir = tree.path();
    spec.stop_timeout = 300ms;
    return spec;
  }
  // How long `action` and the way to `stopped` took.
  double SecondsToStop(std::string_view name) {
    const auto before = std::chrono::steady_clock::now();
    StopAndWait(name);
    return ToSeconds(std::chrono::steady_clock::now() - before);
  }
};

// A shell that ignores SIGTERM and, as its children inherit that, cannot be stopped but by KILL.
constexpr const char* kStubborn = "trap '' TERM; echo up; while :; do sleep 1000; done";

TEST_P(SupervisorStopTest, IgnoredSignalIsFollowedByKillAtTheDeadline) {
  Create({Impatient("a", kStubborn)});
  StartUp("a");
  const double seconds = SecondsToStop("a");
  EXPECT_GE(seconds, 0.3);
  EXPECT_LT(seconds, 0.8);
  EXPECT_EQ(LastExitText("a"), "killed by SIGKILL");
}

TEST_P(SupervisorStopTest, StopSignalIsTheOneOfTheSpec) {
  ServiceSpec spec = Shell("a", "trap 'exit 7' INT; echo up; while :; do sleep 0.01; done");
  spec.stop_signal = SIGINT;
  Create({std::move(spec)});
  StartUp("a");
  StopAndWait("a");
  EXPECT_EQ(LastExitText("a"), "exited with code 7");
  EXPECT_EQ(Get("a").failure, "");
}

TEST_P(SupervisorStopTest, SiblingThatIgnoresTheSignalIsDeadBeforeStopped) {
  Create({Impatient("a",
                    "sh -c 'trap \"\" TERM; echo $$ >sibling; echo up; while :; do sleep 1000; "
                    "done' & wait")});
  StartUp("a");
  const pid_t sibling = PidIn("sibling");
  ASSERT_FALSE(IsDead(sibling));
  EXPECT_GE(SecondsToStop("a"), 0.3) << "the leader ends at once, the sibling at the deadline";
  EXPECT_TRUE(IsDead(sibling));
}

TEST_P(SupervisorStopTest, DoubleForkedDaemonIsGoneAfterStop) {
  Create({Impatient("a",
                    "(setsid sh -c 'trap \"\" TERM; echo $$ >daemon; echo up; while :; do "
                    "sleep 1000; done' &) ; exec sleep 1000")});
  StartUp("a");
  const pid_t daemon = PidIn("daemon");
  ASSERT_FALSE(IsDead(daemon));
  ASSERT_EQ(::getsid(daemon), daemon);
  StopAndWait("a");
  EXPECT_TRUE(IsDead(daemon));
}

TEST_P(SupervisorStopTest, DescendantWithoutOurMarksIsGoneAfterStop) {
  Create({Impatient("a",
                    "env -i setsid sh -c 'trap \"\" TERM; echo $$ >child; echo up; while :; do "
                    "sleep 1000; done' & wait")});
  StartUp("a");
  const pid_t child = PidIn("child");
  ASSERT_FALSE(IsDead(child));
  StopAndWait("a");
  EXPECT_TRUE(IsDead(child));
}

TEST_P(SupervisorStopTest, RootThatEndsByItselfLeavesNobody) {
  Create({Impatient("a",
                    "sh -c 'trap \"\" TERM; echo $$ >sibling; echo up; while :; do sleep "
                    "1000; done' & until [ -s sibling ]; do sleep 0.01; done; exit 4")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kFailed));
  EXPECT_TRUE(Get("a").has_processes) << "failed is known at once, the sibling still lives";
  EXPECT_EQ(supervisor->Roots().size(), 1U);
  ASSERT_TRUE(Wait("a", [](const ServiceStatus& s) { return !s.has_processes; }));
  EXPECT_TRUE(IsDead(PidIn("sibling")));
  EXPECT_EQ(Get("a").state, ServiceState::kFailed);
  EXPECT_EQ(Get("a").failure, "exited with code 4");
}

TEST_P(SupervisorStopTest, StartWaitsForWhatTheLastRunLeft) {
  Create({Impatient("a",
                    "echo run >>runs; [ -s sibling ] && exec sleep 1000; sh -c 'trap \"\" "
                    "TERM; echo $$ >sibling; while :; do sleep 1000; done' & "
                    "until [ -s sibling ]; do sleep 0.01; done; exit 4")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitState("a", ServiceState::kFailed));
  ASSERT_TRUE(supervisor->Start("a"));
  EXPECT_TRUE(WaitState("a", ServiceState::kPending));
  EXPECT_FALSE(IsDead(PidIn("sibling")));
  ASSERT_TRUE(WaitState("a", ServiceState::kReady));
  EXPECT_TRUE(IsDead(PidIn("sibling")));
}

INSTANTIATE_TEST_SUITE_P(Cgroup, SupervisorStopTest, testing::Bool(),
                         [](const auto& test) { return std::string(test.param ? "Yes" : "No"); });

TEST_P(SupervisorStopTest, DaemonThatLeftInEveryWayIsHeldByTheCgroupAlone) {
  // It has left the session, cleared its environment, lost its parent, and keeps the FIFO open.
  Create({Impatient("a",
                    "(env -i setsid sh -c 'echo $$ >holder; exec sleep 1000' &); "
                    "until [ -s holder ]; do sleep 0.01; done; echo up; exec sleep 1000")});
  const size_t descriptors = OpenDescriptors();
  StartUp("a");
  const pid_t holder = PidIn("holder");
  EXPECT_LT(SecondsToStop("a"), 0.3);
  EXPECT_EQ(IsDead(holder), GetParam());
  EXPECT_EQ(OpenDescriptors(), descriptors);
  EXPECT_FALSE(Get("a").has_processes);
  if (!GetParam()) KillAndWait(holder);
}

TEST_P(SupervisorStopTest, SuspendedProcessGetsToHandleTheSignal) {
  ServiceSpec spec = Shell("a", "trap 'exit 7' TERM; echo up; kill -STOP $$; sleep 1000");
  spec.stop_timeout = 60s;
  Create({std::move(spec)});
  StartUp("a");
  const pid_t pid = Get("a").pid.value_or(-1);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT), 0);
  EXPECT_LT(SecondsToStop("a"), 10);
  EXPECT_EQ(LastExitText("a"), "exited with code 7");
}

TEST_P(SupervisorStopTest, ProcessBornDuringTheStopIsGoneToo) {
  tree.Write("late.sh", "trap '' TERM\necho $$ >late\nwhile :; do sleep 1000; done\n");
  Create({Impatient("a",
                    "trap 'setsid sh late.sh & until [ -s late ]; do sleep 0.01; done; exit 0' "
                    "TERM; echo up; while :; do sleep 0.01; done")});
  StartUp("a");
  StopAndWait("a");
  EXPECT_TRUE(IsDead(PidIn("late")));
}

TEST_P(SupervisorStopTest, ForkBombStops) {
  Create({Impatient("a",
                    "trap '' TERM; echo up; bomb() { while :; do (:) & (setsid true &); done; }; "
                    "bomb & bomb & bomb")});
  StartUp("a");
  EXPECT_LT(SecondsToStop("a"), 5);
}

TEST_P(SupervisorStopTest, AllStopInParallelBoundedByTheSlowest) {
  std::vector<ServiceSpec> specs;
  for (int i = 0; i < 5; ++i) specs.push_back(Impatient("s" + std::to_string(i), kStubborn));
  Create(specs);
  supervisor->StartAutostart();
  for (const ServiceSpec& spec : specs) ASSERT_TRUE(WaitLine(spec.name, "up"));
  const auto before = std::chrono::steady_clock::now();
  supervisor->StopAll();
  ASSERT_TRUE(supervisor->WaitAllStopped(kLong));
  EXPECT_LT(std::chrono::steady_clock::now() - before, 800ms);
  for (const ServiceStatus& s : supervisor->Status()) EXPECT_EQ(s.state, ServiceState::kStopped);
}

TEST_P(SupervisorStopTest, KillAllEndsAStopThatIsUnderWay) {
  ServiceSpec spec = Shell("a", kStubborn);
  spec.stop_timeout = 1h;
  Create({std::move(spec)});
  StartUp("a");
  supervisor->StopAll();
  ASSERT_TRUE(WaitState("a", ServiceState::kStopping));
  EXPECT_FALSE(supervisor->WaitAllStopped(20ms));
  supervisor->KillAll();
  EXPECT_TRUE(supervisor->WaitAllStopped(kLong));
  EXPECT_EQ(Get("a").state, ServiceState::kStopped);
}

TEST_P(SupervisorStopTest, StartThatCameBeforeStopAllIsStoppedToo) {
  for (int i = 0; i < 20; ++i) {
    Create({Shell("a", "exec sleep 1000")});
    ASSERT_TRUE(supervisor->Start("a"));
    supervisor->StopAll();
    ASSERT_TRUE(supervisor->WaitAllStopped(kLong));
    ASSERT_EQ(Get("a").state, ServiceState::kStopped);
  }
}

TEST_P(SupervisorStopTest, DestructorLeavesNobody) {
  Create({Shell("a", kStubborn)});
  StartUp("a");
  const pid_t pid = Get("a").pid.value_or(-1);
  supervisor.reset();
  EXPECT_TRUE(IsGone(pid));
}

TEST_P(SupervisorStopTest, ManyCyclesLeaveNoDescriptorAndNoZombie) {
  Create({Shell("a", "(setsid true &); exec sleep 1000")});
  const auto cycle = [&] {
    ASSERT_TRUE(supervisor->Start("a"));
    ASSERT_TRUE(WaitState("a", ServiceState::kReady));
    StopAndWait("a");
  };
  cycle();
  const size_t descriptors = OpenDescriptors();
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) cycle();
  RecordProperty("cycles_milliseconds",
                 static_cast<int>((std::chrono::steady_clock::now() - before) / 1ms));
  EXPECT_EQ(OpenDescriptors(), descriptors);
  EXPECT_EQ(supervisor->TakeEnded().size(), 201U);
}

// The daemon's children, counted by a service: it may poll, the test may not.
std::string OrphansThenUp(int children_left) {
  return "n=0; while [ $n -lt 50 ]; do (sh -c : &); n=$((n+1)); done; "
         "until [ $(cat /proc/$PPID/task/*/children | wc -w) = " +
         std::to_string(children_left) + " ]; do sleep 0.01; done; echo up; exec sleep 1000";
}

TEST_P(SupervisorStopTest, OrphansAreReapedWhileTheServiceRuns) {
  Create({Shell("a", OrphansThenUp(1))});
  StartUp("a");
}

TEST_P(SupervisorStopTest, OrphansAreReapedBehindARootThatMustStay) {
  ServiceSpec stays = Shell("stays",
                            "sh -c 'trap \"\" TERM; echo $$ >sibling; while :; do sleep 1000; "
                            "done' & until [ -s sibling ]; do sleep 0.01; done; exit 4");
  stays.working_dir = tree.path();
  stays.stop_timeout = 1h;
  Create({stays, Shell("a", OrphansThenUp(3))});  // itself, the root that stays, its sibling
  ASSERT_TRUE(supervisor->Start("stays"));
  ASSERT_TRUE(WaitState("stays", ServiceState::kFailed));
  StartUp("a");
  EXPECT_TRUE(Get("stays").has_processes);
}

}  // namespace
}  // namespace idlewatt
