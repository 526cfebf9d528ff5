// Changes while services run: swap, profiles, reload.
#include <gmock/gmock.h>

#include "tests/supervisor/supervisor_fixture.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SupervisorChangeTest : public SupervisorFixture {
 protected:
  // Says its model and is ready then; "bad" is none that it can load.
  ServiceSpec Server(std::string name) {
    ServiceSpec spec =
        Shell(std::move(name),
              "[ ${MODEL} = bad ] && exit 9; [ ${MODEL} = slow ] || echo loaded ${MODEL}; "
              "exec sleep 1000");
    spec.model = "small";
    spec.ready = ReadySpec{};
    spec.ready->log_patterns = {"^loaded"};
    spec.ready->timeout = 60s;
    return spec;
  }
  pid_t PidOf(std::string_view name) const { return Get(name).pid.value_or(-1); }
  // Waits until `name` is ready with `model`.
  [[nodiscard]] bool WaitModel(std::string_view name, std::string_view model) const {
    return Wait(name, [&](const ServiceStatus& s) { return s.ready && s.model == model; });
  }
  Result<void> SwapModel(std::string_view name, std::string model) {
    SwapRequest request;
    request.model = std::move(model);
    return supervisor->Swap(name, request);
  }
  static ServiceSpec InProfiles(ServiceSpec spec, std::vector<std::string> profiles) {
    spec.profiles = std::move(profiles);
    return spec;
  }
};

TEST_F(SupervisorChangeTest, SwapWithAPortOfItsOwnIsBesideAndNeverWithoutAReadyOne) {
  ServiceSpec spec = Server("a");
  spec.auto_port = true;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitModel("a", "small"));
  const ServiceStatus before = Get("a");
  ASSERT_TRUE(SwapModel("a", "big"));
  ASSERT_TRUE(WaitModel("a", "big")) << Get("a").failure;
  EXPECT_NE(Get("a").pid, before.pid);
  EXPECT_NE(Get("a").port, before.port);
  EXPECT_EQ(Get("a").restarts.at("swap"), 1);
  for (const StateChange& change : supervisor->WaitForChanges(0, 0s).changes) {
    EXPECT_NE(change.from == ServiceState::kReady && change.to != ServiceState::kReady, true)
        << "it was not ready for a while";
  }
  ASSERT_TRUE(Wait("a", [&](const ServiceStatus&) { return IsGone(before.pid.value_or(-1)); }));
}

TEST_F(SupervisorChangeTest, SwapBesideThatFailsLeavesTheOldOneServing) {
  ServiceSpec spec = Server("a");
  spec.auto_port = true;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitModel("a", "small"));
  const pid_t before = PidOf("a");
  ASSERT_TRUE(SwapModel("a", "bad"));
  ASSERT_TRUE(Wait("a", [](const ServiceStatus& s) { return !s.failure.empty(); }));
  EXPECT_EQ(Get("a").failure, "swap failed: exited with code 9; what ran before goes on");
  EXPECT_EQ(PidOf("a"), before);
  EXPECT_EQ(Get("a").model, "small");
  EXPECT_TRUE(Get("a").ready);
}

TEST_F(SupervisorChangeTest, SwapOnAFixedPortIsAfterAndFallsBack) {
  Create({Server("a")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitModel("a", "small"));
  const pid_t before = PidOf("a");
  ASSERT_TRUE(SwapModel("a", "big"));
  ASSERT_TRUE(WaitModel("a", "big")) << Get("a").failure;
  EXPECT_TRUE(IsGone(before));
  ASSERT_TRUE(SwapModel("a", "bad"));
  ASSERT_TRUE(Wait("a", [](const ServiceStatus& s) {
    return s.ready &&
           s.failure == "swap failed: exited with code 9; what ran before is started again";
  })) << Get("a").failure;
  EXPECT_EQ(Get("a").model, "big");
  // It runs on by the policy of before: a crash later is a crash of the old one.
  EXPECT_EQ(Get("a").last_output, std::vector<std::string>{"loaded big"});
}

TEST_F(SupervisorChangeTest, StopDuringASwapStopsBoth) {
  ServiceSpec spec = Server("a");
  spec.auto_port = true;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitModel("a", "small"));
  ASSERT_TRUE(SwapModel("a", "slow"));
  ASSERT_TRUE(Wait("a", [&](const ServiceStatus& s) { return !s.note.empty(); }));
  StopAndWait("a");
  EXPECT_FALSE(Get("a").has_processes);
}

TEST_F(SupervisorChangeTest, LastSwapWins) {
  ServiceSpec spec = Server("a");
  spec.auto_port = true;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitModel("a", "small"));
  ASSERT_TRUE(SwapModel("a", "slow"));
  ASSERT_TRUE(SwapModel("a", "big"));
  ASSERT_TRUE(WaitModel("a", "big"));
}

TEST_F(SupervisorChangeTest, SwapOfWhatDoesNotRunStartsTheNewOne) {
  Create({Server("a")});
  ASSERT_TRUE(SwapModel("a", "big"));
  ASSERT_TRUE(WaitModel("a", "big"));
  EXPECT_FALSE(supervisor->Swap("a", {}).ok());
  EXPECT_FALSE(SwapModel("b", "big").ok());
}

TEST_F(SupervisorChangeTest, ProfileSwitchKeepsThePidsOfWhatIsInBoth) {
  Create({InProfiles(Server("fast"), {"day", "night"}), InProfiles(Server("big"), {"night"}),
          InProfiles(Server("small"), {"day"}), Server("always")});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("always", ServiceState::kReady));
  EXPECT_EQ(Get("fast").state, ServiceState::kDisabled);
  ASSERT_TRUE(supervisor->ActivateProfile("day"));
  ASSERT_TRUE(WaitState("fast", ServiceState::kReady));
  ASSERT_TRUE(WaitState("small", ServiceState::kReady));
  EXPECT_EQ(Get("big").state, ServiceState::kDisabled);
  const pid_t fast = PidOf("fast");
  const pid_t always = PidOf("always");
  ASSERT_TRUE(supervisor->ActivateProfile("night"));
  ASSERT_TRUE(WaitState("big", ServiceState::kReady));
  ASSERT_TRUE(WaitState("small", ServiceState::kDisabled));
  EXPECT_EQ(PidOf("fast"), fast);
  EXPECT_EQ(PidOf("always"), always);
  for (const ProfileStatus& profile : supervisor->Profiles()) {
    EXPECT_EQ(profile.active, profile.name == "night");
  }
}

TEST_F(SupervisorChangeTest, LastProfileWinsAndAnUnknownOneChangesNothing) {
  Create({InProfiles(Server("a"), {"one"}), InProfiles(Server("b"), {"two"})});
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(supervisor->ActivateProfile("one"));
    ASSERT_TRUE(supervisor->ActivateProfile("two"));
  }
  ASSERT_TRUE(WaitState("b", ServiceState::kReady));
  ASSERT_TRUE(WaitState("a", ServiceState::kDisabled));
  const Result<void> unknown = supervisor->ActivateProfile("onr");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().ToString(), HasSubstr("did you mean \"one\"?"));
  EXPECT_EQ(Get("b").state, ServiceState::kReady);
}

TEST_F(SupervisorChangeTest, ReloadRestartsOnlyWhatMust) {
  Create({Server("same"), Server("changed"), Server("tuned"), Server("removed")});
  supervisor->StartAutostart();
  for (const char* name : {"same", "changed", "tuned", "removed"}) {
    ASSERT_TRUE(WaitState(name, ServiceState::kReady));
  }
  const pid_t same = PidOf("same");
  const pid_t changed = PidOf("changed");
  const pid_t tuned = PidOf("tuned");
  const pid_t removed = PidOf("removed");
  ServiceSpec next = Server("changed");
  next.environment = {{"X", "1"}};
  ServiceSpec softer = Server("tuned");
  softer.backoff.initial = 5s;
  softer.log.max_backups = 1;
  const Result<ReloadOutcome> outcome =
      supervisor->Reload({Server("added"), Server("same"), next, softer});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_THAT(outcome->added, ElementsAre("added"));
  EXPECT_THAT(outcome->removed, ElementsAre("removed"));
  EXPECT_THAT(outcome->restarted, ElementsAre("changed"));
  EXPECT_THAT(outcome->updated, ElementsAre("tuned"));
  ASSERT_TRUE(WaitState("added", ServiceState::kReady));
  ASSERT_TRUE(Wait("changed", [&](const ServiceStatus& s) { return s.ready && s.pid != changed; }));
  EXPECT_EQ(PidOf("same"), same);
  EXPECT_EQ(PidOf("tuned"), tuned);
  EXPECT_EQ(supervisor->Status().size(), 4U);
  supervisor->StopAll();
  ASSERT_TRUE(supervisor->WaitAllStopped(kLong)) << "those removed are waited for too";
  EXPECT_TRUE(IsGone(removed));
}

TEST_F(SupervisorChangeTest, BadReloadChangesNothing) {
  Create({Server("a")});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("a", ServiceState::kReady));
  const pid_t before = PidOf("a");
  ServiceSpec bad = Server("b");
  bad.depends_on = {{"nobody", DependencyCondition::kReady}};
  EXPECT_FALSE(supervisor->Reload({bad}).ok());
  EXPECT_EQ(PidOf("a"), before);
  EXPECT_EQ(supervisor->Status().size(), 1U);
}

TEST_F(SupervisorChangeTest, ReloadBringsBackAServiceThatIsStillOnItsWayOut) {
  ServiceSpec spec = Server("a");
  spec.command = {"/bin/sh", "-c",
                  "trap 'sleep 0.1; exit 0' TERM; echo loaded; while :; do sleep 0.01; done"};
  Create({spec});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("a", ServiceState::kReady));
  const pid_t before = PidOf("a");
  ASSERT_TRUE(supervisor->Reload({}));
  EXPECT_THAT(supervisor->Status(), IsEmpty());
  ASSERT_TRUE(supervisor->Reload({spec}));
  ASSERT_TRUE(Wait("a", [&](const ServiceStatus& s) { return s.ready && s.pid != before; }));
  EXPECT_TRUE(IsGone(before)) << "never two of them";
}

TEST_F(SupervisorChangeTest, ServicesThatFollowEachOtherOnAPortDoNotMeet) {
  // Both in the same place, as the files say: the second finds none of the first.
  ServiceSpec one = Server("one");
  one.command = {"/bin/sh", "-c",
                 "mkdir lock || exit 5; trap 'sleep 0.1; rmdir lock; exit 0' TERM; echo loaded; "
                 "while :; do sleep 0.01; done"};
  one.working_dir = tree.path();
  one.profiles = {"one"};
  one.port = *PickFreePort();
  ServiceSpec two = one;
  two.name = "two";
  two.profiles = {"two"};
  options.profile = "one";
  Create({one, two});
  supervisor->StartAutostart();
  ASSERT_TRUE(WaitState("one", ServiceState::kReady));
  ASSERT_TRUE(supervisor->ActivateProfile("two"));
  ASSERT_TRUE(WaitState("two", ServiceState::kReady)) << Get("two").failure;
  EXPECT_EQ(Get("two").restart_attempts, 0);
}

}  // namespace
}  // namespace idlewatt
