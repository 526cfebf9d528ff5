// Whole machines, each with what is odd about it, through every sampler, the loop and the
// analysis. The numbers expected are worked out by hand beside them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>

#include "tests/support/fake_proc.h"
#include "tests/support/recorded_machine.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

auto Near(double value) { return DoubleNear(value, 1e-6); }

// ---- A laptop with two batteries -------------------------------------------------------------

class LaptopTest : public ::testing::Test {
 protected:
  static constexpr const char* kFirst = "class/power_supply/BAT0";
  static constexpr const char* kSecond = "class/power_supply/BAT1";

  LaptopTest() {
    machine.Sys("class/power_supply/AC", {{"type", "Mains"}, {"online", "0"}});
    machine.Sys(kFirst, {{"type", "Battery"},
                         {"present", "1"},
                         {"status", "Discharging"},
                         {"current_now", "-1500000"},  // out of the battery
                         {"voltage_now", "12000000"},
                         {"charge_now", "2500000"},
                         {"charge_full", "5000000"},
                         {"manufacturer", "Gr\xFCn"},
                         {"model_name", "\xFF\xFE\x80"}});
    machine.Sys(kSecond, {{"type", "Battery"},
                          {"status", "Not charging"},
                          {"power_now", "0"},
                          {"energy_now", "24000000"},
                          {"energy_full", "30000000"}});
    machine.Sys("class/power_supply/hidpp_battery_0", {{"type", "Battery"},
                                                       {"scope", "Device"},
                                                       {"status", "Discharging"},
                                                       {"power_now", "5000000"}});
  }
  RecordedMachine machine;
};

TEST_F(LaptopTest, TheBatteryThatDischargesIsThePowerOfTheMachine) {
  machine.Tick();
  EXPECT_THAT(machine.Watts("battery"), ElementsAre(Pair("system", Near(18))));  // 1.5 A x 12 V
  machine.Tick(seconds(10));
  EXPECT_NEAR(machine.HostJoules(), 180, 1e-6);
  // The first is empty, the second takes over: (18 W + 9 W) / 2 over 10 s.
  machine.Sys(kFirst, {{"status", "Not charging"}, {"current_now", "0"}});
  machine.Sys(kSecond, {{"status", "Discharging"}, {"power_now", "-9000000"}});
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("battery"), ElementsAre(Pair("system", Near(9))));
  EXPECT_NEAR(machine.HostJoules(), 135, 1e-6);
  EXPECT_THAT(machine.Joules("battery"), ElementsAre(Pair("system", Near(315))));
}

TEST_F(LaptopTest, TwoThatDischargeAreAddedAndOneThatChargesIsNot) {
  machine.Sys(kSecond, {{"status", "Discharging"}, {"power_now", "4500000"}});
  machine.Tick();
  EXPECT_THAT(machine.Watts("battery"), ElementsAre(Pair("system", Near(22.5))));
  machine.Sys(kSecond, "status", "Charging");
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("battery"), ElementsAre(Pair("system", Near(18))));
}

TEST_F(LaptopTest, OnTheMainsNothingMeasuresTheMachine) {
  machine.Tick();
  machine.Sys(kFirst, {{"status", "Charging"}, {"current_now", "2000000"}});
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("battery"), IsEmpty());
  EXPECT_EQ(machine.HostJoules(), 0);
  EXPECT_THAT(machine.Values("idlewatt_battery_discharging"),
              ElementsAre(Pair("{battery=\"BAT0\"}", 0), Pair("{battery=\"BAT1\"}", 0)));
}

TEST_F(LaptopTest, ChargeIsThatOfEachAndOddTextDoesNoHarm) {
  machine.Tick();
  EXPECT_THAT(
      machine.Values("idlewatt_battery_charge_ratio"),
      ElementsAre(Pair("{battery=\"BAT0\"}", Near(0.5)), Pair("{battery=\"BAT1\"}", Near(0.8))));
  EXPECT_EQ(machine.Refused("battery:BAT0"), "");
}

// ---- A server with two sockets, numbered the other way round -----------------------------------

enum class Layout {
  kFlat,    // class/powercap/intel-rapl:0:0
  kNested,  // class/powercap/intel-rapl/intel-rapl:0/intel-rapl:0:0
  kLinks,   // as kernels have it: flat links into a nested tree
};

class ServerTest : public ::testing::TestWithParam<Layout> {
 protected:
  static constexpr double kRange = 262143.32885;  // joules
  static constexpr double kDramRange = 65532.610987;

  ServerTest() {
    Zone("intel-rapl:0", "package-1", 1000, kRange);
    Zone("intel-rapl:0:0", "core", 100, kRange);
    Zone("intel-rapl:0:1", "uncore", 10, kRange);
    Zone("intel-rapl:0:2", "dram", 50, kDramRange);
    Zone("intel-rapl:1", "package-0", 262'000, kRange);
    Zone("intel-rapl:1:0", "core", 200, kRange);
    Zone("intel-rapl:1:1", "uncore", 20, kRange);
    Zone("intel-rapl:1:2", "dram", 65'500, kDramRange);
    Zone("intel-rapl:a", "package-10", 5, 0);
    Zone("intel-rapl:b", "psys", 7, kRange);
  }

  // "class/powercap/…" of a zone, and of the link to it where there is one.
  static std::string Folder(const std::string& zone) {
    const std::string top = "intel-rapl:" + zone.substr(11, 1);
    const bool is_sub = zone.size() > top.size();
    switch (GetParam()) {
      case Layout::kFlat:
        return "class/powercap/" + zone;
      case Layout::kNested:
        return "class/powercap/intel-rapl/" + top + (is_sub ? "/" + zone : "");
      case Layout::kLinks:
        return "devices/virtual/powercap/intel-rapl/" + top + (is_sub ? "/" + zone : "");
    }
    return "";
  }
  // Energies in joules; no range when it is 0.
  void Zone(const std::string& zone, const std::string& name, double joules, double range) {
    machine.Sys(Folder(zone), "name", name);
    machine.Sys(Folder(zone), "enabled", "1");
    if (range > 0) machine.Sys(Folder(zone), "max_energy_range_uj", Micro(range));
    Energy(zone, joules);
    if (GetParam() != Layout::kLinks) return;
    machine.tree.Link("sys/class/powercap/" + zone, machine.tree.PathOf("sys/" + Folder(zone)));
    if (zone != "intel-rapl:0") return;
    machine.tree.Link("sys/class/powercap/intel-rapl",
                      machine.tree.PathOf("sys/devices/virtual/powercap/intel-rapl"));
  }
  void Energy(const std::string& zone, double joules) {
    machine.Sys(Folder(zone), "energy_uj", Micro(joules));
  }
  static std::string Micro(double joules) {
    return std::to_string(static_cast<int64_t>(joules * 1e6 + 0.5));
  }
  // The first ten seconds.
  void Work() {
    Energy("intel-rapl:0", 2500);         // 1500 J
    Energy("intel-rapl:0:0", 900);        // 800 J
    Energy("intel-rapl:0:1", 110);        // 100 J
    Energy("intel-rapl:0:2", 250);        // 200 J
    Energy("intel-rapl:1", 856.67115);    // wrapped: 262143.32885 - 262000 + 856.67115 = 1000 J
    Energy("intel-rapl:1:0", 700);        // 500 J
    Energy("intel-rapl:1:1", 70);         // 50 J
    Energy("intel-rapl:1:2", 67.389013);  // wrapped: 65532.610987 - 65500 + 67.389013 = 100 J
    Energy("intel-rapl:a", 55);           // 50 J
    Energy("intel-rapl:b", 4007);         // 4000 J, those of the packages among them
  }

  RecordedMachine machine;
};

TEST_P(ServerTest, ZonesAreNamedByTheirNamesAndNotByTheirNumbers) {
  machine.Tick();
  EXPECT_THAT(
      machine.Joules("rapl"),
      ElementsAre(Pair("core-0", 0), Pair("core-1", 0), Pair("dram-0", 0), Pair("dram-1", 0),
                  Pair("package-0", 0), Pair("package-1", 0), Pair("package-10", 0),
                  Pair("psys", 0), Pair("uncore-0", 0), Pair("uncore-1", 0)));
  EXPECT_THAT(machine.Watts("rapl"), IsEmpty());  // one reading makes no power
}

TEST_P(ServerTest, WattsAreThoseOfEachZoneAlsoOverAWrap) {
  machine.Tick();
  Work();
  machine.Tick(seconds(10));
  EXPECT_THAT(
      machine.Watts("rapl"),
      ElementsAre(Pair("core-0", Near(50)), Pair("core-1", Near(80)), Pair("dram-0", Near(10)),
                  Pair("dram-1", Near(20)), Pair("package-0", Near(100)),
                  Pair("package-1", Near(150)), Pair("package-10", Near(5)),
                  Pair("psys", Near(400)), Pair("uncore-0", Near(5)), Pair("uncore-1", Near(10))));
}

TEST_P(ServerTest, TheHostIsPackagesAndMemoryAndNothingTwice) {
  machine.Tick();
  Work();
  machine.Tick(seconds(10));
  // 1500 + 1000 + 50 of the packages, 200 + 100 of memory; core and uncore are parts, psys apart.
  EXPECT_NEAR(machine.HostJoules(), 2850, 1e-6);
}

TEST_P(ServerTest, WithoutARangeAFallIsUnknownAndTheOtherZonesGoOn) {
  machine.Tick();
  Work();
  machine.Tick(seconds(10));
  Energy("intel-rapl:a", 3);  // what it used before it fell, nobody knows
  Energy("intel-rapl:0", 3500);
  machine.Tick(seconds(10));
  EXPECT_FALSE(machine.Watts("rapl").contains("package-10"));
  EXPECT_NEAR(machine.HostJoules(), 1000, 1e-6);
  EXPECT_EQ(machine.Values("idlewatt_energy_counter_resets_total")
                .at("{source=\"rapl\",domain=\"package-10\"}"),
            1);
  Energy("intel-rapl:a", 23);
  machine.Tick(seconds(10));
  EXPECT_NEAR(machine.Joules("rapl").at("package-10"), 50 + 20, 1e-6);
}

std::string LayoutName(const ::testing::TestParamInfo<Layout>& layout) {
  constexpr std::array<const char*, 3> kNames{"Flat", "Nested", "Links"};
  return kNames[static_cast<size_t>(layout.param)];
}
INSTANTIATE_TEST_SUITE_P(Layouts, ServerTest,
                         ::testing::Values(Layout::kFlat, Layout::kNested, Layout::kLinks),
                         LayoutName);

// ---- Other processors ---------------------------------------------------------------------------

TEST(DesktopTest, WhatMmioRepeatsIsNotCountedTwice) {
  RecordedMachine machine;
  const std::string msr = "class/powercap/intel-rapl:0";
  const std::string mmio = "class/powercap/intel-rapl-mmio:0";
  machine.Sys(msr, {{"name", "package-0"}, {"energy_uj", "1000000"}});
  machine.Sys(msr + ":0", {{"name", "core"}, {"energy_uj", "1000000"}});
  machine.Sys(mmio, {{"name", "package-0"}, {"energy_uj", "77000000"}});
  machine.Sys("class/powercap/intel-rapl", "enabled", "1");
  machine.Sys("class/powercap/intel-rapl-mmio", "enabled", "1");
  machine.Tick();
  machine.Sys(msr, "energy_uj", "651000000");         // 650 J
  machine.Sys(msr + ":0", "energy_uj", "401000000");  // 400 J of them
  machine.Sys(mmio, "energy_uj", "727000000");        // the same 650 J
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("rapl"),
              ElementsAre(Pair("core", Near(40)), Pair("package-0", Near(65))));
  EXPECT_NEAR(machine.HostJoules(), 650, 1e-6);
}

TEST(AmdTest, ThePackageIsTheHostAndTheCoresAreAPartOfIt) {
  RecordedMachine machine;
  const std::string package = "class/powercap/intel-rapl:0";  // AMD's go by this name as well
  machine.Sys(package, {{"name", "package-0"},
                        {"energy_uj", "65000000000"},
                        {"max_energy_range_uj", "65532610987"}});
  machine.Sys(package + ":0",
              {{"name", "core"}, {"energy_uj", "100"}, {"max_energy_range_uj", "65532610987"}});
  machine.Tick();
  machine.Sys(package, "energy_uj", "65450000000");  // 450 J
  machine.Sys(package + ":0", "energy_uj", "20000100");
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("rapl"),
              ElementsAre(Pair("core", Near(2)), Pair("package-0", Near(45))));
  EXPECT_NEAR(machine.HostJoules(), 450, 1e-6);
  machine.Sys(package, "energy_uj", "117389013");  // 65532.610987 - 65450 + 117.389013 = 200 J
  machine.Tick(seconds(10));
  EXPECT_NEAR(machine.HostJoules(), 200, 1e-6);
}

TEST(ThrottleTest, CountsAreOncePerCoreAndPackageAndNotPerThread) {
  RecordedMachine machine;
  // Four cores of two threads each: CPU n and CPU n + 4 are threads of core n.
  for (int cpu = 0; cpu < 8; ++cpu) {
    const std::string folder = "devices/system/cpu/cpu" + std::to_string(cpu);
    machine.Sys(folder + "/topology",
                {{"physical_package_id", "0"}, {"core_id", std::to_string(cpu % 4)}});
    machine.Sys(
        folder + "/thermal_throttle",
        {{"core_throttle_count", std::to_string(10 + cpu % 4)}, {"package_throttle_count", "17"}});
  }
  machine.Tick();
  EXPECT_THAT(
      machine.Values("idlewatt_thermal_throttle_events_total"),
      ElementsAre(Pair("{scope=\"core\",id=\"0:0\"}", 10), Pair("{scope=\"core\",id=\"0:1\"}", 11),
                  Pair("{scope=\"core\",id=\"0:2\"}", 12), Pair("{scope=\"core\",id=\"0:3\"}", 13),
                  Pair("{scope=\"package\",id=\"0\"}", 17)));
}

// ---- A board with odd sensors
// ---------------------------------------------------------------------

class BoardTest : public ::testing::Test {
 protected:
  BoardTest() {
    const std::string zone = "class/thermal/thermal_zone";
    machine.Sys(zone + "0", {{"type", "outdoor"}, {"temp", "-5000"}});
    machine.Sys(zone + "1", {{"type", "iwlwifi_1"}, {"temp", ""}});  // as a read with EAGAIN
    machine.Sys(zone + "2", {{"temp", "41000"}});
    machine.Sys(zone + "3", {{"type", "acpitz"}, {"temp", "-273200"}});  // 0 K: not known
    const std::string chip = "class/hwmon/hwmon";
    machine.Sys(chip + "0", {{"name", "nct6798"},
                             {"temp1_input", "-5000"},
                             {"temp1_label", "CPU"},
                             {"temp2_input", "99000"},
                             {"temp2_enable", "0"},
                             {"temp3_input", "33000"},
                             {"temp3_label", "CPU"},
                             {"temp3_crit", "110000"},
                             {"temp4_input", ""},
                             {"power1_input", "15000000"},
                             {"power1_label", "CPU"},
                             {"power2_input", "5000000"},
                             {"power2_label", "CPU"}});
    machine.Sys(chip + "1", {{"name", "nct6798"}, {"temp1_input", "28000"}});
    machine.Sys(chip + "2", {{"temp1_input", "77000"}});  // a chip without a name
  }
  RecordedMachine machine;
};

TEST_F(BoardTest, ZonesBelowZeroAreRealAndBadOnesHideNothing) {
  machine.Tick();
  EXPECT_THAT(machine.Values("idlewatt_thermal_zone_celsius"),
              ElementsAre(Pair("{zone=\"0\",type=\"outdoor\"}", Near(-5)),
                          Pair("{zone=\"2\",type=\"unknown\"}", Near(41))));
  EXPECT_EQ(machine.Refused("thermal:thermal_zone1"), "parse");
  EXPECT_EQ(machine.Refused("thermal:thermal_zone3"), "parse");
}

TEST_F(BoardTest, EverySensorThatIsOnHasASeriesOfItsOwn) {
  machine.Tick();
  const std::string chip = "{chip=\"nct6798-virtual-0";
  EXPECT_THAT(machine.Values("idlewatt_temperature_celsius"),
              ElementsAre(Pair(chip + "\",sensor=\"temp1\",label=\"CPU\"}", Near(-5)),
                          Pair(chip + "\",sensor=\"temp3\",label=\"CPU\"}", Near(33)),
                          Pair(chip + "#2\",sensor=\"temp1\",label=\"temp1\"}", Near(28))));
  EXPECT_EQ(machine.Refused("hwmon:nct6798-virtual-0/temp4"), "parse");
  EXPECT_EQ(machine.Refused("hwmon:nct6798-virtual-0/temp2"), "?");
  EXPECT_EQ(machine.Values("idlewatt_temperature_limit_celsius").size(), 1U);
}

TEST_F(BoardTest, MetersOfPartsAreNotTheMachine) {
  machine.Tick();
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("hwmon"), ElementsAre(Pair("nct6798-virtual-0:CPU", Near(15)),
                                                  Pair("nct6798-virtual-0:CPU (power2)", Near(5))));
  EXPECT_EQ(machine.HostJoules(), 0);
  machine.Sys("class/hwmon/hwmon7", {{"name", "power_meter"}, {"power1_average", "120000000"}});
  machine.tree.MakeDir("sys/devices/ACPI000D:00");
  machine.tree.Link("sys/devices/ACPI000D:00/subsystem", "../../bus/acpi");
  machine.tree.Link("sys/class/hwmon/hwmon7/device",
                    machine.tree.PathOf("sys/devices/ACPI000D:00"));
  machine.Tick(seconds(10));
  machine.Tick(seconds(10));
  EXPECT_THAT(machine.Watts("hwmon"), ::testing::Contains(Pair("system", Near(120))));
  EXPECT_NEAR(machine.HostJoules(), 1200, 1e-6);
}

// ---- Two services on a machine with RAPL ------------------------------------------------------

class AttributedTest : public ::testing::Test {
 protected:
  AttributedTest() {
    machine.Sys("class/powercap/intel-rapl:0", {{"name", "package-0"}, {"enabled", "1"}});
    machine.Sys("class/powercap/intel-rapl:0:0", {{"name", "dram"}, {"enabled", "1"}});
    Energy(0, 0);
    Run("llama", 100, 0);
    Run("burner", 200, 0);
  }
  // Joules that the counters show.
  void Energy(int64_t package, int64_t dram) {
    machine.Sys("class/powercap/intel-rapl:0", "energy_uj", std::to_string(package * 1'000'000));
    machine.Sys("class/powercap/intel-rapl:0:0", "energy_uj", std::to_string(dram * 1'000'000));
  }
  // A process that has used so many seconds.
  void Run(const std::string& name, int32_t pid, double used) {
    const auto ticks = static_cast<uint64_t>(used * static_cast<double>(::sysconf(_SC_CLK_TCK)));
    machine.tree.Write("proc/" + std::to_string(pid) + "/stat",
                       StatLine({.pid = pid, .comm = name, .user = ticks}));
  }
  double Joules(const std::string& service, const std::string& component) const {
    return machine.Values("idlewatt_service_energy_joules_total")
        .at("{service=\"" + service + "\",component=\"" + component + "\",state=\"active\"}");
  }
  double Unattributed(const std::string& domain) const {
    return machine.Values("idlewatt_attribution_unattributed_joules_total")
        .at("{domain=\"" + domain + "\"}");
  }
  RecordedMachine machine;
};

// 8 CPU seconds of the machine in 10 s: 4 of the burner, 2 of llama, 2 of nobody known.
TEST_F(AttributedTest, JoulesOfServicesAreThoseWorkedOutByHand) {
  machine.Tick();
  Energy(200, 20);
  Run("burner", 200, 4);
  Run("llama", 100, 2);
  machine.Tick(seconds(10));
  EXPECT_NEAR(Joules("burner", "cpu"), 200 * 4.0 / 8, 1e-6);
  EXPECT_NEAR(Joules("burner", "dram"), 20 * 4.0 / 8, 1e-6);
  EXPECT_NEAR(Joules("llama", "cpu"), 200 * 2.0 / 8, 1e-6);
  EXPECT_NEAR(Joules("llama", "dram"), 20 * 2.0 / 8, 1e-6);
  EXPECT_NEAR(Unattributed("package-0"), 200 * 2.0 / 8, 1e-6);
  Energy(290, 29);
  Run("burner", 200, 12);  // all of it
  machine.Tick(seconds(10));
  EXPECT_NEAR(Joules("burner", "cpu"), 100 + 90, 1e-6);
  EXPECT_NEAR(Joules("llama", "cpu"), 50, 1e-6);
  EXPECT_THAT(machine.Values("idlewatt_host_power_watts"), ElementsAre(Pair("", Near(9.9))));
}

}  // namespace
}  // namespace idlewatt
