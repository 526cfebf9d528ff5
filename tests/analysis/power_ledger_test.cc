#include "analysis/power_ledger.h"

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

AnalysisOptions WithModel() { return {.attribution = {.model = PowerModel{5, 25}}}; }

TEST(PowerLedgerTest, FirstTickGivesNoWatts) {
  AnalysisMachine machine(WithModel());
  machine.Zone("package-0", 10);
  machine.Tick();
  EXPECT_EQ(machine.Watts("rapl", "package-0"), std::nullopt);
  EXPECT_TRUE(machine.snapshot().Family(metrics::kPowerWatts).empty());
  EXPECT_FALSE(CurrentMachinePower(machine.snapshot()).has_value());
}

TEST(PowerLedgerTest, WattsAreMadeFromEnergyCounters) {
  AnalysisMachine machine;
  machine.Zone("package-0", 10);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Watts("rapl", "package-0").value(), 10);
  machine.Zone("package-0", 40);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Watts("rapl", "package-0").value(), 40);
  EXPECT_DOUBLE_EQ(machine.Joules("rapl", "package-0").value(), 250);
}

TEST(PowerLedgerTest, EnergyIsSummedFromBatteryWattsByTheirMean) {
  AnalysisMachine machine;
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 10);
  machine.Tick();
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 0);
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 20);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 75);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 175);
  EXPECT_DOUBLE_EQ(machine.Watts("battery", "system").value(), 20);
}

TEST(PowerLedgerTest, NegativeWattsSumToNothing) {
  AnalysisMachine machine;
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "ina:in"}, -4);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("hwmon", "ina:in").value(), 0);
}

TEST(PowerLedgerTest, SourceWithBothIsLeftAlone) {
  AnalysisMachine machine;
  for (int i = 0; i < 4; ++i) {
    machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 50 + i);
    machine.hwmon.Set(metrics::kEnergyJoules, {"hwmon", "system"}, 1000 + 100 * i);
    machine.Tick(seconds(5));
    EXPECT_DOUBLE_EQ(machine.Watts("hwmon", "system").value(), 50 + i);
    EXPECT_DOUBLE_EQ(machine.Joules("hwmon", "system").value(), 1000 + 100 * i);
  }
}

TEST(PowerLedgerTest, WhatASourceGivesIsNotMadeWhileItIsMissing) {
  AnalysisMachine machine;
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 50);
  machine.hwmon.Set(metrics::kEnergyJoules, {"hwmon", "system"}, 1000);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.hwmon.Remove(metrics::kPowerWatts, {"hwmon", "system"});
  machine.hwmon.Set(metrics::kEnergyJoules, {"hwmon", "system"}, 1200);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Watts("hwmon", "system"), std::nullopt);
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 51);
  machine.hwmon.Remove(metrics::kEnergyJoules, {"hwmon", "system"});
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Watts("hwmon", "system").value(), 51);
  EXPECT_EQ(machine.Joules("hwmon", "system"), std::nullopt);
  machine.hwmon.Set(metrics::kEnergyJoules, {"hwmon", "system"}, 1500);
  machine.Tick(seconds(5));  // no series twice: checked at every tick
  EXPECT_DOUBLE_EQ(machine.Joules("hwmon", "system").value(), 1500);
}

TEST(PowerLedgerTest, CounterThatAppearsAfterASumIsNoSpike) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 50);
  machine.Tick();
  machine.Tick(seconds(5));
  const double before = machine.HandedOut();
  machine.hwmon.Set(metrics::kEnergyJoules, {"hwmon", "system"}, 9e6);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.HandedOut() - before, 0);
  machine.hwmon.Set(metrics::kEnergyJoules, {"hwmon", "system"}, 9e6 + 200);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.HandedOut() - before, 200, 1e-6);
}

TEST(PowerLedgerTest, VanishedCounterThatReturnsMakesNoSpike) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Zone("package-0", 10);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.LoseZone("package-0");
  machine.TickFor(seconds(600));
  EXPECT_EQ(machine.Watts("rapl", "package-0"), std::nullopt);
  EXPECT_EQ(machine.ServiceWatts("a"), std::nullopt);
  const double before = machine.HandedOut();
  machine.rapl.Set(metrics::kEnergyJoules, {"rapl", "package-0"}, 1e6);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Watts("rapl", "package-0"), std::nullopt);
  machine.rapl.Set(metrics::kEnergyJoules, {"rapl", "package-0"}, 1e6 + 100);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Watts("rapl", "package-0").value(), 20);
  EXPECT_NEAR(machine.HandedOut() - before, 100, 1e-9);
}

TEST(PowerLedgerTest, VanishedWattsThatReturnMakeNoSpike) {
  AnalysisMachine machine;
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 10);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.battery.Remove(metrics::kPowerWatts, {"battery", "system"});
  machine.TickFor(seconds(600));
  EXPECT_EQ(machine.Joules("battery", "system"), std::nullopt);
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 30);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 50);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 200);
}

TEST(PowerLedgerTest, CounterResetGivesNoValue) {
  AnalysisMachine machine;
  machine.Zone("package-0", 10);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.ResetZone("package-0");
  machine.Tick(seconds(1));
  EXPECT_EQ(machine.Watts("rapl", "package-0"), std::nullopt);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Watts("rapl", "package-0").value(), 10);
}

TEST(PowerLedgerTest, DerivedSeriesAreNoMeters) {
  AnalysisMachine machine(WithModel());
  machine.Run("a", 1);
  for (int i = 0; i < 5; ++i) {
    machine.Tick(seconds(5));
    ASSERT_NE(machine.Source("model"), nullptr) << "tick " << i;
    EXPECT_FALSE(machine.Source("model")->error.has_value());
  }
  EXPECT_DOUBLE_EQ(machine.Watts("model", "system").value(), 10);
  EXPECT_DOUBLE_EQ(machine.Joules("model", "system").value(), 4 * 5 * 10);
}

TEST(PowerLedgerTest, SlowMeterKeepsItsWattsAndCountsOnce) {
  AnalysisMachine machine(WithModel());
  machine.Zone("package-0", 10);
  for (int i = 0; i < 13; ++i) {
    machine.rapl.due = i % 4 == 0;
    machine.Tick(seconds(5));
    EXPECT_EQ(machine.Watts("model", "system"), std::nullopt);
    EXPECT_EQ(machine.Watts("rapl", "package-0"), i >= 4 ? std::optional(10.0) : std::nullopt);
  }
}

TEST(PowerLedgerTest, SlowWattsSumOverTheirOwnInterval) {
  AnalysisMachine machine;
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 10);
  for (int i = 0; i < 9; ++i) {
    machine.battery.due = i % 4 == 0;
    machine.Tick(seconds(5));
    const int readings = i / 4;
    EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 200 * readings);
  }
}

TEST(PowerLedgerTest, ModelIsUsedOnlyWhereNothingMeters) {
  AnalysisMachine machine(WithModel());
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "amdgpu-pci:PPT"}, 30);  // a device, no machine
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Watts("model", "system").value(), 5);
  machine.Zone("package-0", 12);
  machine.TickFor(seconds(10));
  EXPECT_EQ(machine.Watts("model", "system"), std::nullopt);
  EXPECT_EQ(machine.Joules("model", "system"), std::nullopt);
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "rapl");
  EXPECT_EQ(machine.Source("model"), nullptr);
}

TEST(PowerLedgerTest, PartOfAMachineIsNoMeterOfIt) {
  AnalysisMachine machine(WithModel());
  machine.Zone("dram", 3);
  machine.Zone("core", 4);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "model");
}

TEST(PowerLedgerTest, WithoutMeterAndModelItSaysHowToSetOne) {
  AnalysisMachine machine;
  machine.Tick();
  machine.Tick(seconds(5));
  ASSERT_NE(machine.Source("model"), nullptr);
  EXPECT_EQ(machine.Source("model")->error.value().code, ErrorCode::kNoData);
  EXPECT_NE(machine.Source("model")->remedy.find("[collector.power.model]"), std::string::npos);
  EXPECT_FALSE(CurrentMachinePower(machine.snapshot()).has_value());
}

TEST(PowerLedgerTest, BatteryToMainsAndBackWithAModel) {
  AnalysisMachine machine(WithModel());
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 8);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "battery");
  machine.battery.Remove(metrics::kPowerWatts, {"battery", "system"});
  machine.Tick(seconds(5));
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "model");
  EXPECT_DOUBLE_EQ(machine.Joules("model", "system").value(), 25);
  machine.Tick(seconds(5));
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 6);
  machine.Tick(seconds(5));
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "battery");
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 40);
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("battery", "system").value(), 70);
  machine.battery.Remove(metrics::kPowerWatts, {"battery", "system"});
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("model", "system").value(), 75);
}

TEST(PowerLedgerTest, MeterThatFailsForATickIsStillTheMeter) {
  AnalysisMachine machine(WithModel());
  machine.Zone("package-0", 10);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.rapl.fails = true;
  machine.TickFor(seconds(10));
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "rapl");
  machine.TickFor(seconds(10));  // three periods later its last values hold no more
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "model");
}

TEST(PowerLedgerTest, BusyShareIsThatOfAllCpusWithoutIdleAndIoWait) {
  AnalysisMachine machine({}, 8);
  machine.Run("a", 1.5);
  machine.RunKernel(0.5);
  machine.Tick();
  EXPECT_EQ(BusyShare(machine.snapshot()), std::nullopt);
  machine.Tick(seconds(5));
  EXPECT_NEAR(BusyShare(machine.snapshot()).value(), 0.25, 1e-12);
}

TEST(PowerLedgerTest, SleepUsesNoSummedEnergy) {
  AnalysisMachine on_battery;
  on_battery.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 10);
  AnalysisMachine modelled(WithModel());
  for (AnalysisMachine* machine : {&on_battery, &modelled}) {
    machine->Tick();
    machine->TickFor(seconds(10));
    machine->Suspend(hours(8));
    machine->Tick(seconds(5));
  }
  EXPECT_NEAR(on_battery.Joules("battery", "system").value(), 150, 1e-3);
  EXPECT_NEAR(modelled.Joules("model", "system").value(), 75, 1e-3);
}

TEST(PowerLedgerTest, EnergyThatACounterSawAsleepIsNoSpike) {
  AnalysisMachine machine;
  machine.Zone("package-0", 10);
  machine.Run("a", 1);
  machine.Tick();
  machine.TickFor(seconds(10));
  const double joules = machine.ServiceJoules("a");
  machine.Suspend(hours(8), 0.4);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Watts("rapl", "package-0"), std::nullopt);
  EXPECT_EQ(machine.ServiceJoules("a"), joules);
  EXPECT_NEAR(machine.Unattributed("package-0"), 0.4 * 8 * 3600 + 50, 1e-6);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Watts("rapl", "package-0").value(), 10, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a"), joules + 50, 1e-6);
}

TEST(PowerLedgerTest, AReadingThatComesLateCountsFromWhenItWasRead) {
  AnalysisMachine machine;
  const auto read = [&](double joules, seconds late) {
    machine.nvml.due = true;
    machine.nvml.late = late;
    machine.nvml.Set(metrics::kEnergyJoules, {"nvml", "gpu0"}, joules);
    machine.Tick(seconds(5));
  };
  read(0, seconds(0));
  machine.nvml.due = false;  // asked, and still reading
  machine.Tick(seconds(5));
  read(300, seconds(5));
  EXPECT_NEAR(machine.Watts("nvml", "gpu0").value(), 60, 1e-9);
  read(900, seconds(0));
  EXPECT_NEAR(machine.Watts("nvml", "gpu0").value(), 60, 1e-9);
}

TEST(PowerLedgerTest, LostTicksOfAMachineAwakeCountInFull) {
  AnalysisMachine machine(WithModel());
  machine.Tick();
  machine.Tick(seconds(5));
  machine.Tick(hours(1));
  EXPECT_DOUBLE_EQ(machine.Joules("model", "system").value(), 5 * 3605);
}

TEST(PowerLedgerTest, WallClockDoesNotMatter) {
  AnalysisMachine machine(WithModel());
  machine.Tick();
  machine.clock.SetWall(machine.clock.Now().wall + hours(1000));
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("model", "system").value(), 25);
  machine.clock.SetWall(machine.clock.Now().wall - hours(3000));
  machine.Tick(seconds(5));
  EXPECT_DOUBLE_EQ(machine.Joules("model", "system").value(), 50);
}

}  // namespace
}  // namespace idlewatt
