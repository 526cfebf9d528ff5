#include "analysis/analyzer.h"

#include <set>

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;

// packaging/example.toml on a machine with two CPUs: the burner takes 40 % of one.
class ExampleTest : public testing::Test {
 protected:
  ExampleTest() {
    machine_.Run("honest", 0.001);
    machine_.Run("burner", 0.4);
    machine_.Port("honest");
    machine_.Port("burner");
    machine_.Tick();
  }
  // State of the critical alert of the burner as published.
  double BurnerAlert() const {
    return machine_.Get(metrics::kAlertState, {"IdleServiceCpu", "burner", "critical"}).value();
  }

  AnalysisMachine machine_{{.attribution = {.model = PowerModel{5, 25}}}, 2};
};

TEST_F(ExampleTest, AlertOfTheBurnerFiresWithin95Seconds) {
  int fired_after = 0;
  for (int second = 5; second <= 120 && fired_after == 0; second += 5) {
    machine_.Tick(seconds(5));
    if (BurnerAlert() == 2) fired_after = second;
  }
  EXPECT_GE(fired_after, 90);
  EXPECT_LE(fired_after, 95);
}

TEST_F(ExampleTest, WattsOfTheBurnerAreWhatTheModelGivesByHand) {
  machine_.TickFor(seconds(120));
  // 25 - 5 = 20 W for two CPUs: 0.4 CPUs make 4 W, above 5 W that stay with the host.
  EXPECT_NEAR(machine_.ServiceWatts("burner").value(), 4, 1e-6);
  EXPECT_NEAR(machine_.ServiceWatts("honest").value(), 0.01, 1e-6);
  EXPECT_NEAR(CurrentMachinePower(machine_.snapshot())->watts, 9.01, 1e-6);
  EXPECT_EQ(CurrentMachinePower(machine_.snapshot())->source, "model");
  EXPECT_NEAR(machine_.Floor("system"), 5 * 120, 1e-6);
  EXPECT_NEAR(machine_.ServiceJoulesIn("burner", "active"), 4 * 60, 1e-6);
  EXPECT_NEAR(machine_.ServiceJoulesIn("burner", "idle"), 4 * 60, 1e-6);
}

TEST_F(ExampleTest, HonestIsIdleWithoutAnAlert) {
  machine_.TickFor(seconds(300));
  EXPECT_EQ(machine_.Get(metrics::kServiceIdle, {"honest"}), 1);
  for (const AlertStatus& alert : machine_.Alerts()) EXPECT_NE(alert.service, "honest");
}

TEST_F(ExampleTest, QuestionToTheBurnerResolvesItsAlert) {
  machine_.TickFor(seconds(100));
  EXPECT_EQ(BurnerAlert(), 2);
  machine_.Port("burner", 1, 5000);
  machine_.Tick(seconds(5));
  EXPECT_EQ(BurnerAlert(), 0);
  EXPECT_EQ(machine_.Get(metrics::kServiceIdle, {"burner"}), 0);
}

TEST(AnalyzerTest, InfoNamesEveryMetricThatIsPublished) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Zone("package-0", 10);
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 50);
  machine.Tick();
  machine.TickFor(seconds(10));
  std::set<std::string_view> known;
  for (const Metric* metric : Analyzer::Info().metrics) known.insert(metric->name);
  for (const SamplerRun& run : machine.snapshot().runs) {
    if (run.info != &Analyzer::Info()) continue;
    EXPECT_GT(run.count, 0);
  }
  for (const Metric* metric :
       {&metrics::kServiceEnergyJoules, &metrics::kServicePowerWatts, &metrics::kHostFloorJoules,
        &metrics::kUnattributedJoules, &metrics::kServiceIdle, &metrics::kServiceIdleSeconds,
        &metrics::kServiceLastActivity, &metrics::kAlertState}) {
    EXPECT_FALSE(machine.snapshot().Family(*metric).empty()) << metric->name;
    EXPECT_TRUE(known.contains(metric->name)) << metric->name;
  }
}

}  // namespace
}  // namespace idlewatt
