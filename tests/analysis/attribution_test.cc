#include "analysis/attribution.h"

#include <random>

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(AttributionTest, DomainsWithinAPackageCountOnce) {
  AnalysisMachine machine;
  machine.Run("a", 2);
  machine.Zone("package-0", 20);
  machine.Zone("core", 15);
  machine.Zone("uncore", 2);
  machine.Zone("psys", 40);
  machine.Zone("dram", 3);
  machine.hwmon.Set(metrics::kPowerWatts, {"hwmon", "system"}, 60);
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 55);
  machine.Tick();
  const double before = machine.HandedOut();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.HandedOut() - before, 5 * 60, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a", "cpu"), 100, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a", "dram"), 15, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a", "platform"), 5 * 37, 1e-9);
  EXPECT_NEAR(CurrentMachinePower(machine.snapshot())->watts, 60, 1e-9);
  EXPECT_EQ(CurrentMachinePower(machine.snapshot())->source, "hwmon");
  EXPECT_NEAR(machine.Get(metrics::kHostPowerWatts, {}).value(), 60, 1e-9);
  EXPECT_NEAR(machine.Get(metrics::kHostComputeWatts, {}).value(), 23, 1e-9);
}

TEST(AttributionTest, TwoPackagesAddUp) {
  AnalysisMachine machine;
  machine.Run("a", 2);
  machine.Zone("package-0", 20);
  machine.Zone("package-1", 30);
  machine.Zone("dram-0", 3);
  machine.Zone("dram-1", 4);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a", "cpu"), 250, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a", "dram"), 35, 1e-9);
  EXPECT_NEAR(CurrentMachinePower(machine.snapshot())->watts, 57, 1e-9);
}

// "rapl/package-0=cpu …" of the domains with a role.
std::string RolesOf(std::vector<DomainEnergy> domains) {
  constexpr std::array<const char*, 5> kNames{"", "cpu", "dram", "gpu", "whole"};
  AssignRoles(domains);
  std::string roles;
  for (const DomainEnergy& d : domains) {
    if (d.role == DomainRole::kNone) continue;
    if (!roles.empty()) roles += " ";
    roles += std::string(d.source) + "/" + std::string(d.domain) + "=" +
             kNames[static_cast<size_t>(d.role)];
  }
  return roles;
}

TEST(DomainRolesTest, WithoutPackagesTheWholeMachineStandsForTheCpus) {
  EXPECT_EQ(
      RolesOf({{"model", "system"}, {"rapl", "psys"}, {"battery", "system"}, {"hwmon", "system"}}),
      "hwmon/system=cpu");
  EXPECT_EQ(RolesOf({{"model", "system"}, {"rapl", "psys"}, {"battery", "system"}}),
            "battery/system=cpu");
  EXPECT_EQ(RolesOf({{"rapl", "psys"}, {"rapl", "dram"}}), "rapl/psys=cpu");
  EXPECT_EQ(RolesOf({{"model", "system"}, {"nvml", "gpu0"}}), "model/system=cpu nvml/gpu0=gpu");
}

TEST(DomainRolesTest, PartsOfPackagesAndSecondMetersOfAWholeHaveNoRole) {
  EXPECT_EQ(RolesOf({{"rapl", "package-0"},
                     {"rapl", "core"},
                     {"rapl", "uncore"},
                     {"rapl", "dram"},
                     {"rapl", "psys"},
                     {"battery", "system"}}),
            "rapl/package-0=cpu rapl/dram=dram battery/system=whole");
  EXPECT_EQ(RolesOf({{"rapl", "package-0"}, {"rapl", "psys"}}), "rapl/package-0=cpu");
  EXPECT_EQ(RolesOf({{"rapl", "core"}, {"rapl", "dram"}}), "");
}

TEST(DomainRolesTest, ThePackageOfAnApuCountsOnlyWithoutRapl) {
  EXPECT_EQ(RolesOf({{"drm", "gpu0-package"}}), "drm/gpu0-package=cpu");
  EXPECT_EQ(RolesOf({{"rapl", "package-0"}, {"drm", "gpu0-package"}}), "rapl/package-0=cpu");
}

TEST(DomainRolesTest, OneCardThatTwoSourcesMeasureCountsOnce) {
  EXPECT_EQ(RolesOf({{"nvml", "gpu0"}, {"drm", "gpu0"}, {"drm", "gpu1"}}),
            "nvml/gpu0=gpu drm/gpu1=gpu");
}

TEST(AttributionTest, SecondMeterDoesNotCountInTicksWithoutTheFirst) {
  AnalysisMachine machine;
  machine.Run("a", 2);
  machine.Zone("package-0", 20);
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 50);
  machine.Tick();
  for (int i = 1; i <= 12; ++i) {
    machine.rapl.due = i % 4 == 0;
    machine.Tick(seconds(5));
  }
  EXPECT_NEAR(machine.ServiceJoules("a"), 60 * 20, 1e-9);
}

TEST(AttributionTest, PowerReadLessOftenIsSharedByAllCpuTimeBetween) {
  AnalysisMachine machine;
  machine.Run("early", 1);
  machine.Run("late", 0);
  machine.Zone("package-0", 20);
  machine.Tick();
  machine.rapl.due = false;
  machine.TickFor(seconds(15));
  EXPECT_EQ(machine.ServiceWatts("early"), std::nullopt);
  machine.Run("early", 0);
  machine.Run("late", 3);
  machine.rapl.due = true;
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("early"), 200, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("late"), 200, 1e-9);
  machine.rapl.due = false;
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceWatts("late").value(), 10, 1e-9);
}

TEST(AttributionTest, ServicesReadLessOftenThanPowerCountOnce) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Zone("package-0", 20);
  machine.Tick();
  machine.TickFor(seconds(10));
  machine.process.due = false;
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 200, 1e-9);
  EXPECT_NEAR(machine.Unattributed("package-0"), 100, 1e-9);
  machine.process.due = true;
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 300, 1e-9);
  EXPECT_NEAR(machine.Unattributed("package-0"), 100, 1e-9);
}

TEST(AttributionTest, CpuTimeOfBeforeTheFirstReadingIsNoKey) {
  AnalysisMachine machine;
  machine.Run("old", 4);
  machine.Run("new", 0);
  machine.Tick();
  machine.TickFor(minutes(10));
  machine.Zone("package-0", 20);
  machine.Tick(seconds(5));
  machine.Run("old", 0);
  machine.Run("new", 1);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("old"), 0, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("new"), 100, 1e-9);
}

TEST(AttributionTest, ServiceThatAppearsGetsNoneOfItsPast) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.SetCpuSeconds("b", 1e6);
  machine.Run("b", 1);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.ServiceJoules("b"), 0);
  EXPECT_NEAR(machine.ServiceJoules("a"), 150, 1e-9);
  EXPECT_NEAR(machine.Unattributed("package-0"), 50, 1e-9);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("b"), 50, 1e-9);
}

TEST(AttributionTest, ServiceThatVanishesAndReturnsMakesNoSpike) {
  for (const double seconds_used : {1e5, 0.0}) {  // its counter continues, or starts again
    AnalysisMachine machine;
    machine.Zone("package-0", 20);
    machine.Run("a", 1);
    machine.Run("b", 1);
    machine.Tick();
    machine.Tick(seconds(5));
    EXPECT_NEAR(machine.ServiceJoules("b"), 50, 1e-9);
    machine.Vanish("b");
    machine.TickFor(seconds(60));
    EXPECT_EQ(machine.Get(metrics::kServiceEnergyJoules, {"b", "cpu", "active"}), std::nullopt);
    machine.SetCpuSeconds("b", seconds_used);
    machine.Run("b", 1);
    machine.Tick(seconds(5));
    EXPECT_NEAR(machine.ServiceJoules("b"), 50, 1e-9);
    machine.Tick(seconds(5));
    EXPECT_NEAR(machine.ServiceJoules("b"), 100, 1e-9);
  }
}

TEST(AttributionTest, ServiceThatVanishesBetweenReadingsLeavesItsShareUnattributed) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Run("b", 1);
  machine.Tick();
  machine.rapl.due = false;
  machine.Tick(seconds(5));
  machine.Vanish("b");
  machine.rapl.due = true;
  const double before = machine.HandedOut();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.HandedOut() - before, 200, 1e-9);
  EXPECT_NEAR(machine.Unattributed("package-0"), 200.0 / 3, 1e-9);
}

TEST(AttributionTest, CounterThatFallsCountsNothing) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Run("b", 1);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.SetCpuSeconds("b", 0);
  machine.Tick(seconds(2));
  EXPECT_NEAR(machine.ServiceJoules("b"), 50, 1e-9);
  EXPECT_NEAR(machine.ServiceJoules("a"), 70, 1e-9);
}

TEST(AttributionTest, OneNameInTwoKindsIsOneService) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1, "supervised");
  machine.Tick();
  machine.Tick(seconds(5));
  machine.SetCpuSeconds("a", 1e6, "discovered");
  machine.Run("a", 1, "discovered");
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 150, 1e-9);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 250, 1e-9);
}

TEST(AttributionTest, LostTicksAreSharedWhole) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Tick();
  machine.Tick(seconds(5));
  machine.Tick(hours(2));
  EXPECT_NEAR(machine.ServiceJoules("a"), 20 * 7205, 1e-6);
  EXPECT_NEAR(machine.ServiceWatts("a").value(), 20, 1e-9);
}

TEST(AttributionTest, SuspendedMachineGivesNobodyASpike) {
  AnalysisMachine machine({.attribution = {.model = PowerModel{5, 25}}});
  machine.Run("a", 2);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 50, 1e-9);
  machine.Suspend(hours(8));
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 100, 1e-3);
  EXPECT_NEAR(machine.Floor("system"), 50, 1e-3);
}

TEST(AttributionTest, WallClockDoesNotMatter) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Tick();
  for (const int jump : {1000, -3000}) {
    machine.clock.SetWall(machine.clock.Now().wall + hours(jump));
    machine.Tick(seconds(5));
  }
  EXPECT_NEAR(machine.ServiceJoules("a"), 200, 1e-9);
}

TEST(AttributionTest, EnergyIsSplitByWhetherTheServiceWasIdle) {
  AnalysisMachine machine;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Port("a");
  machine.Tick();
  machine.TickFor(seconds(60));  // idle from this tick on
  EXPECT_EQ(machine.Get(metrics::kServiceIdle, {"a"}), 1);
  EXPECT_NEAR(machine.ServiceJoulesIn("a", "active"), 1200, 1e-9);
  EXPECT_EQ(machine.ServiceJoulesIn("a", "idle"), 0);
  machine.TickFor(seconds(30));
  machine.Port("a", 1);
  machine.Tick(seconds(5));  // used in this interval, but idle was what the tick before found
  EXPECT_NEAR(machine.ServiceJoulesIn("a", "active"), 1200, 1e-9);
  EXPECT_NEAR(machine.ServiceJoulesIn("a", "idle"), 700, 1e-9);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoulesIn("a", "active"), 1300, 1e-9);
}

TEST(AttributionTest, MachineWithoutHostReadingsGoesByTheServices) {
  AnalysisMachine machine;
  machine.host.due = false;
  machine.Zone("package-0", 20);
  machine.Run("a", 1);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 100, 1e-9);
  machine.host.due = true;  // its counters since boot are no use of this interval
  machine.Tick(seconds(5));
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.ServiceJoules("a"), 300, 1e-9);
  EXPECT_EQ(machine.Unattributed("package-0"), 0);
}

TEST(AttributionTest, WithoutAnyCpuTimeKnownEnergyIsUnattributed) {
  AnalysisMachine machine;
  machine.host.due = machine.process.due = false;
  machine.Zone("package-0", 20);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Unattributed("package-0"), 100, 1e-9);
  EXPECT_EQ(machine.Floor("package-0"), 0);
}

TEST(AttributionTest, WithoutMeterServicesHaveNoWatts) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Tick();
  machine.TickFor(seconds(20));
  EXPECT_EQ(machine.ServiceWatts("a"), std::nullopt);
  EXPECT_EQ(machine.Get(metrics::kServiceEnergyJoules, {"a", "cpu", "active"}), std::nullopt);
}

// Else a machine of which one part is known would seem to draw little.
TEST(AttributionTest, APartOfThePowerIsNotTheWhole) {
  AnalysisMachine machine;
  machine.Zone("package-0", 6);
  machine.Run("a", 1);
  machine.Tick();
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Get(metrics::kHostComputeWatts, {}).value(), 6, 1e-9);
  machine.nvml.Set(metrics::kEnergyJoules, {"nvml", "gpu0"}, 1000);
  machine.Tick(seconds(5));
  EXPECT_EQ(machine.Get(metrics::kHostComputeWatts, {}), std::nullopt);
  EXPECT_EQ(machine.Get(metrics::kHostPowerWatts, {}), std::nullopt);
  machine.nvml.Set(metrics::kEnergyJoules, {"nvml", "gpu0"}, 1300);
  machine.Tick(seconds(5));
  EXPECT_NEAR(machine.Get(metrics::kHostComputeWatts, {}).value(), 66, 1e-9);
}

// The packages are read every fourth tick, the battery at each.
TEST(AttributionTest, PartsThatComeInLumpsCountOnce) {
  AnalysisMachine machine;
  machine.Run("a", 1);
  machine.Zone("package-0", 20);
  machine.battery.Set(metrics::kPowerWatts, {"battery", "system"}, 30);
  machine.Tick();
  for (int i = 1; i <= 400; ++i) {
    machine.rapl.due = i % 4 == 0;
    machine.Tick(seconds(5));
  }
  EXPECT_NEAR(machine.HandedOut(), 30 * 2000, 30 * 20);
}

TEST(AttributionTest, EnergyOfTheMachineIsSplitByWhetherItWasIdle) {
  AnalysisMachine machine;
  machine.Run("a", 0);
  machine.Port("a");
  machine.Zone("package-0", 20);
  machine.Tick();
  machine.TickFor(seconds(60));
  EXPECT_EQ(machine.Get(metrics::kHostIdle, {}), 1);
  machine.TickFor(seconds(30));
  EXPECT_NEAR(machine.Get(metrics::kHostEnergyJoules, {"active"}).value(), 1200, 1e-9);
  EXPECT_NEAR(machine.Get(metrics::kHostEnergyJoules, {"idle"}).value(), 600, 1e-9);
}

// A machine on which everything that can happen does, by a fixed seed.
class RandomMachine {
 public:
  explicit RandomMachine(uint32_t seed) : random_(seed) {
    for (int i = 0; i < 12; ++i) names_.push_back("service-" + std::to_string(i));
    machine_.Run("other", 0.1, "discovered");
    machine_.Zone("package-0", 20);
    machine_.Tick();
  }

  void Step() {
    for (const std::string& name : names_) MaybeChange(name);
    machine_.Run("other", Uniform(0, 0.5), "discovered");
    machine_.RunKernel(Uniform(0, 0.5));
    for (const char* zone : {"package-0", "package-1", "dram", "core", "psys"}) ChangeZone(zone);
    if (Happens(0.1)) machine_.Suspend(seconds(static_cast<int>(Uniform(1, 30000))));
    if (Happens(0.1)) {
      machine_.clock.SetWall(machine_.clock.Now().wall + hours(static_cast<int>(Uniform(-9, 9))));
    }
    machine_.rapl.due = Happens(0.7);
    machine_.rapl.fails = Happens(0.1);
    machine_.host.fails = Happens(0.05);
    machine_.process.fails = Happens(0.05);
    machine_.battery.Set(metrics::kPowerWatts, {"battery", "system"}, Uniform(0, 250));
    machine_.nvml.due = Happens(0.8);
    machine_.nvml.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, Uniform(0, 300));
    machine_.nvml.Set(metrics::kGpuUtilization, {"gpu0"}, Happens(0.5) ? Uniform(0, 1) : 0);
    machine_.UseGpu("other", Happens(0.5) ? Uniform(0, 1e10) : 0, Happens(0.5) ? Uniform(0, 5) : 0);
    const Snapshot before = machine_.snapshot();
    const double handed_out = machine_.HandedOut();
    machine_.Tick(std::chrono::milliseconds(static_cast<int>(Uniform(1000, 20000))));
    EXPECT_NEAR(machine_.HandedOut() - handed_out, Measured(before), 1e-6);
  }

 private:
  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }
  bool Happens(double chance) { return Uniform(0, 1) < chance; }

  // In the top N or not: what leaves it is counted in `other`.
  void MaybeChange(const std::string& name) {
    if (Happens(0.1)) machine_.Vanish(name, "discovered");
    if (Happens(0.2)) machine_.Run(name, Uniform(0, 0.3), "discovered");
    if (Happens(0.02)) machine_.SetCpuSeconds(name, Uniform(0, 1e5), "discovered");
  }
  void ChangeZone(const std::string& zone) {
    if (Happens(0.05) && zone != "package-0") return machine_.LoseZone(zone);
    if (Happens(0.5)) machine_.Zone(zone, Uniform(0, 80));
    if (Happens(0.03)) machine_.ResetZone(zone);
  }

  // By the published counters: packages, DRAM and GPU, and what the battery shows beyond them.
  double Measured(const Snapshot& before) {
    const Snapshot& now = machine_.snapshot();
    double parts = 0, whole = 0;
    for (const SnapshotValue& value : now.Family(metrics::kEnergyJoules)) {
      const auto& labels = value.series->labels;
      if (value.time.boot != now.time.boot || labels[1] == "core" || labels[1] == "psys") continue;
      const SnapshotValue* last = before.Find(metrics::kEnergyJoules, {labels[0], labels[1]});
      if (last == nullptr || value.value < last->value) continue;
      (labels[0] == "battery" ? whole : parts) += value.value - last->value;
    }
    if (before.Find(metrics::kPowerWatts, {"battery", "system"}) == nullptr) return parts;
    const double beyond = whole - parts - debt_;
    debt_ = std::clamp(-beyond, 0.0, std::max(parts, debt_));
    return parts + std::max(0.0, beyond);
  }

  double debt_ = 0;
  std::mt19937 random_;
  std::vector<std::string> names_;
  AnalysisMachine machine_;
};

TEST(AttributionTest, EveryJouleGoesSomewhereOnceWhateverHappens) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    RandomMachine machine(seed);
    for (int i = 0; i < 100 && !testing::Test::HasFailure(); ++i) machine.Step();
  }
}

}  // namespace
}  // namespace idlewatt
