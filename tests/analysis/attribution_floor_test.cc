// What the machine draws unused, and who bears it.
#include "analysis/attribution.h"
#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(FloorEstimatorTest, IsTheLowestPowerSeenUnused) {
  FloorEstimator floor;
  EXPECT_EQ(floor.Watts(), std::nullopt);
  floor.Observe(BootTime(seconds(5)), 3, false);
  EXPECT_EQ(floor.Watts(), std::nullopt);
  floor.Observe(BootTime(seconds(10)), 12, true);
  floor.Observe(BootTime(seconds(15)), 11, true);
  floor.Observe(BootTime(seconds(20)), 14, true);
  EXPECT_EQ(floor.Watts(), 11);
}

TEST(FloorEstimatorTest, ForgetsAfterAnHour) {
  FloorEstimator floor;
  floor.Observe(BootTime(minutes(100)), 10, true);
  for (int m = 101; m < 160; ++m) floor.Observe(BootTime(minutes(m)), 20, true);
  EXPECT_EQ(floor.Watts(), 10);
  floor.Observe(BootTime(minutes(160)), 20, false);
  EXPECT_EQ(floor.Watts(), 20);
  floor.Observe(BootTime(minutes(500)), 20, false);
  EXPECT_EQ(floor.Watts(), std::nullopt);
}

TEST(FloorEstimatorTest, CounterThatStoodStillIsNoFloor) {
  FloorEstimator floor;
  floor.Observe(BootTime(minutes(1)), 0, true);
  EXPECT_EQ(floor.Watts(), std::nullopt);
}

TEST(AttributionTest, FloorIsLearntOnlyWhileUnused) {
  AnalysisMachine machine;
  machine.Zone("package-0", 30);
  machine.Run("busy", 2);
  machine.Tick();
  machine.TickFor(minutes(1));
  EXPECT_EQ(machine.Floor("package-0"), 0);
  EXPECT_NEAR(machine.ServiceJoules("busy"), 1800, 1e-9);
}

// Of four CPUs: a tenth of them all, but four tenths of one.
TEST(AttributionTest, AServiceThatBurnsPartOfOneCpuIsNoFloor) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("burner", 0.4);
  machine.Tick();
  machine.TickFor(minutes(1));
  EXPECT_EQ(machine.Floor("package-0"), 0);
  EXPECT_NEAR(machine.ServiceJoules("burner"), 1200, 1e-9);
}

TEST(AttributionTest, FloorStaysWithTheHostAndTheRestGoesByCpuTime) {
  AnalysisMachine machine;
  LearnFloor(machine);
  EXPECT_NEAR(machine.Floor("package-0"), 600, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("busy"), 0, 1e-9);
  machine.Run("a", 0);
  machine.Tick(seconds(5));
  machine.Zone("package-0", 34);
  machine.Run("busy", 1.5);
  machine.Run("a", 0.5);
  machine.RunKernel(0.4);
  const double before = machine.HandedOut();
  const double floor = machine.Floor("package-0");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0") - floor, 50, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("busy").value(), 24 * 1.5 / 2.4, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 24 * 0.5 / 2.4, 1e-9);
  EXPECT_NEAR(machine.Unattributed("package-0"), 5 * 24 * 0.4 / 2.4, 1e-9);
  EXPECT_NEAR(machine.HandedOut() - before, 170, 1e-9);
}

TEST(AttributionTest, FloorIsNeverMoreThanWhatWasMeasured) {
  AnalysisMachine machine;
  LearnFloor(machine);
  const double floor = machine.Floor("package-0");
  machine.Zone("package-0", 4);
  machine.Run("busy", 2);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0") - floor, 20, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("busy").value(), 0, 1e-9);
}

TEST(AttributionTest, LearntFloorIsForgottenAfterAnHour) {
  AnalysisMachine machine;
  LearnFloor(machine);
  machine.Run("busy", 4);
  machine.Zone("package-0", 50);
  machine.TickFor(minutes(62));
  const double floor = machine.Floor("package-0");
  machine.TickFor(minutes(1));
  EXPECT_EQ(machine.Floor("package-0"), floor);
}

TEST(AttributionTest, StandstillAndSleepTeachNoFloor) {
  AnalysisMachine machine;
  LearnFloor(machine);
  machine.Zone("package-0", 0);  // a reset that the sampler made a pause of
  machine.Tick(seconds(5));
  machine.Zone("package-0", 10);
  machine.Suspend(hours(8));
  machine.Tick(seconds(5));
  const double floor = machine.Floor("package-0");
  machine.Run("busy", 2);
  machine.Zone("package-0", 30);
  machine.Tick(seconds(5));
  // The sleep took longer than an hour: nothing is known until the machine is unused again.
  EXPECT_EQ(machine.Floor("package-0"), floor);
  machine.Run("busy", 0);
  machine.Zone("package-0", 10);
  machine.Tick(seconds(5));
  machine.Run("busy", 2);
  machine.Zone("package-0", 30);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0") - floor, 100, 1e-9);
}

TEST(AttributionTest, ShortSleepDoesNotLowerTheFloor) {
  AnalysisMachine machine;
  LearnFloor(machine);
  machine.Suspend(minutes(2));
  machine.Tick(seconds(5));
  machine.Zone("package-0", 30);
  machine.Run("busy", 2);
  const double floor = machine.Floor("package-0");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0") - floor, 50, 1e-6);
}

TEST(AttributionTest, FloorsOfTwoSourcesAreNotMixed) {
  AnalysisMachine machine;
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 20);
  machine.Tick();
  machine.TickFor(minutes(1));
  machine.hwmon.Remove(metrics::kPowerWatts, {"hwmon", "system"});
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 60);
  machine.Run("a", 4);
  machine.TickFor(seconds(10));
  const double floor = machine.Floor("system");
  machine.TickFor(seconds(10));
  EXPECT_EQ(machine.Floor("system"), floor);
}

// A machine whose package draws 30 W while `a` uses a CPU, with a floor of 10 W that was learnt.
class FloorShareTest : public testing::Test {
 protected:
  AnalysisMachine& Make(FloorShare share) {
    AnalysisMachine& machine =
        machine_.emplace(AnalysisOptions{.attribution = {.share_floor = share}});
    LearnFloor(machine);
    machine.Vanish("busy");
    machine.Run("a", 0);
    machine.Run("b", 0, "watched");
    machine.Run("found", 0, "discovered");
    machine.process.Set(metrics::kServiceMemoryBytes, {"a", "supervised"}, 3e9);
    machine.process.Set(metrics::kServiceMemoryBytes, {"found", "discovered"}, 1e9);
    machine.Tick(seconds(5));
    machine.Zone("package-0", 30);
    machine.Run("a", 1);
    return machine;
  }

 private:
  std::optional<AnalysisMachine> machine_;
};

TEST_F(FloorShareTest, StaysWithTheHost) {
  AnalysisMachine& machine = Make(FloorShare::kHost);
  const double floor = machine.Floor("package-0");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0") - floor, 50, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 20, 1e-9);
}

TEST_F(FloorShareTest, IsBorneByNamedServicesEqually) {
  AnalysisMachine& machine = Make(FloorShare::kEqual);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 20 + 5, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("b").value(), 5, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("found").value(), 0, 1e-9);
}

TEST_F(FloorShareTest, IsNotBorneByAServiceThatDoesNotRun) {
  AnalysisMachine& machine = Make(FloorShare::kEqual);
  machine.Stop("b", "watched");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 20 + 10, 1e-9);
  EXPECT_EQ(machine.ServiceWatts("b"), 0);
}

TEST_F(FloorShareTest, IsBorneByMemoryHeld) {
  AnalysisMachine& machine = Make(FloorShare::kMemory);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 20 + 7.5, 1e-9);
  EXPECT_NEAR(machine.ServiceWatts("found").value(), 2.5, 1e-9);
}

TEST_F(FloorShareTest, IsBorneByCpuTime) {
  AnalysisMachine& machine = Make(FloorShare::kCpu);
  const double floor = machine.Floor("package-0");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 30, 1e-9);
  EXPECT_EQ(machine.Floor("package-0"), floor);
}

TEST(AttributionTest, AFloorThatIsSetIsNotLearnt) {
  AnalysisMachine machine({.attribution = {.floor_watts = {{"package-0", 4}}}});
  LearnFloor(machine);
  machine.Zone("package-0", 30);
  machine.Run("busy", 1);
  const double floor = machine.Floor("package-0");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0") - floor, 20, 1e-9);
  EXPECT_EQ(machine.Get(metrics::kHostFloorWatts, {"package-0"}), 4);
}

TEST(AttributionTest, AFloorLearntBeforeARestartCountsUntilAnHourHasPassed) {
  AnalysisMachine machine;
  AnalysisPast past;
  past.floor_watts["package-0"] = 10;
  machine.analyzer().Remember(std::move(past));
  machine.Zone("package-0", 30);
  machine.Run("busy", 1);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Floor("package-0"), 50, 1e-9);
  machine.TickFor(minutes(65));
  const double floor = machine.Floor("package-0");
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Floor("package-0"), floor);
}

}  // namespace
}  // namespace idlewatt
