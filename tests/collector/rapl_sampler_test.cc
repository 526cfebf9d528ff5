#include "collector/rapl_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::Pair;

class RaplSamplerTest : public ::testing::Test {
 protected:
  static constexpr const char* kClass = "class/powercap/";

  // A zone below class/powercap; energy in joules.
  void Zone(const std::string& folder, const std::string& name, double joules,
            int64_t range_joules = 262'143) {
    tree.Write(kClass + folder + "/name", name + "\n");
    Energy(folder, joules);
    if (range_joules > 0) {
      tree.Write(kClass + folder + "/max_energy_range_uj", std::to_string(range_joules) + "000000");
    }
  }
  void Energy(const std::string& folder, double joules) {
    tree.Write(kClass + folder + "/energy_uj",
               std::to_string(static_cast<int64_t>(joules * 1e6)) + "\n");
  }
  double Joules(const std::string& domain) const {
    const auto it = driver.values.find("idlewatt_energy_joules_total{source=\"rapl\",domain=\"" +
                                       domain + "\"}");
    return it == driver.values.end() ? -1 : it->second;
  }
  bool HasJoules(const std::string& domain) const {
    return driver.values.contains("idlewatt_energy_joules_total{source=\"rapl\",domain=\"" +
                                  domain + "\"}");
  }
  double Resets(const std::string& domain) const {
    return driver.values.at("idlewatt_energy_counter_resets_total{source=\"rapl\",domain=\"" +
                            domain + "\"}");
  }
  // Every domain with its energy.
  std::map<std::string, double> Domains() const {
    std::map<std::string, double> domains;
    for (const auto& [series, value] : driver.values) {
      if (series.find("_joules_") == std::string::npos) continue;
      const size_t at = series.find("domain=\"") + 8;
      domains[series.substr(at, series.find('"', at) - at)] = value;
    }
    return domains;
  }

  FakeTree tree;
  FileRoot sys = tree.Root();
  RaplSampler sampler{sys};
  SamplerDriver driver{sampler};
};

TEST_F(RaplSamplerTest, WithoutPowercapThereIsNoData) {
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
  tree.MakeDir("class/powercap");
  tree.Write("class/powercap/dtpm/name", "x");
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
}

TEST_F(RaplSamplerTest, TheFirstReadingIsTheZeroOfTheCounter) {
  Zone("intel-rapl:0", "package-0", 1000);
  driver.Read();
  EXPECT_EQ(Joules("package-0"), 0);
  Energy("intel-rapl:0", 1012.5);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 12.5);
  EXPECT_EQ(driver.sources["rapl"], "energy of package-0");
}

TEST_F(RaplSamplerTest, ZonesThatAreFoundLaterAreRead) {
  driver.Read();
  Zone("intel-rapl:0", "package-0", 1);
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
}

TEST_F(RaplSamplerTest, FlatTreesNameSubZonesAfterTheirPackage) {
  Zone("intel-rapl:0", "package-0", 1);
  Zone("intel-rapl:0:0", "core", 1);
  Zone("intel-rapl:0:1", "dram", 1);
  driver.Read();
  EXPECT_THAT(Domains(), ElementsAre(Pair("core", 0), Pair("dram", 0), Pair("package-0", 0)));
}

TEST_F(RaplSamplerTest, AZoneSeenFlatAndNestedIsOne) {
  for (const std::string top : {"", "intel-rapl/"}) {
    Zone(top + "intel-rapl:0", "package-0", 1);
    Zone(top + "intel-rapl:0/intel-rapl:0:0", "dram", 1);
  }
  Zone("intel-rapl:0:0", "dram", 1);
  driver.Read();
  EXPECT_THAT(Domains(), ElementsAre(Pair("dram", 0), Pair("package-0", 0)));
}

TEST_F(RaplSamplerTest, NestedTreesAloneAreRead) {
  Zone("intel-rapl/intel-rapl:0", "package-0", 1);
  Zone("intel-rapl/intel-rapl:0/intel-rapl:0:0", "core", 1);
  driver.Read();
  EXPECT_THAT(Domains(), ElementsAre(Pair("core", 0), Pair("package-0", 0)));
}

TEST_F(RaplSamplerTest, AmdHasPackageAndCore) {
  Zone("intel-rapl:0", "package-0", 5, 65'532);
  Zone("intel-rapl:0:0", "core", 5, 65'532);
  driver.Read();
  EXPECT_THAT(Domains(), ElementsAre(Pair("core", 0), Pair("package-0", 0)));
}

TEST_F(RaplSamplerTest, TheNameOfTheZoneCountsAndNotItsNumber) {
  Zone("intel-rapl:0", "package-1", 100);
  Zone("intel-rapl:0:0", "dram", 10);
  Zone("intel-rapl:1", "package-0", 200);
  Zone("intel-rapl:1:0", "dram", 20);
  Zone("intel-rapl:a", "package-10", 1);
  driver.Read();
  Energy("intel-rapl:0", 101);
  Energy("intel-rapl:0:0", 12);
  Energy("intel-rapl:1", 203);
  Energy("intel-rapl:1:0", 24);
  driver.ReadAfter(seconds(5));
  EXPECT_THAT(Domains(), ElementsAre(Pair("dram-0", 4), Pair("dram-1", 2), Pair("package-0", 3),
                                     Pair("package-1", 1), Pair("package-10", 0)));
}

TEST_F(RaplSamplerTest, SubZonesOfDiesKeepTheirNamesApart) {
  for (const std::string n : {"0", "1"}) {
    Zone("intel-rapl:" + n, "package-" + n + "-die-0", 1);
    Zone("intel-rapl:" + n + ":0", "dram", 1);
  }
  driver.Read();
  EXPECT_EQ(Joules("dram-0-die-0"), 0);
  EXPECT_EQ(Joules("dram-1-die-0"), 0);
}

TEST_F(RaplSamplerTest, PsysStandsApart) {
  Zone("intel-rapl:0", "package-0", 1);
  Zone("intel-rapl:1", "psys", 1);
  driver.Read();
  EXPECT_THAT(Domains(), ElementsAre(Pair("package-0", 0), Pair("psys", 0)));
}

TEST_F(RaplSamplerTest, WhatMmioRepeatsIsLeftOut) {
  Zone("intel-rapl-mmio:0", "package-0", 100);
  Zone("intel-rapl:0", "package-0", 1000);
  driver.Read();
  Energy("intel-rapl-mmio:0", 109);
  Energy("intel-rapl:0", 1001);
  driver.ReadAfter(seconds(5));
  EXPECT_THAT(Domains(), ElementsAre(Pair("package-0", 1)));
}

TEST_F(RaplSamplerTest, MmioAloneIsRead) {
  Zone("intel-rapl-mmio:0", "package-0", 100);
  driver.Read();
  EXPECT_EQ(Joules("package-0"), 0);
}

TEST_F(RaplSamplerTest, WrapsAtMaxEnergyRange) {
  Zone("intel-rapl:0", "package-0", 262'000);
  driver.Read();
  Energy("intel-rapl:0", 100);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 243);
  EXPECT_EQ(Resets("package-0"), 0);
}

TEST_F(RaplSamplerTest, AFallThatNoWrapExplainsIsAReset) {
  Zone("intel-rapl:0", "package-0", 100'000);
  driver.Read();
  Energy("intel-rapl:0", 10);  // a wrap would be 162 kJ in 5 s
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(HasJoules("package-0"));  // unknown, not 0 W
  EXPECT_EQ(Resets("package-0"), 1);
  Energy("intel-rapl:0", 12);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 2);
}

TEST_F(RaplSamplerTest, AFallAfterALongPauseIsAResetToo) {
  Zone("intel-rapl:0", "package-0", 262'000, 262'143);
  driver.Read();
  Energy("intel-rapl:0", 100);
  driver.ReadAfter(minutes(60));         // time for more than one wrap
  EXPECT_FALSE(HasJoules("package-0"));  // unknown, not 0 W
  EXPECT_EQ(Resets("package-0"), 1);
}

TEST_F(RaplSamplerTest, WithoutARangeAFallIsAReset) {
  Zone("intel-rapl:0", "package-0", 262'000, 0);
  driver.Read();
  Energy("intel-rapl:0", 100);
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(HasJoules("package-0"));  // unknown, not 0 W
  EXPECT_EQ(Resets("package-0"), 1);
  Energy("intel-rapl:0", 160);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 60);
}

TEST_F(RaplSamplerTest, AFastWrapIsSeen) {
  Zone("intel-rapl:0", "package-0", 65'000, 65'533);
  driver.Read();
  Energy("intel-rapl:0", 1467);
  driver.ReadAfter(seconds(5));  // 400 W
  EXPECT_DOUBLE_EQ(Joules("package-0"), 2000);
}

TEST_F(RaplSamplerTest, OneUnreadableZoneDoesNotHideTheOthers) {
  Zone("intel-rapl:0", "package-0", 1);
  Zone("intel-rapl:1", "package-1", 1);
  driver.Read();
  // A folder can be read by nobody, not even by root.
  tree.Remove("class/powercap/intel-rapl:0/energy_uj");
  tree.MakeDir("class/powercap/intel-rapl:0/energy_uj");
  Energy("intel-rapl:1", 4);
  driver.ReadAfter(seconds(5));
  EXPECT_TRUE(driver.result.ok());
  EXPECT_THAT(Domains(), ElementsAre(Pair("package-1", 3)));
  EXPECT_EQ(driver.sources["rapl:package-0"], "!transient");
  EXPECT_EQ(driver.sources["rapl"], "energy of package-1");
}

TEST_F(RaplSamplerTest, NothingIsLostOverOneFailedReading) {
  Zone("intel-rapl:0", "package-0", 10);
  Zone("intel-rapl:1", "package-1", 10);
  driver.Read();
  tree.Write("class/powercap/intel-rapl:0/energy_uj", "nonsense");
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.sources["rapl:package-0"], "!parse");
  Energy("intel-rapl:0", 30);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 20);
}

TEST_F(RaplSamplerTest, WhenNoZoneIsReadableTheReadFails) {
  Zone("intel-rapl:0", "package-0", 1);
  tree.Remove("class/powercap/intel-rapl:0/energy_uj");
  tree.MakeDir("class/powercap/intel-rapl:0/energy_uj");
  driver.Read();
  EXPECT_FALSE(driver.result.ok());
  EXPECT_EQ(driver.sources["rapl"], "!transient");
}

TEST_F(RaplSamplerTest, AVanishedZoneComesBackWithoutAJumpOrAFall) {
  Zone("intel-rapl:0", "package-0", 100);
  driver.Read();
  Energy("intel-rapl:0", 150);
  driver.ReadAfter(seconds(5));
  tree.Remove("class/powercap/intel-rapl:0");
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.result.error().code, ErrorCode::kGone);
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.result.error().code, ErrorCode::kGone);
  Zone("intel-rapl:0", "package-0", 9000);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 50);
  Energy("intel-rapl:0", 9001);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Joules("package-0"), 51);
}

TEST_F(RaplSamplerTest, ANegativeEnergyIsRefused) {
  Zone("intel-rapl:0", "package-0", 1);
  Zone("intel-rapl:1", "package-1", 1);
  tree.Write("class/powercap/intel-rapl:0/energy_uj", "-9223372036854775808");
  driver.Read();
  EXPECT_FALSE(HasJoules("package-0"));
  EXPECT_EQ(driver.sources["rapl:package-0"], "!parse");
  EXPECT_TRUE(HasJoules("package-1"));
}

TEST_F(RaplSamplerTest, ARiseThatNoPowerExplainsIsAReset) {
  Zone("intel-rapl:0", "package-0", 1);
  driver.Read();
  tree.Write("class/powercap/intel-rapl:0/energy_uj", "9223372036854775807");
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(HasJoules("package-0"));
  EXPECT_EQ(Resets("package-0"), 1);
}

TEST_F(RaplSamplerTest, ZonesWhoseNamesBecomeOneStayApart) {
  Zone("intel-rapl:0", "package", 1);
  Zone("intel-rapl:0:0", "dram", 1);
  Zone("intel-rapl:1", "package2", 1);
  Zone("intel-rapl:1:0", "dram", 1);
  driver.Read();  // fails when a series is given twice
  EXPECT_THAT(Domains(), ElementsAre(Pair("dram", 0), Pair("dram#2", 0), Pair("package", 0),
                                     Pair("package2", 0)));
}

}  // namespace
}  // namespace idlewatt
