#include "collector/thermal_sampler.h"

#include <gtest/gtest.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

class ThermalSamplerTest : public ::testing::Test {
 protected:
  void Zone(const std::string& number, const std::string& type, const std::string& temp) {
    const std::string folder = "class/thermal/thermal_zone" + number;
    tree.Write(folder + "/type", type + "\n");
    tree.Write(folder + "/temp", temp + "\n");
  }
  void Trip(const std::string& zone, int number, const std::string& type, const std::string& temp) {
    const std::string trip =
        "class/thermal/thermal_zone" + zone + "/trip_point_" + std::to_string(number);
    tree.Write(trip + "_type", type + "\n");
    tree.Write(trip + "_temp", temp + "\n");
  }
  double TripValue(const std::string& trip) const {
    return Value("idlewatt_thermal_zone_trip_celsius{zone=\"3\",type=\"acpitz\",trip=\"" + trip +
                 "\"}");
  }
  void Cooler(const std::string& number, const std::string& state, const std::string& max) {
    const std::string folder = "class/thermal/cooling_device" + number;
    tree.Write(folder + "/type", "Processor\n");
    if (!state.empty()) tree.Write(folder + "/cur_state", state);
    tree.Write(folder + "/max_state", max);
  }
  void Cpu(int cpu, int package, int core, int core_count, int package_count) {
    const std::string folder = "devices/system/cpu/cpu" + std::to_string(cpu);
    tree.Write(folder + "/topology/physical_package_id", std::to_string(package));
    tree.Write(folder + "/topology/core_id", std::to_string(core));
    tree.Write(folder + "/thermal_throttle/core_throttle_count", std::to_string(core_count));
    tree.Write(folder + "/thermal_throttle/package_throttle_count", std::to_string(package_count));
  }
  double Value(const std::string& series) const {
    const auto it = driver.values.find(series);
    return it == driver.values.end() ? -999 : it->second;
  }

  FakeTree tree;
  FileRoot sys = tree.Root();
  ThermalSampler sampler{sys};
  SamplerDriver driver{sampler};
};

TEST_F(ThermalSamplerTest, WithoutAnyZoneThereIsNoData) {
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
}

TEST_F(ThermalSamplerTest, MillidegreesBecomeDegreesAlsoBelowZero) {
  Zone("0", "acpitz", "27800");
  Zone("10", "outside", "-12500");
  driver.Read();
  EXPECT_DOUBLE_EQ(Value("idlewatt_thermal_zone_celsius{zone=\"0\",type=\"acpitz\"}"), 27.8);
  EXPECT_DOUBLE_EQ(Value("idlewatt_thermal_zone_celsius{zone=\"10\",type=\"outside\"}"), -12.5);
  EXPECT_EQ(driver.sources["thermal_zone"], "2 thermal zones");
}

TEST_F(ThermalSamplerTest, ABadZoneIsRefusedAndNeverZeroDegrees) {
  Zone("0", "acpitz", "27800");
  Zone("1", "bad", "");
  Zone("2", "worse", "nan");
  tree.MakeDir("class/thermal/thermal_zone3/temp");
  tree.Write("class/thermal/thermal_zone4/type", "empty");
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.values.size(), 1U);
  EXPECT_EQ(driver.sources["thermal:thermal_zone1"], "!parse");
  EXPECT_EQ(driver.sources["thermal:thermal_zone2"], "!parse");
  EXPECT_EQ(driver.sources["thermal:thermal_zone3"], "!transient");
  EXPECT_EQ(driver.sources["thermal:thermal_zone4"], "!gone");
}

TEST_F(ThermalSamplerTest, ATypeThatIsNotUtf8IsMendedAndAMissingOneUnknown) {
  Zone("0", "\xFFx", "1000");
  tree.Write("class/thermal/thermal_zone1/temp", "2000");
  driver.Read();
  EXPECT_EQ(Value("idlewatt_thermal_zone_celsius{zone=\"0\",type=\"\xEF\xBF\xBDx\"}"), 1);
  EXPECT_EQ(Value("idlewatt_thermal_zone_celsius{zone=\"1\",type=\"unknown\"}"), 2);
}

TEST_F(ThermalSamplerTest, TripPointsOfAZoneArePublishedByType) {
  Zone("3", "acpitz", "27800");
  Trip("3", 0, "critical", "105000");
  Trip("3", 1, "passive", "90000");
  Trip("3", 2, "active", "55500");
  Trip("3", 3, "hot", "100000");
  Zone("4", "soc", "30000");  // without
  driver.Read();
  EXPECT_EQ(TripValue("critical"), 105);
  EXPECT_EQ(TripValue("passive"), 90);
  EXPECT_EQ(TripValue("active"), 55.5);
  EXPECT_EQ(TripValue("hot"), 100);
  EXPECT_EQ(driver.values.size(), 6U);
}

TEST_F(ThermalSamplerTest, SeveralTripsOfOneTypeAreNumberedInTheirOrder) {
  Zone("3", "acpitz", "27800");
  Trip("3", 2, "active", "60000");
  Trip("3", 10, "active", "50000");
  Trip("3", 9, "active", "55000");
  driver.Read();
  EXPECT_EQ(TripValue("active"), 60);
  EXPECT_EQ(TripValue("active#2"), 55);
  EXPECT_EQ(TripValue("active#3"), 50);
}

TEST_F(ThermalSamplerTest, AnAbsurdTripIsNoValueAndHidesNothing) {
  Zone("3", "acpitz", "27800");
  Trip("3", 0, "passive", "0");           // not set
  Trip("3", 1, "passive", "-274000");     // not set
  Trip("3", 2, "passive", "2147483647");  // not set
  Trip("3", 3, "passive", "");
  Trip("3", 4, "passive", "95000");
  Trip("3", 5, "critical-low", "1000");
  Trip("3", 6, "\xFF", "1000");
  tree.Write("class/thermal/thermal_zone3/trip_point_7_type", "critical");  // without a number
  tree.Write("class/thermal/thermal_zone3/trip_point__type", "critical");
  tree.Write("class/thermal/thermal_zone3/trip_point_x_type", "critical");
  tree.Write("class/thermal/thermal_zone3/trip_point_type", "critical");
  driver.Read();
  EXPECT_EQ(TripValue("passive#5"), 95);
  EXPECT_EQ(driver.values.size(), 2U);
}

TEST_F(ThermalSamplerTest, TripPointsAreReadOnceAMinute) {
  Zone("3", "acpitz", "27800");
  Trip("3", 0, "critical", "105000");
  driver.Read();
  Trip("3", 0, "critical", "99000");
  driver.ReadAfter(std::chrono::seconds(55));
  EXPECT_EQ(TripValue("critical"), 105);
  driver.ReadAfter(std::chrono::seconds(5));
  EXPECT_EQ(TripValue("critical"), 99);
}

TEST_F(ThermalSamplerTest, AZoneThatCannotBeReadGivesNoTripEither) {
  Zone("3", "acpitz", "");
  Trip("3", 0, "critical", "105000");
  driver.Read();
  EXPECT_TRUE(driver.values.empty());
}

TEST_F(ThermalSamplerTest, CoolingDevicesGiveTheirState) {
  Cooler("0", "3", "10");
  driver.Read();
  EXPECT_EQ(Value("idlewatt_cooling_device_state{device=\"0\",type=\"Processor\"}"), 3);
  EXPECT_EQ(Value("idlewatt_cooling_device_max_state{device=\"0\",type=\"Processor\"}"), 10);
}

TEST_F(ThermalSamplerTest, AnUnknownCoolingStateIsNoValue) {
  Cooler("0", "-1", "10");
  Cooler("1", "", "5");
  driver.Read();
  EXPECT_EQ(driver.values.count("idlewatt_cooling_device_state{device=\"0\",type=\"Processor\"}"),
            0U);
  EXPECT_EQ(Value("idlewatt_cooling_device_max_state{device=\"1\",type=\"Processor\"}"), 5);
  EXPECT_EQ(driver.sources["thermal:cooling_device1"], "!gone");
}

TEST_F(ThermalSamplerTest, ThrottlingCountsOncePerCoreAndPackage) {
  Cpu(0, 0, 0, 5, 100);
  Cpu(1, 0, 1, 6, 100);
  Cpu(2, 0, 0, 5, 100);  // the other thread of core 0
  Cpu(3, 1, 0, 7, 200);
  tree.MakeDir("devices/system/cpu/cpufreq");
  tree.MakeDir("devices/system/cpu/cpu4");  // offline
  driver.Read();
  ASSERT_EQ(driver.values.size(), 5U);
  const std::string name = "idlewatt_thermal_throttle_events_total";
  EXPECT_EQ(Value(name + "{scope=\"core\",id=\"0:0\"}"), 5);
  EXPECT_EQ(Value(name + "{scope=\"core\",id=\"0:1\"}"), 6);
  EXPECT_EQ(Value(name + "{scope=\"core\",id=\"1:0\"}"), 7);
  EXPECT_EQ(Value(name + "{scope=\"package\",id=\"0\"}"), 100);
  EXPECT_EQ(Value(name + "{scope=\"package\",id=\"1\"}"), 200);
}

TEST_F(ThermalSamplerTest, ANegativeCountOfOneThreadIsTakenFromTheOther) {
  Cpu(0, 0, 0, -1, -1);
  Cpu(1, 0, 0, 5, 9);
  driver.Read();
  const std::string name = "idlewatt_thermal_throttle_events_total";
  EXPECT_EQ(Value(name + "{scope=\"core\",id=\"0:0\"}"), 5);
  EXPECT_EQ(Value(name + "{scope=\"package\",id=\"0\"}"), 9);
}

TEST_F(ThermalSamplerTest, TemperaturesThatCannotBeAreRefused) {
  Zone("0", "acpitz", "-273200");  // what firmware gives for "not known"
  Zone("1", "x", "9223372036854775807");
  Zone("2", "y", "1000");
  tree.Write("class/thermal/thermal_zone\xFF/temp", "1000");
  driver.Read();
  EXPECT_EQ(driver.values.size(), 1U);
  EXPECT_EQ(driver.sources["thermal:thermal_zone0"], "!parse");
  EXPECT_EQ(driver.sources["thermal:thermal_zone1"], "!parse");
}

}  // namespace
}  // namespace idlewatt
