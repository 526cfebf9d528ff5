#include "analysis/thermal_pressure.h"

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "analysis/metrics.h"
#include "collector/metrics.h"
#include "tests/analysis/analysis_machine.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

using enum ThermalLevel;

constexpr std::string_view kCpu = "coretemp-isa-0000";

// What one machine says of its heat.
struct Machine {
  Machine& Chip(double celsius, const std::vector<std::pair<std::string, double>>& limits,
                std::string_view chip = kCpu, std::string_view sensor = "temp1") {
    maker.Add(metrics::kTemperature, {chip, sensor, "Package"}, celsius);
    for (const auto& [limit, value] : limits) {
      maker.Add(metrics::kTemperatureLimit, {chip, sensor, "Package", limit}, value);
    }
    return *this;
  }
  Machine& Zone(double celsius, const std::vector<std::pair<std::string, double>>& trips,
                std::string_view type = "acpitz", std::string_view zone = "0") {
    maker.Add(metrics::kZoneCelsius, {zone, type}, celsius);
    for (const auto& [trip, value] : trips) {
      maker.Add(metrics::kZoneTripCelsius, {zone, type, trip}, value);
    }
    return *this;
  }
  Machine& Cooler(std::string_view type, double state, double max, std::string_view number = "0") {
    maker.Add(metrics::kCoolingState, {number, type}, state);
    maker.Add(metrics::kCoolingMaxState, {number, type}, max);
    return *this;
  }
  Machine& Throttled(double count) {
    maker.Add(metrics::kThrottleEvents, {"package", "0"}, count);
    return *this;
  }
  Machine& Tick() {
    maker.Tick();
    return *this;
  }
  // The level after this tick; nothing when there is none.
  std::optional<ThermalLevel> Level() {
    const auto* state = thermal.Judge(maker.Tick());
    if (state == nullptr) return std::nullopt;
    EXPECT_EQ(state->cause.empty(), state->level == kNominal) << state->cause;
    return state->level;
  }

  SnapshotMaker maker;
  ThermalPressure thermal;
};

struct Case {
  std::string claim;
  std::function<void(Machine&)> machine;
  std::optional<ThermalLevel> level;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.claim; }

class ThermalPressureTest : public testing::TestWithParam<Case> {};

TEST_P(ThermalPressureTest, Case) {
  Machine machine;
  GetParam().machine(machine);
  EXPECT_EQ(machine.Level(), GetParam().level);
}

std::string NameOf(const testing::TestParamInfo<Case>& info) { return info.param.claim; }

INSTANTIATE_TEST_SUITE_P(
    Chips, ThermalPressureTest,
    testing::Values(
        Case{"CoolIsNominal",
             [](Machine& m) {
               m.Chip(46, {{"max", 100}, {"crit", 105}});
             },
             kNominal},
        Case{"NearMaxIsFair",
             [](Machine& m) {
               m.Chip(85, {{"max", 90}, {"crit", 100}});
             },
             kFair},
        Case{"BelowThatIsNominal",
             [](Machine& m) {
               m.Chip(84.9, {{"max", 90}, {"crit", 100}});
             },
             kNominal},
        Case{"AtMaxIsSerious",
             [](Machine& m) {
               m.Chip(90, {{"max", 90}, {"crit", 100}});
             },
             kSerious},
        Case{"NearCritIsCritical",
             [](Machine& m) {
               m.Chip(97, {{"max", 90}, {"crit", 100}});
             },
             kCritical},
        Case{"AboveCritIsCritical",
             [](Machine& m) {
               m.Chip(104, {{"crit", 100}});
             },
             kCritical},
        Case{"EmergencyIsCriticalToo",
             [](Machine& m) {
               m.Chip(103, {{"emergency", 105}});
             },
             kCritical},
        Case{"TheLowerOfCritAndEmergencyCounts",
             [](Machine& m) {
               m.Chip(98, {{"crit", 100}, {"emergency", 105}});
             },
             kCritical},
        Case{"AMaxFarBelowCritIsWhereFansRun",
             [](Machine& m) {
               m.Chip(85, {{"max", 80}, {"crit", 100}});
             },
             kFair},
        Case{"NearAMaxForFansIsNominal",
             [](Machine& m) {
               m.Chip(79, {{"max", 80}, {"crit", 100}});
             },
             kNominal},
        Case{"WithCritAloneTenBelowIsFair",
             [](Machine& m) {
               m.Chip(90, {{"crit", 100}});
             },
             kFair},
        Case{"WithCritAloneElevenBelowIsNominal",
             [](Machine& m) {
               m.Chip(89, {{"crit", 100}});
             },
             kNominal},
        Case{"ColdIsNominal",
             [](Machine& m) {
               m.Chip(-20, {{"min", 0}, {"crit", 100}});
             },
             kNominal},
        Case{"AMinAloneIsNoLimit",
             [](Machine& m) {
               m.Chip(40, {{"min", 35}});
             },
             std::nullopt},
        Case{"ATemperatureWithoutLimitSaysNothing", [](Machine& m) { m.Chip(99, {}); },
             std::nullopt},
        Case{"TheHottestSensorDecides",
             [](Machine& m) {
               m.Chip(40, {{"crit", 100}}).Chip(99, {{"crit", 100}}, kCpu, "temp2");
             },
             kCritical},
        Case{"LimitsAreThoseOfTheOwnSensor",
             [](Machine& m) {
               m.Chip(84, {{"crit", 100}}).Chip(40, {{"crit", 85}}, kCpu, "temp2");
             },
             kNominal},
        Case{"TheTenthSensorHasItsOwnLimits",
             [](Machine& m) {
               m.Chip(40, {{"crit", 120}}, kCpu, "temp1");
               m.Chip(96, {{"crit", 120}}, kCpu, "temp2");
               m.Chip(96, {{"crit", 105}}, kCpu, "temp10");
             },
             kFair},
        Case{"ASensorWithoutLimitsDoesNotHideTheNext",
             [](Machine& m) {
               m.Chip(40, {}, kCpu, "temp1").Chip(99, {{"crit", 100}}, kCpu, "temp2");
             },
             kCritical},
        Case{"LimitsOfAnotherLabelAreNotItsOwn",
             [](Machine& m) {
               m.Chip(84, {{"crit", 100}});
               m.maker.Add(metrics::kTemperatureLimit, {kCpu, "temp1", "Core 0", "crit"}, 85);
             },
             kNominal},
        Case{"NearCritAndFarFromMaxIsNominal",
             [](Machine& m) {
               m.Chip(92, {{"max", 99}, {"crit", 100}});
             },
             kNominal},
        Case{"LimitsOfASensorThatGivesNothingAreNobodys",
             [](Machine& m) {
               m.maker.Add(metrics::kTemperatureLimit, {"a", "temp1", "", "crit"}, 50);
               m.maker.Add(metrics::kTemperatureLimit, {kCpu, "temp2", "", "crit"}, 50);
               m.Chip(46, {{"crit", 100}}, kCpu, "temp1");
               m.Chip(85, {{"crit", 100}}, kCpu, "temp3");
               m.Chip(99, {}, "nvme-pci-0300");
             },
             kNominal},
        Case{"LimitsAreThoseOfTheOwnChip",
             [](Machine& m) {
               m.Chip(84, {{"crit", 100}}).Chip(40, {{"crit", 85}}, "nvme-pci-0300");
             },
             kNominal}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Absurd, ThermalPressureTest,
    testing::Values(Case{"LimitsOfNvmeThatNobodySet",
                         [](Machine& m) {
                           m.Chip(39, {{"min", -273.15}, {"max", 65261.85}}, "nvme-pci-0300");
                         },
                         std::nullopt},
                    Case{"ALimitOfZero",
                         [](Machine& m) {
                           m.Chip(40, {{"max", 0}, {"crit", 0}});
                         },
                         std::nullopt},
                    Case{"AMaxAboveCrit",
                         [](Machine& m) {
                           m.Chip(80, {{"max", 127}, {"crit", 100}});
                         },
                         kNominal},
                    Case{"WithAMaxAboveCritTenBelowCritIsFair",
                         [](Machine& m) {
                           m.Chip(90, {{"max", 127}, {"crit", 100}});
                         },
                         kFair},
                    Case{"ALimitBelowThirty",
                         [](Machine& m) {
                           m.Chip(40, {{"max", 29}, {"crit", 100}});
                         },
                         kNominal},
                    Case{"ALimitAbove150",
                         [](Machine& m) {
                           m.Chip(100, {{"crit", 151}});
                         },
                         std::nullopt},
                    Case{"TheFaultValue127",
                         [](Machine& m) {
                           m.Chip(127, {{"max", 127}, {"crit", 127}});
                         },
                         std::nullopt},
                    Case{"TheFaultValue255",
                         [](Machine& m) {
                           m.Chip(255, {{"crit", 100}});
                         },
                         std::nullopt},
                    Case{"TheFaultValueMinus128",
                         [](Machine& m) {
                           m.Chip(-128, {{"crit", 100}});
                         },
                         std::nullopt},
                    Case{"ABadSensorDoesNotDecide",
                         [](Machine& m) {
                           m.Chip(46, {{"crit", 100}}).Chip(127.5, {{"crit", 100}}, kCpu, "temp9");
                         },
                         kNominal},
                    Case{
                        "ABadSensorDoesNotHideAHotOne",
                        [](Machine& m) {
                          m.Chip(99, {{"crit", 100}}).Chip(-273.15, {{"crit", 100}}, kCpu, "temp9");
                        },
                        kCritical},
                    Case{"AnInputOfTheBoardThatHangsInTheAir",
                         [](Machine& m) {
                           m.Chip(46, {{"crit", 100}}).Chip(108, {{"max", 80}}, "nct6798-isa-0290");
                         },
                         kNominal},
                    Case{"TheBoardIsHeardWhereNobodyElseSpeaks",
                         [](Machine& m) {
                           m.Chip(81, {{"max", 80}}, "nct6798-isa-0290");
                         },
                         kSerious},
                    Case{"ABadZone",
                         [](Machine& m) {
                           m.Zone(-274, {{"critical", 100}});
                         },
                         std::nullopt},
                    Case{"ATripOfZero",
                         [](Machine& m) {
                           m.Zone(50, {{"passive", 0}, {"critical", 100}});
                         },
                         kNominal},
                    Case{"WithAPassiveTripAboveTheCriticalTenBelowItIsFair",
                         [](Machine& m) {
                           m.Zone(90, {{"passive", 110}, {"critical", 100}});
                         },
                         kFair},
                    Case{"APassiveTripAboveTheCritical",
                         [](Machine& m) {
                           m.Zone(80, {{"passive", 110}, {"critical", 100}});
                         },
                         kNominal}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Zones, ThermalPressureTest,
    testing::Values(
        Case{"CoolIsNominal",
             [](Machine& m) {
               m.Zone(40, {{"passive", 80}, {"critical", 100}});
             },
             kNominal},
        Case{"NearPassiveIsFair",
             [](Machine& m) {
               m.Zone(76, {{"passive", 80}});
             },
             kFair},
        Case{"AtPassiveIsSerious",
             [](Machine& m) {
               m.Zone(80, {{"passive", 80}});
             },
             kSerious},
        Case{"AtHotIsSerious",
             [](Machine& m) {
               m.Zone(91, {{"hot", 90}, {"critical", 100}});
             },
             kSerious},
        Case{"PassiveBelowHotIsSerious",
             [](Machine& m) {
               m.Zone(86, {{"passive", 85}, {"hot", 95}});
             },
             kSerious},
        Case{"NearCriticalIsCritical",
             [](Machine& m) {
               m.Zone(97.5, {{"critical", 100}});
             },
             kCritical},
        Case{"TheFirstOfTwoPassiveTripsIsFair",
             [](Machine& m) {
               m.Zone(71, {{"passive", 70}, {"passive#2", 85}});
             },
             kFair},
        Case{"TheSecondOfTwoPassiveTripsIsSerious",
             [](Machine& m) {
               m.Zone(85, {{"passive", 70}, {"passive#2", 85}});
             },
             kSerious},
        Case{"AnActiveTripIsOnlyAFan",
             [](Machine& m) {
               m.Zone(60, {{"active", 55}});
             },
             std::nullopt},
        Case{"ATripThatOnlyNotifiesIsNoLimit",
             [](Machine& m) {
               m.Zone(60, {{"passive", 50}}, "x86_pkg_temp");
             },
             std::nullopt},
        Case{"TripsAreThoseOfTheOwnZone",
             [](Machine& m) {
               m.Zone(84, {{"critical", 100}}).Zone(40, {{"critical", 85}}, "acpitz", "1");
             },
             kNominal},
        Case{"TripsOfAZoneThatGivesNothingAreNobodys",
             [](Machine& m) {
               m.maker.Add(metrics::kZoneTripCelsius, {"1", "acpitz", "critical"}, 40);
               m.Zone(60, {{"critical", 100}}).Zone(60, {{"critical", 100}}, "acpitz", "10");
             },
             kNominal},
        Case{"TheLowestOfSeveralCriticalTripsCounts",
             [](Machine& m) {
               m.Zone(88, {{"critical", 100}, {"critical#2", 90}});
             },
             kCritical}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    CoolingDevices, ThermalPressureTest,
    testing::Values(
        Case{"AtRestIsNominal", [](Machine& m) { m.Cooler("Processor", 0, 10); }, kNominal},
        Case{"AboveZeroIsFair", [](Machine& m) { m.Cooler("Processor", 1, 10); }, kFair},
        Case{"HalfIsFair", [](Machine& m) { m.Cooler("Processor", 5, 10); }, kFair},
        Case{"MoreThanHalfIsSerious", [](Machine& m) { m.Cooler("Processor", 6, 10); }, kSerious},
        Case{"CpufreqSlows", [](Machine& m) { m.Cooler("cpufreq-cpu0", 9, 10); }, kSerious},
        Case{"OldCpufreqSlows", [](Machine& m) { m.Cooler("thermal-cpufreq-0", 9, 10); }, kSerious},
        Case{"IdleInjectionSlows", [](Machine& m) { m.Cooler("idle-cpu0", 60, 100); }, kSerious},
        Case{"DevfreqSlows", [](Machine& m) { m.Cooler("devfreq-ff9a0000.gpu", 1, 5); }, kFair},
        Case{"PowerclampSlows", [](Machine& m) { m.Cooler("intel_powerclamp", 30, 50); }, kSerious},
        Case{"AnIdlePowerclampIsNominal", [](Machine& m) { m.Cooler("intel_powerclamp", -1, 50); },
             kNominal},
        Case{"TccOffsetIsASetting", [](Machine& m) { m.Cooler("TCC Offset", 60, 63); },
             std::nullopt},
        Case{"ADisplayDoesNotSlow", [](Machine& m) { m.Cooler("LCD", 100, 100); }, std::nullopt},
        Case{"ARadioDoesNotSlow", [](Machine& m) { m.Cooler("iwlwifi", 19, 19); }, std::nullopt},
        Case{"AFanAtItsMaximumIsFair",
             [](Machine& m) { m.Cooler("Processor", 0, 10).Cooler("pwm-fan", 4, 4, "1"); }, kFair},
        Case{"AFanBelowItsMaximumIsNominal",
             [](Machine& m) { m.Cooler("Processor", 0, 10).Cooler("pwm-fan", 3, 4, "1"); },
             kNominal},
        Case{"AFanOfOneStepThatRunsIsNominal",
             [](Machine& m) { m.Cooler("Processor", 0, 10).Cooler("Fan", 1, 1, "1"); }, kNominal},
        Case{"TheRangeIsThatOfTheOwnDevice",
             [](Machine& m) {
               m.maker.Add(metrics::kCoolingMaxState, {"0", "Processor"}, 3);
               m.Cooler("Processor", 2, 10, "1").Cooler("Processor", 2, 5, "10");
             },
             kFair},
        Case{
            "ADeviceWithoutRangeIsFairAtMost",
            [](Machine& m) {
              m.Cooler("Processor", 0, 10).maker.Add(metrics::kCoolingState, {"1", "Processor"}, 9);
            },
            kFair},
        Case{"AFanAloneSaysNothing", [](Machine& m) { m.Cooler("Fan", 1, 10); }, std::nullopt}),
    NameOf);

INSTANTIATE_TEST_SUITE_P(
    Throttling, ThermalPressureTest,
    testing::Values(
        Case{"AFirstCountIsNominal", [](Machine& m) { m.Throttled(5000); }, kNominal},
        Case{"GrowthIsSerious", [](Machine& m) { m.Throttled(7).Tick().Throttled(8); }, kSerious},
        Case{"NoGrowthIsNominal", [](Machine& m) { m.Throttled(7).Tick().Throttled(7); }, kNominal},
        Case{"AFallIsNominal", [](Machine& m) { m.Throttled(7).Tick().Throttled(2); }, kNominal},
        Case{"OverIsOver",
             [](Machine& m) { m.Throttled(7).Tick().Throttled(8).Tick().Throttled(8); }, kNominal}),
    NameOf);

TEST(ThermalPressureStateTest, AMachineThatSaysNothingHasNoLevel) {
  Machine machine;
  EXPECT_EQ(machine.Level(), std::nullopt);
}

TEST(ThermalPressureStateTest, ASensorThatVanishedOrSleepsSaysNothing) {
  Machine machine;
  EXPECT_EQ(machine.Chip(99, {{"crit", 100}}).Level(), kCritical);
  EXPECT_EQ(machine.Level(), std::nullopt);
  EXPECT_EQ(machine.Throttled(1).Cooler("Processor", 1, 10).Level(), kFair);
  EXPECT_EQ(machine.Level(), std::nullopt);
}

TEST(ThermalPressureStateTest, TheCauseNamesSensorAndLimit) {
  SnapshotMaker maker;
  maker.Add(metrics::kTemperature, {kCpu, "temp2", "Core 0"}, 97.6);
  maker.Add(metrics::kTemperatureLimit, {kCpu, "temp2", "Core 0", "crit"}, 100);
  ThermalPressure thermal;
  const auto* state = thermal.Judge(maker.Tick());
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->cause, "Core 0 of coretemp-isa-0000 is at 98 °C, crit is 100 °C");
}

// The cause after one tick; empty when there is no level.
std::string CauseOf(Machine& machine) {
  const auto* state = machine.thermal.Judge(machine.maker.Tick());
  return state == nullptr ? "" : state->cause;
}

TEST(ThermalPressureStateTest, EveryKindOfCauseIsTold) {
  Machine machine;
  EXPECT_EQ(CauseOf(machine.Zone(80.4, {{"passive", 80}, {"passive#2", 90}}, "soc", "3")),
            "thermal zone 3 (soc) is at 80 °C, its first limit is 80 °C");
  EXPECT_EQ(CauseOf(machine.Throttled(4)), "");
  EXPECT_EQ(CauseOf(machine.Throttled(5)), "package 0 was slowed down because of heat");
  EXPECT_EQ(CauseOf(machine.Cooler("Processor", 1, 10)),
            "cooling device 0 (Processor) slows the machine");
  EXPECT_EQ(CauseOf(machine.Cooler("Processor", 6, 10)),
            "cooling device 0 (Processor) slows the machine by more than half of what it can");
  EXPECT_EQ(CauseOf(machine.Cooler("Processor", 0, 10).Cooler("pwm-fan", 4, 4, "1")),
            "cooling device 1 (pwm-fan) runs as fast as it can");
}

TEST(ThermalPressureStateTest, TheCauseIsThatOfTheWorstAndOfSeveralTheFirst) {
  Machine machine;
  machine.Zone(86, {{"critical", 95}}).Cooler("Processor", 9, 10);
  machine.Chip(91, {{"max", 90}, {"crit", 100}}, kCpu, "temp1");
  machine.Chip(99, {{"max", 90}, {"crit", 100}}, kCpu, "temp2");
  machine.Chip(101, {{"max", 90}, {"crit", 101}}, kCpu, "temp3");
  EXPECT_EQ(CauseOf(machine), "Package of coretemp-isa-0000 is at 99 °C, crit is 100 °C");
  machine.Cooler("Processor", 1, 10, "3").Cooler("Processor", 2, 10, "4");
  EXPECT_EQ(CauseOf(machine), "cooling device 3 (Processor) slows the machine");
}

TEST(ThermalPressureStateTest, ACauseEndsWithItsTick) {
  Machine machine;
  EXPECT_NE(CauseOf(machine.Chip(99, {{"crit", 100}})), "");
  EXPECT_EQ(machine.Chip(46, {{"crit", 100}}).Level(), kNominal);
  EXPECT_EQ(CauseOf(machine), "");
}

// As the daemon does it, tick by tick.
TEST(ThermalPressureStateTest, TheAnalysisPublishesLevelAndSource) {
  AnalysisMachine machine;
  machine.Tick();
  EXPECT_EQ(machine.Get(metrics::kThermalPressure, {}), std::nullopt);
  ASSERT_NE(machine.Source("thermal_pressure"), nullptr);
  EXPECT_EQ(machine.Source("thermal_pressure")->error.value().code, ErrorCode::kNoData);
  EXPECT_EQ(machine.Source("thermal_pressure")->sampler, "analysis");
  machine.hwmon.Set(metrics::kThrottleEvents, {"package", "0"}, 4);
  machine.Tick(std::chrono::seconds(5));
  EXPECT_EQ(machine.Get(metrics::kThermalPressure, {}), 0);
  EXPECT_EQ(machine.Source("thermal_pressure")->gives,
            "limits of heat: 0 temperatures, 1 throttle counts, 0 slowing devices");
  machine.hwmon.Set(metrics::kThrottleEvents, {"package", "0"}, 5);
  machine.Tick(std::chrono::seconds(5));
  EXPECT_EQ(machine.Get(metrics::kThermalPressure, {}), 2);
  ASSERT_NE(machine.analyzer().thermal().state(), nullptr);
  EXPECT_EQ(machine.analyzer().thermal().state()->level, kSerious);
}

}  // namespace
}  // namespace idlewatt
