#include "analysis/alert_conditions.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "tests/analysis/alert_support.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using enum AlertState;

TEST(AlertBuiltinTest, TheTableHoldsNineConditionsWithTheirUsualValues) {
  std::string table;
  for (const AlertBuiltin& one : AlertBuiltinTable()) {
    AppendFormat(table, "%s %g %g %s %lld\n", std::string(one.name).c_str(),
                 one.warning.value_or(-1), one.critical.value_or(-1), std::string(one.unit).c_str(),
                 static_cast<long long>(one.hold.count() / 1000));
    EXPECT_EQ(FindAlertBuiltin(one.name), &one);
  }
  EXPECT_EQ(table,
            "IdlePower 5 10 watts 300\n"
            "IdleServiceCpu 5 20 percent 30\n"
            "MemoryGrowth 100 500 MB/h 300\n"
            "ThermalPressure 1 2 level 30\n"
            "ServiceDown 1 2 level 60\n"
            "CrashLoop 2 5 restarts 0\n"
            "IdleModelLoaded 30 -1 minutes 0\n"
            "SensorLost 1 -1 sources 300\n"
            "IdleBaseline 20 50 percent 300\n");
  EXPECT_EQ(FindAlertBuiltin("IdlePowr"), nullptr);
}

// A machine whose only service nobody uses, with one CPU package.
class IdlePowerTest : public testing::Test {
 protected:
  static constexpr const char* kName = "IdlePower";
  void RunIdle(double watts, double cpu = 0) {
    RunUnused(machine_, "a", cpu);
    machine_.Zone("package-0", watts);
    TickUntilIdle(machine_);
  }
  AnalysisMachine machine_;
};

TEST_F(IdlePowerTest, FiresAboveTheLimitAfterFiveMinutes) {
  RunIdle(7.5);
  EXPECT_EQ(StateOfAlert(machine_, kName), kPending);
  machine_.TickFor(minutes(5) - seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kPending);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(StateOfAlert(machine_, kName, "", "critical"), kInactive);
  EXPECT_EQ(AlertOf(machine_, kName)->value, 7.5);
  EXPECT_EQ(AlertOf(machine_, kName)->unit, "watts");
}

TEST_F(IdlePowerTest, AtTheLimitIsNotAboveIt) {
  RunIdle(5);
  machine_.TickFor(minutes(10));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
  EXPECT_EQ(machine_.Get(metrics::kAlertState, {kName, "", "warning"}), 0);
}

TEST_F(IdlePowerTest, IsOverATenthBelowTheLimit) {
  RunIdle(7.5);
  machine_.TickFor(minutes(5));
  machine_.Zone("package-0", 4.75);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(AlertOf(machine_, kName)->value, 4.75);
  machine_.Zone("package-0", 4.5);
  machine_.Tick(seconds(5));
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
}

TEST_F(IdlePowerTest, SaysNothingWhileAnybodyUsesAService) {
  RunUnused(machine_, "used");
  RunIdle(7.5);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  machine_.Port("used", 1);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
}

TEST_F(IdlePowerTest, SaysNothingWhileSomebodyTypes) {
  machine_.other.Set(metrics::kHostInputIdle, {}, 59.9);
  RunIdle(7.5);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
  machine_.other.Set(metrics::kHostInputIdle, {}, 60);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kPending);
}

TEST_F(IdlePowerTest, SaysNothingWithoutServices) {
  machine_.Zone("package-0", 20);
  TickUntilIdle(machine_);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
}

TEST_F(IdlePowerTest, PackagesMemoryAndGpusCount) {
  machine_.Zone("dram-0", 1.5);
  machine_.nvml.Set(metrics::kPowerWatts, {"nvml", "gpu0"}, 8);
  RunIdle(2.5);
  EXPECT_DOUBLE_EQ(AlertOf(machine_, kName)->value, 12);
}

TEST_F(IdlePowerTest, TheScreenOfALaptopDoesNotCount) {
  machine_.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 30);
  RunIdle(4);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(machine_.Get(metrics::kHostPowerWatts, {}), 30);
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
}

TEST_F(IdlePowerTest, AMissingValueChangesNothing) {
  RunIdle(7.5);
  machine_.TickFor(minutes(5));
  const WallTime since = AlertOf(machine_, kName)->since;
  machine_.LoseZone("package-0");
  machine_.TickFor(minutes(1));
  ASSERT_EQ(machine_.Get(metrics::kHostComputeWatts, {}), std::nullopt);
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(AlertOf(machine_, kName)->since, since);
  EXPECT_EQ(AlertOf(machine_, kName)->value, 7.5);
}

TEST_F(IdlePowerTest, AdviceNamesTheLargestShare) {
  RunUnused(machine_, "little", 0.1);
  RunIdle(8, 0.3);
  EXPECT_EQ(AlertOf(machine_, kName)->summary,
            "the machine draws 8.0 W (limit 5 W) though nobody uses any service");
  EXPECT_EQ(AlertOf(machine_, kName)->advice,
            "a has the largest share, 6.0 W; stop it while nobody needs it");
}

TEST_F(IdlePowerTest, AdviceNamesTheMachineWhereNoServiceDrawsAnything) {
  RunIdle(8);
  EXPECT_EQ(AlertOf(machine_, kName)->advice,
            "no service draws any of it: it is what the machine itself needs");
}

TEST_F(IdlePowerTest, AShareThatRoundsToNothingIsNotAdvisedOn) {
  machine_.RunKernel(0.399);
  RunIdle(8, 0.001);
  ASSERT_NEAR(machine_.ServiceWatts("a").value(), 0.02, 1e-6);
  EXPECT_THAT(AlertOf(machine_, kName)->advice, HasSubstr("no service draws any of it"));
}

TEST(IdlePowerOfTheModelTest, IsCalledAnEstimate) {
  AnalysisMachine machine({.attribution = {.model = PowerModel{8, 28}}});
  RunUnused(machine, "a", 0.4);
  TickUntilIdle(machine);
  EXPECT_EQ(AlertOf(machine, "IdlePower")->summary,
            "the machine draws 10.0 W (estimated by the model) (limit 5 W) though nobody uses any "
            "service");
  EXPECT_THAT(AlertOf(machine, "IdlePower")->advice, HasSubstr("2.0 W (estimated by the model)"));
}

TEST(IdleServiceCpuTest, FiresAboveTheLimitAfterHalfAMinute) {
  AnalysisMachine machine;
  RunUnused(machine, "a", 0.0625);
  RunUnused(machine, "at-limit", 0.046875);
  TickUntilIdle(machine);
  machine.TickFor(seconds(25));
  EXPECT_EQ(StateOfAlert(machine, "IdleServiceCpu", "a"), kPending);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine, "IdleServiceCpu", "a"), kFiring);
  EXPECT_EQ(StateOfAlert(machine, "IdleServiceCpu", "at-limit"), kInactive);
}

TEST(IdleServiceCpuTest, IsOverATenthBelowTheLimit) {
  AnalysisMachine machine;
  RunUnused(machine, "a", 0.0625);
  TickUntilIdle(machine);
  machine.TickFor(seconds(30));
  machine.Run("a", 0.046875);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine, "IdleServiceCpu", "a"), kFiring);
  machine.Run("a", 0.04375);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine, "IdleServiceCpu", "a"), kResolved);
}

TEST(IdleServiceCpuTest, AReadingThatIsMissingChangesNothing) {
  AnalysisMachine machine;
  RunUnused(machine, "a", 0.5);
  TickUntilIdle(machine);
  machine.TickFor(seconds(30));
  machine.SetCpuSeconds("a", 0);  // it fell: there is no rate
  machine.Tick(seconds(0));
  machine.Tick(seconds(1));
  EXPECT_EQ(StateOfAlert(machine, "IdleServiceCpu", "a"), kFiring);
}

TEST(IdleServiceCpuTest, AdviceTellsWhatItDraws) {
  AnalysisMachine machine;
  RunUnused(machine, "a", 0.5);
  machine.Zone("package-0", 4);
  TickUntilIdle(machine);
  EXPECT_EQ(AlertOf(machine, "IdleServiceCpu", "a")->advice,
            "look for a busy loop or polling in a; stop it while nobody needs it. It draws 4.0 W, "
            "96 Wh a day.");
}

// A service named "a" whose memory a test sets, minute by minute.
class MemoryGrowthTest : public testing::Test {
 protected:
  static constexpr double kMegabyte = 1e6;

  void SetUp() override { machine_.Run("a", 0.2); }
  // A tick each minute; `megabytes` of the minutes since the start of the test.
  template <typename Megabytes>
  void RunFor(int count, Megabytes megabytes, const std::string& kind = "supervised") {
    for (int i = 0; i < count; ++i) {
      machine_.process.Set(metrics::kServiceMemoryBytes, {"a", kind},
                           megabytes(minute_++) * kMegabyte);
      uptime_ += 60;
      machine_.other.Set(metrics::kServiceUptime, {"a"}, uptime_);
      machine_.Tick(minutes(1));
    }
  }
  static double Leak(double minute) { return 1000 + minute * 200 / 60; }
  AlertState State(std::string_view severity = "warning") const {
    return StateOfAlert(machine_, "MemoryGrowth", "a", severity);
  }

  AnalysisMachine machine_;
  int minute_ = 0;
  double uptime_ = 0;
};

TEST_F(MemoryGrowthTest, ALeakFires) {
  RunFor(30, Leak);
  EXPECT_EQ(State(), kInactive) << "half an hour is needed";
  RunFor(1, Leak);
  EXPECT_EQ(State(), kPending);
  RunFor(5, Leak);
  EXPECT_EQ(State(), kFiring);
  EXPECT_EQ(State("critical"), kInactive);
  const AlertStatus alert = *AlertOf(machine_, "MemoryGrowth", "a");
  EXPECT_NEAR(alert.value, 200, 1e-6);
  EXPECT_EQ(alert.unit, "MB/h");
  EXPECT_EQ(alert.builtin, "MemoryGrowth");
  EXPECT_EQ(alert.summary, "memory of a grows by 200 MB an hour (limit 100 MB)");
  EXPECT_EQ(alert.advice,
            "look for a leak in a: what it holds at least rose from 1000 to 1083 MB, and not by a "
            "step");
}

TEST_F(MemoryGrowthTest, SlowGrowthIsNoFinding) {
  RunFor(70, [](int minute) { return 1000 + minute * 99.0 / 60; });
  EXPECT_EQ(State(), kInactive);
}

TEST_F(MemoryGrowthTest, AStepIsNoGrowth) {
  for (int i = 0; i < 120; ++i) {
    RunFor(1, [](int minute) { return minute < 40 ? 1000 : 9000; });
    ASSERT_EQ(State(), kInactive) << "minute " << i;
  }
}

TEST_F(MemoryGrowthTest, WhatGrowsNoMoreIsOver) {
  RunFor(40, Leak);
  ASSERT_EQ(State(), kFiring);
  for (int i = 0; i < 60 && State() == kFiring; ++i) RunFor(1, [](int) { return Leak(40); });
  EXPECT_EQ(State(), kResolved);
}

TEST_F(MemoryGrowthTest, ARestartEndsIt) {
  RunFor(40, Leak);
  ASSERT_EQ(State(), kFiring);
  uptime_ = 0;
  RunFor(1, [](int) { return 300; });
  EXPECT_EQ(State(), kResolved);
  RunFor(10, [](int minute) { return 300 + (minute - 40) * 10; });
  EXPECT_EQ(State(), kResolved) << "what was before the restart says nothing";
}

TEST_F(MemoryGrowthTest, ADiscoveredServiceIsNotLookedAt) {
  machine_.Vanish("a");
  machine_.other.Remove(metrics::kServiceUptime, {"a"});
  machine_.Run("found", 0.2, "discovered");
  machine_.Run("watched", 0.2, "watched");
  for (int i = 0; i < 40; ++i) {
    machine_.process.Set(metrics::kServiceMemoryBytes, {"found", "discovered"},
                         Leak(i) * kMegabyte);
    machine_.process.Set(metrics::kServiceMemoryBytes, {"watched", "watched"}, Leak(i) * kMegabyte);
    machine_.Tick(minutes(1));
  }
  EXPECT_EQ(StateOfAlert(machine_, "MemoryGrowth", "found"), kInactive);
  EXPECT_EQ(StateOfAlert(machine_, "MemoryGrowth", "watched"), kFiring);
}

class ThermalPressureAlertTest : public testing::Test {
 protected:
  static constexpr const char* kName = "ThermalPressure";
  // Of ten steps by which the kernel slows the CPUs.
  void Slow(double state) {
    machine_.hwmon.Set(metrics::kCoolingState, {"0", "Processor"}, state);
    machine_.hwmon.Set(metrics::kCoolingMaxState, {"0", "Processor"}, 10);
  }
  AnalysisMachine machine_;
};

TEST_F(ThermalPressureAlertTest, FiresAtItsLevelAfterHalfAMinute) {
  Slow(1);
  machine_.Tick();
  machine_.TickFor(seconds(25));
  EXPECT_EQ(StateOfAlert(machine_, kName), kPending);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(StateOfAlert(machine_, kName, "", "critical"), kInactive);
  EXPECT_THAT(AlertOf(machine_, kName)->summary,
              AllOf(HasSubstr("thermal pressure is fair: "), HasSubstr("Processor")));
  Slow(6);
  machine_.TickFor(seconds(35));
  EXPECT_EQ(StateOfAlert(machine_, kName, "", "critical"), kFiring);
  EXPECT_THAT(AlertOf(machine_, kName)->summary, HasSubstr("serious"));
}

TEST_F(ThermalPressureAlertTest, ALevelHasNoHysteresis) {
  Slow(6);
  machine_.Tick();
  machine_.TickFor(seconds(30));
  Slow(1);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "", "critical"), kResolved);
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  Slow(0);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
}

TEST_F(ThermalPressureAlertTest, AdviceNamesWhoUsesMost) {
  machine_.Run("little", 0.1);
  machine_.Run("much", 2.5);
  Slow(6);
  machine_.Tick();
  machine_.Tick(seconds(5));
  EXPECT_EQ(AlertOf(machine_, kName)->advice,
            "reduce the load or cool the machine; much uses most, 2.5 CPUs");
}

TEST_F(ThermalPressureAlertTest, AMachineThatTellsNothingOfHeatHasNoAlert) {
  machine_.Tick();
  machine_.TickFor(minutes(10));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
  EXPECT_EQ(machine_.Get(metrics::kAlertState, {kName, "", "warning"}), 0);
}

class ServiceDownTest : public testing::Test {
 protected:
  static constexpr const char* kName = "ServiceDown";
  void SetState(const std::string& state) {
    for (const char* one : {"stopped", "starting", "ready", "unhealthy", "backoff", "failed"}) {
      machine_.other.Set(metrics::kServiceState, {"a", one}, one == state ? 1 : 0);
    }
  }
  AnalysisMachine machine_;
};

TEST_F(ServiceDownTest, AFailedServiceFiresBothAfterAMinute) {
  SetState("failed");
  machine_.Tick();
  machine_.TickFor(seconds(55));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kPending);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring);
  EXPECT_EQ(StateOfAlert(machine_, kName, "a", "critical"), kFiring);
  EXPECT_EQ(AlertOf(machine_, kName, "a")->summary, "a is failed");
  EXPECT_EQ(AlertOf(machine_, kName, "a")->advice,
            "it is not started any more: see `idlewatt logs a`, then `idlewatt start a`");
}

TEST_F(ServiceDownTest, OneThatMayComeBackIsAWarning) {
  for (const std::string state : {"unhealthy", "backoff"}) {
    SetState(state);
    machine_.Tick(seconds(5));
    machine_.TickFor(minutes(1));
    EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring) << state;
    EXPECT_EQ(StateOfAlert(machine_, kName, "a", "critical"), kInactive) << state;
    EXPECT_EQ(AlertOf(machine_, kName, "a")->summary, "a is " + state);
    EXPECT_EQ(AlertOf(machine_, kName, "a")->advice,
              "see `idlewatt status` and `idlewatt logs a` for why a is down");
    SetState("ready");
    machine_.Tick(seconds(5));
    EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kResolved) << state;
  }
}

TEST_F(ServiceDownTest, ATryIsNotYetUp) {
  SetState("backoff");
  machine_.Tick();
  machine_.TickFor(minutes(1));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring);
  SetState("starting");
  machine_.TickFor(minutes(1));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring);
  SetState("ready");
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kResolved);
}

TEST_F(ServiceDownTest, OneThatWasStoppedIsNotDown) {
  SetState("failed");
  machine_.Tick();
  machine_.TickFor(minutes(1));
  SetState("stopped");
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kResolved);
  EXPECT_EQ(StateOfAlert(machine_, kName, "a", "critical"), kResolved);
  machine_.TickFor(minutes(16));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kInactive);
}

TEST_F(ServiceDownTest, OneThatNobodySupervisesHasNoState) {
  machine_.Run("watched", 0.1, "watched");
  machine_.Tick();
  machine_.TickFor(minutes(2));
  EXPECT_EQ(StateOfAlert(machine_, kName, "watched"), kInactive);
}

class CrashLoopTest : public testing::Test {
 protected:
  static constexpr const char* kName = "CrashLoop";
  void SetUp() override {
    machine_.Run("a", 0.1);
    for (const std::string_view reason : metrics::kFailedRestarts) {
      SetRestarts(std::string(reason), 0);
    }
  }
  void SetRestarts(const std::string& reason, double count) {
    machine_.other.Set(metrics::kServiceRestarts, {"a", reason}, count);
  }
  AnalysisMachine machine_;
};

TEST_F(CrashLoopTest, FiresAtOnceAboveTwoRestarts) {
  machine_.Tick();
  SetRestarts("crash", 1);
  machine_.Tick(seconds(5));
  SetRestarts("crash", 2);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kInactive);
  SetRestarts("unhealthy", 1);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring);
  EXPECT_EQ(StateOfAlert(machine_, kName, "a", "critical"), kInactive);
  EXPECT_EQ(AlertOf(machine_, kName, "a")->summary, "a was restarted 3 times within 10m (limit 2)");
  EXPECT_EQ(AlertOf(machine_, kName, "a")->advice, "see `idlewatt logs a` for what ends it");
  SetRestarts("crash", 5);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a", "critical"), kFiring);
}

TEST_F(CrashLoopTest, IsOverWhenTheRestartsAreTenMinutesPast) {
  machine_.Tick();
  for (int i = 1; i <= 3; ++i) {
    SetRestarts("crash", i);
    machine_.Tick(minutes(1));
  }
  machine_.TickFor(minutes(8) - seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring);
  machine_.TickFor(seconds(5));  // two are left
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring) << "which is not a tenth below the limit";
  machine_.TickFor(minutes(1));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kResolved);
}

TEST_F(CrashLoopTest, RestartsThatSomebodyAskedForDoNotCount) {
  machine_.Tick();
  for (int i = 1; i <= 10; ++i) {
    for (const char* reason : {"request", "reload", "swap"}) SetRestarts(reason, i);
    machine_.Tick(seconds(5));
  }
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kInactive);
}

TEST_F(CrashLoopTest, WhatIsCountedWhenTheDaemonStartsIsPast) {
  SetRestarts("crash", 40);
  machine_.Tick();
  machine_.TickFor(seconds(30));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kInactive);
  SetRestarts("crash", 43);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "a"), kFiring);
}

// A service that nobody uses, and what it holds.
class IdleModelLoadedTest : public testing::Test {
 protected:
  static constexpr const char* kName = "IdleModelLoaded";
  static constexpr double kGibibyte = 1024.0 * 1024 * 1024;
  void Hold(const std::string& service, double bytes, const std::string& kind = "supervised") {
    RunUnused(machine_, service, 0, kind);
    machine_.process.Set(metrics::kServiceMemoryBytes, {service, kind}, bytes);
  }
  AnalysisMachine machine_;
};

TEST_F(IdleModelLoadedTest, FiresAfterHalfAnHourWithoutUse) {
  Hold("llama", 4.5 * kGibibyte);
  machine_.Tick();
  machine_.TickFor(minutes(30));
  EXPECT_EQ(StateOfAlert(machine_, kName, "llama"), kInactive);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "llama"), kFiring);
  EXPECT_EQ(AlertOf(machine_, kName, "llama")->summary,
            "llama holds 4.5 GiB of memory though nobody has used it for 30m 5s (limit 30 min)");
  EXPECT_EQ(AlertOf(machine_, kName, "llama")->advice,
            "stop llama or unload its model until somebody asks for it.");
  machine_.Port("llama", 1);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "llama"), kResolved);
}

TEST_F(IdleModelLoadedTest, AServiceThatHoldsLittleHoldsNoModel) {
  Hold("small", kGibibyte - 1);
  Hold("large", kGibibyte);
  machine_.Tick();
  machine_.TickFor(minutes(31));
  EXPECT_EQ(StateOfAlert(machine_, kName, "small"), kInactive);
  EXPECT_EQ(StateOfAlert(machine_, kName, "large"), kFiring);
}

TEST_F(IdleModelLoadedTest, MemoryThatSwingsAboutTheLeastDoesNotEndIt) {
  Hold("llama", 1.01 * kGibibyte);
  machine_.Tick();
  machine_.TickFor(minutes(31));
  Hold("llama", 0.95 * kGibibyte);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "llama"), kFiring);
  Hold("llama", 0.89 * kGibibyte);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "llama"), kResolved);
}

TEST_F(IdleModelLoadedTest, MemoryOfAGpuCountsToo) {
  Hold("small", kGibibyte / 8);
  Hold("large", kGibibyte / 8);
  machine_.UseGpu("small", kGibibyte / 4 - 1, 0);
  machine_.UseGpu("large", kGibibyte / 2, 0);
  machine_.Tick();
  machine_.TickFor(minutes(31));
  EXPECT_EQ(StateOfAlert(machine_, kName, "small"), kInactive);
  EXPECT_THAT(AlertOf(machine_, kName, "large")->summary,
              HasSubstr("holds 0.1 GiB of memory and 0.5 GiB of GPU memory though"));
}

TEST_F(IdleModelLoadedTest, UnloadingEndsIt) {
  Hold("llama", 4 * kGibibyte);
  machine_.Tick();
  machine_.TickFor(minutes(31));
  machine_.process.Set(metrics::kServiceMemoryBytes, {"llama", "supervised"}, 1e8);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName, "llama"), kResolved);
}

TEST_F(IdleModelLoadedTest, ADiscoveredServiceIsNotLookedAt) {
  Hold("found", 4 * kGibibyte, "discovered");
  Hold("watched", 4 * kGibibyte, "watched");
  machine_.Tick();
  machine_.TickFor(minutes(31));
  EXPECT_EQ(StateOfAlert(machine_, kName, "found"), kInactive);
  EXPECT_EQ(StateOfAlert(machine_, kName, "watched"), kFiring);
}

class SensorLostTest : public testing::Test {
 protected:
  static constexpr const char* kName = "SensorLost";
  void Give(const std::string& source) {
    machine_.other.Set(metrics::kSourceAvailable, {source, ""}, 1);
  }
  void Refuse(const std::string& source) {
    Lose(source);
    machine_.other.Set(metrics::kSourceAvailable, {source, "permission"}, 0);
  }
  void Lose(const std::string& source) {
    machine_.other.Remove(metrics::kSourceAvailable, {source, ""});
  }
  AnalysisMachine machine_;
};

TEST_F(SensorLostTest, ASourceThatIsRefusedFiresAfterFiveMinutes) {
  Give("rapl");
  Give("hwmon:nvme");
  machine_.Tick();
  Refuse("rapl");
  machine_.Tick(seconds(5));
  machine_.TickFor(minutes(5) - seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kPending);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(AlertOf(machine_, kName)->value, 1);
  EXPECT_EQ(AlertOf(machine_, kName)->summary, "can't be read any more: rapl");
  EXPECT_THAT(AlertOf(machine_, kName)->advice, HasSubstr("`idlewatt sensors`"));
  Lose("hwmon:nvme");
  machine_.Tick(seconds(5));
  EXPECT_EQ(AlertOf(machine_, kName)->summary, "can't be read any more: hwmon:nvme, rapl");
}

TEST_F(SensorLostTest, IsOverWhenTheSourceIsBack) {
  Give("rapl");
  machine_.Tick();
  Lose("rapl");
  machine_.TickFor(minutes(6));
  Give("rapl");
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
}

TEST_F(SensorLostTest, ASourceThatCouldNeverBeReadIsNotLost) {
  Refuse("rapl");
  machine_.Tick();
  machine_.TickFor(minutes(6));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
}

TEST_F(SensorLostTest, IsOverWhenTheSourceIsForgotten) {
  Give("rapl");
  machine_.Tick();
  Lose("rapl");
  for (int i = 0; i < 24 * 6 - 1; ++i) machine_.Tick(minutes(10));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  machine_.Tick(minutes(10));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
}

TEST_F(SensorLostTest, OfManyTheFirstFiveAreNamed) {
  for (const char* source : {"a", "b", "c", "d", "e", "f", "g"}) Give(source);
  machine_.Tick();
  for (const char* source : {"a", "b", "c", "d", "e", "f", "g"}) Lose(source);
  machine_.Tick(seconds(5));
  EXPECT_EQ(AlertOf(machine_, kName)->summary, "can't be read any more: a, b, c, d, e and 2 more");
}

// An idle machine with a baseline of 10 W.
class IdleBaselineAlertTest : public testing::Test {
 protected:
  static constexpr const char* kName = "IdleBaseline";
  void SetUp() override { SetBaseline(10); }
  void SetBaseline(double watts) {
    machine_.analyzer().SetBaseline(Baseline{"good", watts, 60, {}, {}});
  }
  void RunIdle(double watts) {
    RunUnused(machine_, "a", 0.4);
    machine_.Zone("package-0", watts);
    TickUntilIdle(machine_);
  }
  AnalysisMachine machine_;
};

TEST_F(IdleBaselineAlertTest, FiresWhenTheIdleMachineDrawsAFifthMore) {
  RunIdle(13);
  machine_.TickFor(seconds(115));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive) << "two idle minutes are needed";
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kPending);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(StateOfAlert(machine_, kName, "", "critical"), kInactive);
  EXPECT_NEAR(AlertOf(machine_, kName)->value, 30, 1e-6);
  EXPECT_EQ(AlertOf(machine_, kName)->summary,
            "the idle machine draws 13.0 W, 30 % more than the 10.0 W of baseline good (limit 20 "
            "%)");
  EXPECT_EQ(AlertOf(machine_, kName)->advice,
            "something that runs while nobody uses it is new: a has the largest share, 13.0 W; "
            "stop it while nobody needs it");
}

TEST_F(IdleBaselineAlertTest, ALittleMoreIsNoFinding) {
  RunIdle(11.9);
  machine_.TickFor(minutes(20));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
}

TEST_F(IdleBaselineAlertTest, LessThanAWattMoreIsNoFinding) {
  SetBaseline(1);
  RunIdle(1.9);
  machine_.TickFor(minutes(20));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
  machine_.Zone("package-0", 2.5);
  machine_.TickFor(minutes(20));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  machine_.Zone("package-0", 1.95);
  machine_.TickFor(minutes(20));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring) << "nearly as much";
  machine_.Zone("package-0", 1.8);
  machine_.TickFor(minutes(20));
  EXPECT_NE(StateOfAlert(machine_, kName), kFiring);
}

TEST_F(IdleBaselineAlertTest, TheScreenOfALaptopDoesNotCount) {
  machine_.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 30);
  RunIdle(10);
  machine_.TickFor(minutes(20));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
}

TEST_F(IdleBaselineAlertTest, PowerOfTheMachineInUseDoesNotCount) {
  RunUnused(machine_, "b");
  RunIdle(10);
  machine_.TickFor(minutes(10));
  machine_.Zone("package-0", 90);
  for (int i = 0; i < 60; ++i) {
    machine_.Port("b", 1);
    machine_.Tick(seconds(5));
  }
  machine_.Zone("package-0", 10);
  machine_.TickFor(minutes(20));
  EXPECT_EQ(StateOfAlert(machine_, kName), kInactive);
}

TEST_F(IdleBaselineAlertTest, WithoutABaselineThereIsNone) {
  RunIdle(13);
  machine_.TickFor(minutes(10));
  EXPECT_EQ(StateOfAlert(machine_, kName), kFiring);
  EXPECT_EQ(machine_.Get(metrics::kBaselineIdleWatts, {"good"}), 10);
  machine_.analyzer().SetBaseline(std::nullopt);
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
  EXPECT_EQ(machine_.Get(metrics::kBaselineIdleWatts, {"good"}), std::nullopt);
}

TEST_F(IdleBaselineAlertTest, ANewBaselineTakesThePlaceOfTheOld) {
  RunIdle(13);
  machine_.TickFor(minutes(10));
  machine_.analyzer().SetBaseline(Baseline{"new", 13, 60, {}, {}});
  machine_.Tick(seconds(5));
  EXPECT_EQ(StateOfAlert(machine_, kName), kResolved);
  EXPECT_EQ(machine_.Get(metrics::kBaselineIdleWatts, {"good"}), std::nullopt);
  EXPECT_EQ(machine_.Get(metrics::kBaselineIdleWatts, {"new"}), 13);
}

TEST(AlertTextTest, ALongNameIsNotCut) {
  const std::string name(300, 'n');
  AnalysisMachine machine;
  RunUnused(machine, name, 0.4);
  TickUntilIdle(machine);
  EXPECT_THAT(AlertOf(machine, "IdleServiceCpu", name)->summary,
              AllOf(HasSubstr(name), HasSubstr("for 1m")));
}

}  // namespace
}  // namespace idlewatt
