#include "analysis/attribution.h"

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A card beside a CPU package.
class GpuTest : public testing::Test {
 protected:
  GpuTest() {
    machine_.Run("llama", 0);
    machine_.Run("whisper", 0);
    machine_.UseGpu("llama", 6e9, 0);
    machine_.UseGpu("whisper", 2e9, 0);
    Use(0, 0);
    machine_.Tick();
  }
  // The card uses so many joules until the next tick, and was busy for this share of it.
  void Use(double joules, double ratio) {
    machine_.nvml.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, joules);
    machine_.nvml.Set(metrics::kGpuUtilization, {"gpu0"}, ratio);
  }
  double Joules(std::string_view service) const { return machine_.ServiceJoules(service, "gpu"); }

  AnalysisMachine machine_;
};

TEST_F(GpuTest, AGpuAloneIsAttributed) {
  Use(100, 0);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(machine_.HandedOut(), 100, 1e-9);
  EXPECT_NEAR(machine_.Get(metrics::kHostPowerWatts, {}).value(), 20, 1e-9);
}

TEST_F(GpuTest, TheFloorIsBorneByWhoHoldsItsMemory) {
  Use(100, 0);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(Joules("llama"), 75, 1e-9);
  EXPECT_NEAR(Joules("whisper"), 25, 1e-9);
  EXPECT_EQ(machine_.Floor("gpu0"), 0);
}

TEST_F(GpuTest, WhatIsAboveTheFloorGoesByTheTimeOfItsEngines) {
  Use(100, 0);  // 20 W are the floor while memory is held
  machine_.Tick(seconds(5));
  Use(500, 0.8);
  machine_.UseGpu("llama", 6e9, 1);
  machine_.UseGpu("whisper", 2e9, 3);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(Joules("llama"), 75 + 75 + 400.0 / 4, 1e-9);
  EXPECT_NEAR(Joules("whisper"), 25 + 25 + 400.0 * 3 / 4, 1e-9);
  EXPECT_EQ(machine_.Unattributed("gpu0"), 0);
}

TEST_F(GpuTest, UseThatNoServiceShowsIsUnattributed) {
  Use(100, 0);
  machine_.Tick(seconds(5));
  Use(500, 0.8);  // 4 s busy, of which one is known
  machine_.UseGpu("llama", 6e9, 1);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(machine_.Unattributed("gpu0"), 400.0 * 3 / 4, 1e-9);
}

TEST_F(GpuTest, AnUnloadedGpuIsTheHosts) {
  machine_.UseGpu("llama", 0, 0);
  machine_.UseGpu("whisper", 0, 0);
  Use(50, 0);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(machine_.Floor("gpu0"), 50, 1e-9);
  EXPECT_EQ(Joules("llama"), 0);
}

// Deep asleep it draws 10 W, with a model loaded 30 W.
TEST_F(GpuTest, ALoadedGpuHasAFloorOfItsOwn) {
  machine_.UseGpu("llama", 0, 0);
  machine_.UseGpu("whisper", 0, 0);
  Use(50, 0);
  machine_.Tick(seconds(5));
  machine_.UseGpu("llama", 6e9, 0);
  Use(150, 0);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(machine_.Get(metrics::kHostFloorWatts, {"gpu0"}).value(), 30, 1e-9);
  Use(350, 0.5);
  machine_.UseGpu("whisper", 0, 2.5);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(Joules("llama"), 150 + 150, 1e-9);
  EXPECT_NEAR(Joules("whisper"), 200, 1e-9);
}

TEST_F(GpuTest, IdleServicesBearTheirFloorAsIdleJoules) {
  machine_.TickFor(minutes(1));
  Use(100, 0);
  machine_.Tick(seconds(5));
  EXPECT_NEAR(machine_.ServiceJoulesIn("llama", "idle", "gpu"), 75, 1e-9);
  EXPECT_EQ(machine_.ServiceJoulesIn("llama", "active", "gpu"), 0);
}

TEST(AttributionTest, TheWholeMachineHoldsItsGpus) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 60);
  machine.nvml.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, 0);
  machine.Tick();
  machine.nvml.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, 100);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.HandedOut(), 300, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a", "cpu"), 200, 1e-9);
}

TEST(AttributionTest, AGpuStandsBesideTheModel) {
  AnalysisMachine machine({.attribution = {.model = PowerModel{5, 25}}});
  machine.Run("a", 4);
  machine.nvml.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, 0);
  machine.Tick();
  machine.nvml.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, 100);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.HandedOut(), 225, 1e-9);
}

}  // namespace
}  // namespace idlewatt
