#include "analysis/idle_tracker.h"

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
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
