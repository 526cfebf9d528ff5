#include "analysis/idle_tracker.h"

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

bool IsIdle(const AnalysisMachine& machine, std::string_view service) {
  return machine.Get(metrics::kServiceIdle, {service}).value() == 1;
}

TEST(IdleTrackerTest, FirstSightCountsAsActivity) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Tick();
  EXPECT_FALSE(IsIdle(machine, "a"));
  EXPECT_EQ(machine.Get(metrics::kServiceIdleSeconds, {"a"}), 0);
}

TEST(IdleTrackerTest, BurnerNobodyTalksToIsIdleAfterExactlyThatLong) {
  AnalysisMachine machine;
  machine.Run("burner", 0.9);
  machine.Port("burner");
  machine.Tick();
  machine.TickFor(seconds(55));
  machine.Tick(milliseconds(4999));
  EXPECT_FALSE(IsIdle(machine, "burner"));
  machine.Tick(milliseconds(1));
  EXPECT_TRUE(IsIdle(machine, "burner"));
  EXPECT_DOUBLE_EQ(machine.Get(metrics::kServiceIdleSeconds, {"burner"}).value(), 60);
}

TEST(IdleTrackerTest, ServiceUsedForMomentsIsNotIdle) {
  AnalysisMachine machine;
  machine.Run("a", 0.001);
  machine.Port("a");
  machine.Tick();
  for (int i = 0; i < 300; ++i) {
    machine.Port("a", 1);  // gone again before the tick, its bytes unknown
    machine.Tick(seconds(1));
    ASSERT_FALSE(IsIdle(machine, "a"));
  }
}

TEST(IdleTrackerTest, FewBytesDoNotCount) {
  AnalysisMachine machine;
  machine.Run("few", 0);
  machine.Run("more", 0);
  machine.Port("few");
  machine.Port("more");
  machine.Tick();
  for (int i = 0; i < 12; ++i) {
    machine.Port("few", 0, 64 * 5);  // in and out together, a second: the limit itself
    machine.Port("more", 0, 64 * 5 + 4);
    machine.Tick(seconds(5));
  }
  EXPECT_TRUE(IsIdle(machine, "few"));
  EXPECT_FALSE(IsIdle(machine, "more"));
}

TEST(IdleTrackerTest, CpuCountsOnlyWithoutSockets) {
  AnalysisMachine machine;
  machine.Run("busy", 0.06);
  machine.Run("calm", 0.04);
  machine.Run("with-port", 0.06);
  machine.Port("with-port");
  machine.Tick();
  machine.TickFor(seconds(60));
  EXPECT_FALSE(IsIdle(machine, "busy"));
  EXPECT_TRUE(IsIdle(machine, "calm"));
  EXPECT_TRUE(IsIdle(machine, "with-port"));
}

TEST(IdleTrackerTest, OneReadingCountsOnce) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Port("a");
  machine.Tick();
  machine.Port("a", 1);
  machine.Tick(seconds(5));
  machine.sockets.due = false;
  machine.TickFor(seconds(60));
  EXPECT_TRUE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, ServicesHaveTheirOwnTimes) {
  AnalysisMachine machine({.idle = {.after_by_service = {{"slow", seconds(300)}}}});
  machine.Run("slow", 0);
  machine.Run("a", 0);
  machine.Tick();
  machine.TickFor(seconds(295));
  EXPECT_TRUE(IsIdle(machine, "a"));
  EXPECT_FALSE(IsIdle(machine, "slow"));
  machine.Tick(seconds(5));
  EXPECT_TRUE(IsIdle(machine, "slow"));
}

TEST(IdleTrackerTest, ServiceThatComesBackStartsAnew) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Run("stopped", 0);
  machine.Tick();
  machine.TickFor(seconds(60));
  EXPECT_TRUE(IsIdle(machine, "a"));
  machine.Vanish("a");
  machine.SetProcesses("stopped", 0);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"a"}), std::nullopt);
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"stopped"}), std::nullopt);
  machine.Run("a", 0);
  machine.SetProcesses("stopped", 1);
  machine.Tick(seconds(5));
  EXPECT_FALSE(IsIdle(machine, "a"));
  EXPECT_FALSE(IsIdle(machine, "stopped"));
}

TEST(IdleTrackerTest, WallClockDoesNotMatter) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Tick();
  machine.clock.SetWall(machine.clock.Now().wall + hours(100));
  machine.Tick(seconds(5));
  EXPECT_FALSE(IsIdle(machine, "a"));
  machine.clock.SetWall(machine.clock.Now().wall - hours(300));
  machine.TickFor(seconds(55));
  EXPECT_TRUE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, LastActivityIsToldOnTodaysWallClock) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Tick();
  const double first = ToSeconds(machine.clock.Now().wall.time_since_epoch());
  const auto told = [&] { return machine.Get(metrics::kServiceLastActivity, {"a"}).value(); };
  EXPECT_DOUBLE_EQ(told(), first);
  machine.Tick(std::chrono::microseconds(5'000'499));
  machine.Tick(std::chrono::microseconds(4'999'777));
  EXPECT_DOUBLE_EQ(told(), first);  // to the bit, though the two clocks are cut differently
  machine.clock.SetWall(machine.clock.Now().wall + seconds(3600));
  machine.Tick(seconds(5));
  EXPECT_NEAR(told(), first + 3600, 0.01);
  machine.Run("a", 1);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(told(), ToSeconds(machine.clock.Now().wall.time_since_epoch()));
}

TEST(IdleTrackerTest, SleepCountsAsTimeWithoutUse) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Port("a");
  machine.Tick();
  machine.Suspend(hours(8));
  machine.Tick(seconds(5));
  EXPECT_TRUE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, OneNameInTwoKindsIsToldOnce) {
  AnalysisMachine machine;
  machine.Run("a", 0, "supervised");
  machine.Run("a", 0, "discovered");
  machine.Tick();
  machine.TickFor(seconds(60));  // no series twice: checked at every tick
  EXPECT_TRUE(IsIdle(machine, "a"));
}

std::string SourceOf(const AnalysisMachine& machine, const std::string& service) {
  std::string sources;
  for (const SnapshotValue& v : machine.snapshot().Family(metrics::kServiceActivitySource)) {
    if (v.series->labels[0] == service) sources += v.series->labels[1];
  }
  return sources;
}

TEST(IdleTrackerTest, TheBestSourceTellsAndIsShown) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Tick();
  EXPECT_EQ(SourceOf(machine, "a"), "cpu");
  machine.Port("a");
  machine.Tick(seconds(5));
  EXPECT_EQ(SourceOf(machine, "a"), "sockets");
  machine.other.Set(metrics::kServiceRequests, {"a"}, 7);
  machine.Tick(seconds(5));
  EXPECT_EQ(SourceOf(machine, "a"), "proxy");
}

TEST(IdleTrackerTest, WithAProxyOnlyRequestsAreUse) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Port("a");
  machine.other.Set(metrics::kServiceRequests, {"a"}, 7);
  machine.other.Set(metrics::kServiceInflightRequests, {"a"}, 1);
  machine.Tick();
  machine.TickFor(seconds(60));
  EXPECT_FALSE(IsIdle(machine, "a"));  // one is still answered
  machine.other.Set(metrics::kServiceInflightRequests, {"a"}, 0);
  machine.Port("a", 3, 1e6);
  machine.TickFor(seconds(60));
  EXPECT_TRUE(IsIdle(machine, "a"));
  machine.other.Add(metrics::kServiceRequests, {"a"}, 1);
  machine.Tick(seconds(5));
  EXPECT_FALSE(IsIdle(machine, "a"));
}

// Somebody asks every 70 s: idle for 10 s, again and again.
TEST(IdleTrackerTest, FlappingIsDampedAfterItWasSeenTwice) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Port("a");
  machine.Tick();
  int turns_with_idle = 0;
  for (int turn = 0; turn < 20; ++turn) {
    machine.TickFor(seconds(65));
    turns_with_idle += IsIdle(machine, "a") ? 1 : 0;
    machine.Port("a", 1);
    machine.Tick(seconds(5));
    EXPECT_FALSE(IsIdle(machine, "a"));
  }
  EXPECT_EQ(turns_with_idle, 2);
  machine.TickFor(seconds(115));
  EXPECT_FALSE(IsIdle(machine, "a"));
  machine.Tick(seconds(5));
  EXPECT_TRUE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, ARealPauseEndsTheDamping) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Port("a");
  machine.Tick();
  for (int turn = 0; turn < 3; ++turn) {
    machine.TickFor(seconds(65));
    machine.Port("a", 1);
    machine.Tick(seconds(5));
  }
  machine.TickFor(minutes(10));
  machine.Port("a", 1);
  machine.Tick(seconds(5));
  machine.TickFor(seconds(60));
  EXPECT_TRUE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, TimeIsCountedByState) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Tick();
  machine.TickFor(seconds(100));
  const auto spent = [&](std::string_view state) {
    return machine.Get(metrics::kServiceActivitySeconds, {"a", state}).value();
  };
  EXPECT_NEAR(spent("active"), 60, 1e-9);
  EXPECT_NEAR(spent("idle"), 40, 1e-9);
  machine.Suspend(hours(5));
  machine.Tick(seconds(5));
  EXPECT_NEAR(spent("idle"), 45, 1e-3);
}

TEST(IdleTrackerTest, TheMachineIsIdleWhileEveryServiceIs) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Run("found", 0.2, "discovered");
  machine.Tick();
  machine.TickFor(minutes(2));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 0);
  machine.Run("found", 0.01, "discovered");
  machine.TickFor(minutes(1));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 1);
}

TEST(IdleTrackerTest, TheMachineIsNotIdleWhileSomebodyTypes) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.other.Set(metrics::kHostInputIdle, {}, 59);
  machine.Tick();
  machine.TickFor(minutes(2));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 0);
  machine.other.Set(metrics::kHostInputIdle, {}, 60);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 1);
}

// What an earlier run of the daemon knew of `a`, that was seen last `unseen` ago.
AnalysisPast PastOf(const AnalysisMachine& machine, seconds unseen, seconds unused) {
  AnalysisPast past;
  const WallTime seen = machine.clock.Now().wall - unseen;
  past.services["a"] = {seen - unused, seen};
  return past;
}

// The daemon shows the twenty that matter most; which they are changes all the time.
TEST(IdleTrackerTest, ADiscoveredServiceThatRisesAmongThoseShownWasNotUsed) {
  AnalysisMachine machine;
  machine.Run("other", 0.01, "discovered");
  machine.Run("shown", 0.01, "discovered");
  machine.Tick();
  machine.TickFor(minutes(2));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 1);
  machine.Vanish("shown", "discovered");
  machine.Run("risen", 0.01, "discovered");
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"risen"}), 1);
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 1);
  machine.Run("burner", 1, "discovered");
  machine.Run("named", 0.01);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"named"}), 0) << "it was started";
  machine.Vanish("named");
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"burner"}), 0) << "it uses a CPU";
}

TEST(IdleTrackerTest, WhatAnEarlierRunKnewIsTrueOfTheFirstSightOnly) {
  AnalysisMachine machine;
  machine.analyzer().Remember(PastOf(machine, seconds(20), seconds(300)));
  machine.Run("a", 0, "watched");
  machine.Tick();
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"a"}), 1);
  machine.Vanish("a", "watched");
  machine.Tick(seconds(5));
  machine.Run("a", 0, "watched");
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"a"}), 0);
}

TEST(IdleTrackerTest, WhoTypedBeforeTheInputWasLostStillCounts) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Tick();
  machine.TickFor(minutes(2));
  machine.other.Set(metrics::kHostInputIdle, {}, 10);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 0);
  machine.other.Remove(metrics::kHostInputIdle, {});
  machine.TickFor(seconds(45));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 0);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 1);
}

TEST(IdleTrackerTest, ARestartOfTheDaemonIsNoUse) {
  AnalysisMachine machine;
  machine.analyzer().Remember(PastOf(machine, seconds(20), seconds(300)));
  machine.Run("a", 0);
  machine.Run("b", 0);
  machine.Tick();
  EXPECT_TRUE(IsIdle(machine, "a"));
  EXPECT_NEAR(machine.Get(metrics::kServiceIdleSeconds, {"a"}).value(), 320, 1e-9);
  EXPECT_FALSE(IsIdle(machine, "b"));
}

TEST(IdleTrackerTest, WhatMayHaveBeenUsedUnseenIsNotTakenForIdle) {
  AnalysisMachine machine;
  machine.analyzer().Remember(PastOf(machine, seconds(61), seconds(300)));
  machine.Run("a", 0);
  machine.Tick();
  EXPECT_FALSE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, AServiceThatWasStartedMeanwhileBeginsAnew) {
  AnalysisMachine machine;
  machine.analyzer().Remember(PastOf(machine, seconds(20), seconds(300)));
  machine.Run("a", 0);
  machine.other.Set(metrics::kServiceUptime, {"a"}, 19);
  machine.Tick();
  EXPECT_FALSE(IsIdle(machine, "a"));
}

TEST(IdleTrackerTest, AClockThatWasSetBackTellsNothingOfThePast) {
  AnalysisMachine machine;
  machine.analyzer().Remember(PastOf(machine, seconds(-20), seconds(300)));
  machine.Run("a", 0);
  machine.Tick();
  EXPECT_FALSE(IsIdle(machine, "a"));
}

TEST(ServiceCpuRatioTest, IsNothingAtFirstAndThenTheSumOfModes) {
  AnalysisMachine machine;
  machine.Run("a", 1.5);
  machine.Run("ab", 0.5);
  machine.Tick();
  EXPECT_EQ(ServiceCpuRatio(machine.snapshot(), "a"), std::nullopt);
  machine.Tick(seconds(5));
  EXPECT_NEAR(ServiceCpuRatio(machine.snapshot(), "a").value(), 1.5, 1e-9);
  EXPECT_NEAR(ServiceCpuRatio(machine.snapshot(), "ab").value(), 0.5, 1e-9);
  EXPECT_EQ(ServiceCpuRatio(machine.snapshot(), "b"), std::nullopt);
}

}  // namespace
}  // namespace idlewatt
