#include "analysis/idle_intervals.h"

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// A machine whose package draws 20 W above a floor of 0, with a service `a` that uses a CPU alone.
class IdleIntervalsTest : public testing::Test {
 protected:
  IdleIntervalsTest() {
    machine_.Zone("package-0", 20);
    machine_.Run("a", 0.5);
    machine_.Port("a");
    machine_.process.Set(metrics::kServiceMemoryBytes, {"a", "supervised"}, 1000);
    machine_.Tick();
  }
  // Ticks every five seconds and keeps what is told, as the recorder does.
  void TickFor(std::chrono::nanoseconds d) {
    for (auto rest = d; rest > rest.zero(); rest -= seconds(5)) Tick(seconds(5));
  }
  void Tick(std::chrono::nanoseconds after) {
    machine_.Tick(after);
    Keep();
  }
  void Keep() {
    for (const IdleInterval& row : machine_.analyzer().Intervals()) {
      rows_[{row.service, row.start_ms}] = row;
    }
  }
  void UseA() { machine_.Port("a", 1); }
  int64_t Now() const { return machine_.clock.Now().wall.time_since_epoch().count(); }
  // Those of a service, by time.
  std::vector<IdleInterval> Of(const std::string& service) const {
    std::vector<IdleInterval> rows;
    for (const auto& [key, row] : rows_) {
      if (key.first == service) rows.push_back(row);
    }
    return rows;
  }

  AnalysisMachine machine_;
  std::map<std::pair<std::string, int64_t>, IdleInterval> rows_;
};

TEST_F(IdleIntervalsTest, TellsWhatAServiceUsedUntilItWasUsed) {
  const int64_t begin = Now() + 60'000;
  TickFor(seconds(90));
  machine_.process.Set(metrics::kServiceMemoryBytes, {"a", "supervised"}, 5000);
  TickFor(seconds(20));
  machine_.process.Set(metrics::kServiceMemoryBytes, {"a", "supervised"}, 2000);
  UseA();
  Tick(seconds(5));
  const auto rows = Of("a");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].start_ms, begin);
  EXPECT_EQ(rows[0].end_ms, begin + 55'000);
  EXPECT_EQ(rows[0].reason, "used");
  EXPECT_NEAR(rows[0].joules.value(), 20 * 55, 1e-6);
  EXPECT_NEAR(rows[0].avg_watts.value(), 20, 1e-6);
  EXPECT_NEAR(rows[0].cpu_seconds.value(), 27.5, 1e-6);
  EXPECT_EQ(rows[0].peak_rss_bytes, 5000);
}

TEST_F(IdleIntervalsTest, JoulesAreThoseOfTheCountersWhileIdle) {
  TickFor(seconds(300));
  UseA();
  Tick(seconds(5));
  EXPECT_NEAR(Of("a").at(0).joules.value(), machine_.ServiceJoulesIn("a", "idle"), 1e-6);
}

TEST_F(IdleIntervalsTest, IsToldOnceAMinuteWhileItGoesOn) {
  TickFor(seconds(115));
  EXPECT_TRUE(Of("a").empty());
  Tick(seconds(5));
  ASSERT_EQ(Of("a").size(), 1U);
  EXPECT_EQ(Of("a")[0].reason, "open");
  EXPECT_EQ(Of("a")[0].end_ms, Now());
  const int64_t told = Now();
  TickFor(seconds(55));
  EXPECT_EQ(Of("a")[0].end_ms, told);
  Tick(seconds(5));
  EXPECT_EQ(Of("a")[0].end_ms, told + 60'000);
}

TEST_F(IdleIntervalsTest, IsCutWhereTheMachineSlept) {
  TickFor(seconds(90));
  const int64_t before = Now();
  machine_.Suspend(hours(8));
  Tick(seconds(5));
  const int64_t after = Now();
  TickFor(seconds(30));
  UseA();
  Tick(seconds(5));
  const auto rows = Of("a");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].end_ms, before);
  EXPECT_EQ(rows[0].reason, "suspend");
  EXPECT_EQ(rows[1].start_ms, after);
  EXPECT_EQ(rows[1].reason, "used");
  EXPECT_NEAR(rows[0].joules.value() + rows[1].joules.value(), 20 * (30 + 35), 1e-6);
}

TEST_F(IdleIntervalsTest, IsCutAtAGap) {
  TickFor(seconds(90));
  const int64_t before = Now();
  Tick(minutes(10));
  EXPECT_EQ(Of("a").at(0).end_ms, before);
  EXPECT_EQ(Of("a").at(0).reason, "gap");
  EXPECT_NEAR(Of("a").at(0).joules.value(), 20 * 30, 1e-6);
}

TEST_F(IdleIntervalsTest, ALateTickIsNoGap) {
  TickFor(seconds(90));
  Tick(seconds(59));
  ASSERT_EQ(Of("a").size(), 1U);
  EXPECT_EQ(Of("a")[0].reason, "open");
}

TEST_F(IdleIntervalsTest, EndsWhenTheServiceStops) {
  TickFor(seconds(90));
  const int64_t last = Now();
  machine_.Vanish("a");
  Tick(seconds(5));
  ASSERT_EQ(Of("a").size(), 1U);
  EXPECT_EQ(Of("a")[0].reason, "stopped");
  EXPECT_EQ(Of("a")[0].end_ms, last);
}

TEST_F(IdleIntervalsTest, EndsWithTheDaemon) {
  TickFor(seconds(90));
  machine_.analyzer().Finish();
  Keep();
  ASSERT_EQ(Of("a").size(), 1U);
  EXPECT_EQ(Of("a")[0].reason, "shutdown");
  EXPECT_EQ(Of("a")[0].end_ms, Now());
}

TEST_F(IdleIntervalsTest, TheMachineHasItsOwn) {
  TickFor(seconds(90));
  UseA();
  Tick(seconds(5));
  const auto rows = Of("");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_NEAR(rows[0].joules.value(), 20 * 35, 1e-6);
  EXPECT_NEAR(rows[0].cpu_seconds.value(), 17.5, 1e-6);
  EXPECT_EQ(rows[0].peak_rss_bytes, 1000);
}

TEST_F(IdleIntervalsTest, OfDiscoveredServicesOnlyTheLongAreTold) {
  machine_.Run("short", 0, "discovered");
  machine_.Run("long", 0, "discovered");
  TickFor(minutes(9));
  machine_.Run("short", 1, "discovered");
  TickFor(minutes(5));
  machine_.Run("long", 1, "discovered");
  TickFor(minutes(1));
  EXPECT_TRUE(Of("short").empty());
  EXPECT_EQ(Of("long").size(), 1U);
}

TEST_F(IdleIntervalsTest, IsCutWhereTheWallClockIsSet) {
  for (const int jump : {3, -5}) {
    TickFor(seconds(90));
    const int64_t before = Now();
    machine_.clock.SetWall(machine_.clock.Now().wall + hours(jump));
    Tick(seconds(5));
    const int64_t after = Now();
    TickFor(seconds(60));
    UseA();
    Tick(seconds(5));
    const IdleInterval cut = rows_.at({"a", before - 30'000});
    EXPECT_EQ(cut.end_ms, before);
    EXPECT_EQ(cut.reason, "clock");
    EXPECT_NEAR(cut.avg_watts.value(), 20, 1e-6);
    const IdleInterval next = rows_.at({"a", after});
    EXPECT_EQ(next.end_ms, after + 65'000);
    EXPECT_NEAR(next.avg_watts.value(), 20, 1e-6);
  }
}

TEST_F(IdleIntervalsTest, EndsWithASleepAfterWhichTheServiceIsGone) {
  TickFor(seconds(90));
  const int64_t before = Now();
  machine_.Suspend(hours(8));
  machine_.Vanish("a");
  Tick(seconds(5));
  ASSERT_EQ(Of("a").size(), 1U);
  EXPECT_EQ(Of("a")[0].end_ms, before);
  EXPECT_EQ(Of("a")[0].reason, "suspend");
}

TEST_F(IdleIntervalsTest, ADiscoveredServiceThatIsNoLongerShownDidNotStop) {
  machine_.Run("found", 0, "discovered");
  TickFor(minutes(12));
  machine_.Vanish("found", "discovered");
  Tick(seconds(5));
  ASSERT_EQ(Of("found").size(), 1U);
  EXPECT_EQ(Of("found")[0].reason, "unseen");
}

// Idle from the first tick on, when no meter has told twice yet.
TEST(IdleIntervalsOfARestartTest, JoulesAreThoseSinceTheStart) {
  AnalysisMachine machine;
  AnalysisPast past;
  const WallTime seen = machine.clock.Now().wall - seconds(10);
  past.services["a"] = {seen - minutes(10), seen};
  machine.analyzer().Remember(past);
  machine.Zone("package-0", 20);
  machine.Run("a", 0.5);
  machine.Port("a");
  machine.Tick();
  machine.TickFor(seconds(100));
  machine.analyzer().Finish();
  const auto rows = machine.analyzer().Intervals();
  ASSERT_EQ(rows.size(), 2U);  // the machine too
  for (const IdleInterval& row : rows) {
    EXPECT_NEAR(row.joules.value_or(-1), 2000, 1e-6) << row.service;
    EXPECT_NEAR(row.avg_watts.value_or(-1), 20, 1e-6) << row.service;
  }
}

TEST(IdleIntervalsWithoutMeterTest, IsCutWhereAMeterComes) {
  AnalysisMachine machine;
  machine.Run("a", 0.5);
  machine.Port("a");
  machine.Tick();
  machine.TickFor(minutes(10));
  machine.Zone("package-0", 20);
  machine.Tick(seconds(5));
  machine.Tick(seconds(5));
  ASSERT_FALSE(machine.analyzer().Intervals().empty());
  EXPECT_EQ(machine.analyzer().Intervals()[0].reason, "meter");
  EXPECT_EQ(machine.analyzer().Intervals()[0].joules, std::nullopt);
  machine.TickFor(minutes(10));
  machine.analyzer().Finish();
  for (const IdleInterval& row : machine.analyzer().Intervals()) {
    EXPECT_NEAR(row.avg_watts.value_or(-1), 20, 1e-6) << row.service;
  }
}

TEST(IdleIntervalsWithoutMeterTest, JoulesAreUnknownAndCpuIsNot) {
  AnalysisMachine machine;
  machine.Run("a", 0.5);
  machine.Port("a");
  machine.Tick();
  machine.TickFor(seconds(90));
  machine.analyzer().Finish();
  const auto rows = machine.analyzer().Intervals();
  ASSERT_EQ(rows.size(), 2U);  // the machine too
  EXPECT_EQ(rows[0].service, "a");
  EXPECT_FALSE(rows[0].joules.has_value());
  EXPECT_FALSE(rows[0].avg_watts.has_value());
  EXPECT_NEAR(rows[0].cpu_seconds.value(), 15, 1e-6);
}

}  // namespace
}  // namespace idlewatt
