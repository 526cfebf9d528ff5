#include "collector/hwmon_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class FakeSensors final : public SensorsApi {
 public:
  explicit FakeSensors(Result<std::vector<SensorReading>> readings)
      : readings_(std::move(readings)) {}
  Result<std::vector<SensorReading>> Read() override { return readings_; }

 private:
  Result<std::vector<SensorReading>> readings_;
};

std::map<std::string, double> Publish(std::vector<SensorReading> readings,
                                      HwmonSampler::Options options = {},
                                      std::map<std::string, std::string>* sources = nullptr) {
  HwmonSampler sampler(std::make_unique<FakeSensors>(std::move(readings)), std::move(options));
  SamplerDriver driver(sampler);
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  if (sources != nullptr) *sources = driver.sources;
  return driver.values;
}

TEST(HwmonSamplerTest, EveryKindHasItsMetric) {
  const auto values = Publish({
      {"c", "temp1", "Core 0", SensorKind::kTemperature, -3.5, {{"max", 90}, {"crit", 100}}},
      {"c", "fan1", "Fan", SensorKind::kFan, 1200, {}},
      {"c", "in0", "Vcore", SensorKind::kVoltage, 1.1, {}},
      {"c", "curr1", "I", SensorKind::kCurrent, 2, {}},
      {"c", "power1", "PPT", SensorKind::kPower, 15, {}},
      {"c", "energy1", "E", SensorKind::kEnergy, 99, {}},
  });
  EXPECT_THAT(
      values,
      ElementsAre(
          Pair("idlewatt_current_amperes{chip=\"c\",sensor=\"curr1\",label=\"I\"}", 2),
          Pair("idlewatt_energy_joules_total{source=\"hwmon\",domain=\"c:E\"}", 99),
          Pair("idlewatt_fan_rpm{chip=\"c\",sensor=\"fan1\",label=\"Fan\"}", 1200),
          Pair("idlewatt_power_watts{source=\"hwmon\",domain=\"c:PPT\"}", 15),
          Pair("idlewatt_temperature_celsius{chip=\"c\",sensor=\"temp1\",label=\"Core 0\"}", -3.5),
          Pair("idlewatt_temperature_limit_celsius{chip=\"c\",sensor=\"temp1\",label=\"Core 0\","
               "limit=\"crit\"}",
               100),
          Pair("idlewatt_temperature_limit_celsius{chip=\"c\",sensor=\"temp1\",label=\"Core 0\","
               "limit=\"max\"}",
               90),
          Pair("idlewatt_voltage_volts{chip=\"c\",sensor=\"in0\",label=\"Vcore\"}", 1.1)));
}

TEST(HwmonSamplerTest, TwoSensorsWithOneLabelStayApart) {
  const auto values = Publish({
      {"c", "temp1", "x", SensorKind::kTemperature, 1, {}},
      {"c", "temp2", "x", SensorKind::kTemperature, 2, {}},
      {"c", "power1", "x", SensorKind::kPower, 3, {}},
      {"c", "power2", "x", SensorKind::kPower, 4, {}},
  });
  EXPECT_EQ(values.size(), 4U);
  EXPECT_EQ(values.at("idlewatt_power_watts{source=\"hwmon\",domain=\"c:x\"}"), 3);
  EXPECT_EQ(values.at("idlewatt_power_watts{source=\"hwmon\",domain=\"c:x (power2)\"}"), 4);
}

TEST(HwmonSamplerTest, TheAcpiPowerMeterIsTheSystem) {
  const auto values =
      Publish({{"power_meter-acpi-0", "power1", "power1", SensorKind::kPower, 80, {}}});
  EXPECT_EQ(values.at("idlewatt_power_watts{source=\"hwmon\",domain=\"system\"}"), 80);
}

TEST(HwmonSamplerTest, PowerIsLeftOutWhenItIsNoSource) {
  HwmonSampler::Options options;
  options.power = false;
  EXPECT_TRUE(Publish({{"c", "power1", "x", SensorKind::kPower, 3, {}},
                       {"c", "energy1", "x", SensorKind::kEnergy, 3, {}}},
                      options)
                  .empty());
}

TEST(HwmonSamplerTest, PowerThatAnotherSamplerPublishesIsLeftToIt) {
  HwmonSampler::Options options;
  options.power_elsewhere = {"amdgpu-*"};
  std::map<std::string, std::string> sources;
  const Error error{ErrorCode::kTransient, "power2", 0, "I/O error"};
  const auto values =
      Publish({{"amdgpu-pci-0300", "power1", "PPT", SensorKind::kPower, 3, {}},
               {"amdgpu-pci-0300", "power2", "x", SensorKind::kPower, error, {}},
               {"amdgpu-pci-0300", "energy1", "x", SensorKind::kEnergy, 3, {}},
               {"amdgpu-pci-0300", "temp1", "edge", SensorKind::kTemperature, 40, {}},
               {"nouveau-pci-0400", "power1", "x", SensorKind::kPower, 7, {}}},
              options, &sources);
  EXPECT_THAT(
      values,
      ElementsAre(Pair("idlewatt_power_watts{source=\"hwmon\",domain=\"nouveau-pci-0400:x\"}", 7),
                  Pair("idlewatt_temperature_celsius{chip=\"amdgpu-pci-0300\",sensor="
                       "\"temp1\",label=\"edge\"}",
                       40)));
  EXPECT_THAT(sources, ElementsAre(Pair("hwmon:amdgpu-pci-0300", "1 sensors"),
                                   Pair("hwmon:nouveau-pci-0400", "1 sensors")));
}

TEST(HwmonSamplerTest, ExcludedChipsAreNotRead) {
  HwmonSampler::Options options;
  options.exclude_chips = {"nvme-*"};
  std::map<std::string, std::string> sources;
  const auto values = Publish({{"nvme-pci-0100", "temp1", "x", SensorKind::kTemperature, 1, {}},
                               {"c", "temp1", "x", SensorKind::kTemperature, 1, {}}},
                              options, &sources);
  EXPECT_EQ(values.size(), 1U);
  EXPECT_THAT(sources, ElementsAre(Pair("hwmon:c", "1 sensors")));
}

TEST(HwmonSamplerTest, NumbersThatCannotBeAreRefused) {
  std::map<std::string, std::string> sources;
  const auto values =
      Publish({{"c", "temp1", "x", SensorKind::kTemperature, -273.15, {}},
               {"c", "temp2", "y", SensorKind::kTemperature, -40, {{"max", 9.2e15}, {"crit", 90}}},
               {"c", "power1", "z", SensorKind::kPower, 9.2e12, {}},
               {"c", "energy1", "e", SensorKind::kEnergy, -1, {}},
               {"c", "curr1", "i", SensorKind::kCurrent, -1.5, {}}},
              {}, &sources);
  EXPECT_EQ(values.size(), 3U);  // temp2, its crit, curr1
  for (const char* sensor : {"temp1", "power1", "energy1"}) {
    EXPECT_EQ(sources[std::string("hwmon:c/") + sensor], "!parse") << sensor;
  }
}

TEST(HwmonSamplerTest, ADomainIsOfOneSensorWhateverTheLabelsSay) {
  // Fails when a series is given twice.
  const auto values = Publish({{"c", "power1", "CPU", SensorKind::kPower, 1, {}},
                               {"c", "power3", "CPU (power2)", SensorKind::kPower, 3, {}},
                               {"c", "power2", "CPU", SensorKind::kPower, 2, {}}});
  EXPECT_EQ(values.size(), 3U);
}

TEST(HwmonSamplerTest, ABadSensorIsRefusedAndTheOthersRead) {
  std::map<std::string, std::string> sources;
  const auto values = Publish({{"c",
                                "temp1",
                                "x",
                                SensorKind::kTemperature,
                                Error{ErrorCode::kTransient, "c/temp1", 0, "I/O error"},
                                {{"max", 90}}},
                               {"c", "temp2", "y", SensorKind::kTemperature, 1, {}}},
                              {}, &sources);
  EXPECT_EQ(values.size(), 1U);
  EXPECT_EQ(sources["hwmon:c/temp1"], "!transient");
  EXPECT_EQ(sources["hwmon:c"], "2 sensors");
}

class HwmonTreeTest : public ::testing::Test {
 protected:
  void Chip(const std::string& folder, const std::string& name,
            const std::vector<std::pair<std::string, std::string>>& files) {
    if (!name.empty()) tree.Write("class/hwmon/" + folder + "/name", name + "\n");
    for (const auto& [file, content] : files) {
      tree.Write("class/hwmon/" + folder + "/" + file, content + "\n");
    }
  }
  // The device behind a chip or behind another device, with the bus it is on.
  void Device(const std::string& link, const std::string& device, const std::string& bus) {
    tree.MakeDir("devices/" + device);
    if (!bus.empty() && !tree.Root().ReadLink("devices/" + device + "/subsystem")) {
      tree.Link("devices/" + device + "/subsystem", "../../bus/" + bus);
    }
    tree.Link(link, tree.PathOf("devices/" + device));
  }
  // "chip/sensor" -> value.
  std::map<std::string, double> Read() {
    readings.clear();
    auto read = api->Read();
    if (!read) {
      ADD_FAILURE() << read.error().ToString();
      return {};
    }
    std::map<std::string, double> values;
    for (SensorReading& reading : *read) {
      const std::string name = reading.chip + "/" + reading.sensor;
      if (reading.value) {
        EXPECT_TRUE(values.emplace(name, *reading.value).second) << name;
      }
      readings.emplace(name, std::move(reading));
    }
    return values;
  }

  FakeTree tree;
  FileRoot sys = tree.Root();
  std::unique_ptr<SensorsApi> api = MakeHwmonTreeApi(sys);
  std::map<std::string, SensorReading> readings;
};

TEST_F(HwmonTreeTest, WithoutChipsThereIsNoData) {
  EXPECT_EQ(api->Read().error().code, ErrorCode::kNoData);
  Chip("hwmon0", "", {{"temp1_input", "1000"}});  // a chip without a name
  EXPECT_EQ(api->Read().error().code, ErrorCode::kNoData);
}

TEST_F(HwmonTreeTest, ChipsAreNamedAsLibsensorsNamesThem) {
  const std::pair<const char*, const char*> temp{"temp1_input", "1000"};
  Chip("hwmon0", "coretemp", {temp});
  Device("class/hwmon/hwmon0/device", "coretemp.1", "platform");
  Chip("hwmon1", "amdgpu", {temp});
  Device("class/hwmon/hwmon1/device", "0000:03:00.0", "pci");
  Chip("hwmon2", "jc42", {temp});
  Device("class/hwmon/hwmon2/device", "0-0018", "i2c");
  Chip("hwmon3", "corsairpsu", {temp});
  Device("class/hwmon/hwmon3/device", "0003:1B1C:1C0A.0004", "hid");
  Chip("hwmon4", "power_meter", {temp});
  Device("class/hwmon/hwmon4/device", "ACPI000D:00", "acpi");
  Chip("hwmon5", "nvme", {temp});
  Device("class/hwmon/hwmon5/device", "nvme0", "nvme");
  Device("devices/nvme0/device", "0000:01:00.0", "pci");
  Chip("hwmon6", "BAT0", {temp});
  Device("class/hwmon/hwmon6/device", "BAT0", "power_supply");
  Device("devices/BAT0/device", "PNP0C0A:00", "acpi");
  Chip("hwmon7", "it8720", {temp});
  Device("class/hwmon/hwmon7/device", "it87.552", "platform");
  Chip("hwmon8", "acpitz", {temp});
  Chip("hwmon9", "acpi_fan", {temp});
  Device("class/hwmon/hwmon9/device", "odd", "thermal");
  std::vector<std::string> names;
  for (const auto& [name, value] : Read()) names.push_back(name.substr(0, name.find('/')));
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(
                         "coretemp-isa-0001", "amdgpu-pci-0300", "jc42-i2c-0-18",
                         "corsairpsu-hid-3-4", "power_meter-acpi-0", "nvme-pci-0100", "BAT0-acpi-0",
                         "it8720-isa-0228", "acpitz-virtual-0", "acpi_fan-virtual-0"));
}

TEST_F(HwmonTreeTest, TwoChipsWithOneNameStayApart) {
  Chip("hwmon0", "acpitz", {{"temp1_input", "1000"}});
  Chip("hwmon1", "acpitz", {{"temp1_input", "2000"}});
  EXPECT_THAT(Read(),
              ElementsAre(Pair("acpitz-virtual-0#2/temp1", 2), Pair("acpitz-virtual-0/temp1", 1)));
}

TEST_F(HwmonTreeTest, ASleepingChipIsLeftOutAndItsNamesakeKeepsItsName) {
  Chip("hwmon0", "gpu", {{"temp1_input", "1000"}, {"device/power/runtime_status", "suspended"}});
  Chip("hwmon1", "gpu", {{"temp1_input", "2000"}, {"device/power/runtime_status", "active"}});
  EXPECT_THAT(Read(), ElementsAre(Pair("gpu-virtual-0#2/temp1", 2)));
  tree.Remove("class/hwmon/hwmon1");
  EXPECT_TRUE(Read().empty());  // there is a chip, it only sleeps
}

TEST_F(HwmonTreeTest, ValuesAreInSiUnits) {
  Chip("hwmon0", "c",
       {{"temp1_input", "-5500"},
        {"fan1_input", "1200"},
        {"in0_input", "1050"},
        {"curr1_input", "2500"},
        {"power1_input", "15000000"},
        {"energy1_input", "7000000"},
        {"pwm1", "128"},
        {"temp1_crit_alarm", "0"},
        {"intrusion0_alarm", "1"},
        {"in_input", "5"},
        {"humidity1_input", "50"}});
  EXPECT_THAT(Read(), ElementsAre(Pair("c-virtual-0/curr1", 2.5), Pair("c-virtual-0/energy1", 7),
                                  Pair("c-virtual-0/fan1", 1200), Pair("c-virtual-0/in0", 1.05),
                                  Pair("c-virtual-0/power1", 15), Pair("c-virtual-0/temp1", -5.5)));
}

TEST_F(HwmonTreeTest, LabelsAndLimitsAreOnTheValue) {
  Chip("hwmon0", "c",
       {{"temp1_input", "40000"},
        {"temp1_label", "Core 0"},
        {"temp1_max", "90000"},
        {"temp1_crit", "100000"},
        {"temp1_min", "bad"},
        {"temp2_input", "41000"},
        {"temp2_label", ""}});
  Read();
  const SensorReading& first = readings.at("c-virtual-0/temp1");
  EXPECT_EQ(first.label, "Core 0");
  EXPECT_THAT(first.limits, ElementsAre(Pair("max", 90), Pair("crit", 100)));
  EXPECT_EQ(readings.at("c-virtual-0/temp2").label, "temp2");
}

TEST_F(HwmonTreeTest, ADisabledChannelIsLeftOut) {
  Chip("hwmon0", "c",
       {{"temp1_input", "1000"},
        {"temp1_enable", "0"},
        {"temp2_input", "2000"},
        {"temp2_enable", "1"}});
  EXPECT_THAT(Read(), ElementsAre(Pair("c-virtual-0/temp2", 2)));
}

TEST_F(HwmonTreeTest, TheAverageOfAPowerMeterGoesBeforeItsInput) {
  Chip("hwmon0", "c",
       {{"power1_input", "9000000"}, {"power1_average", "5000000"}, {"power2_input", "3000000"}});
  EXPECT_THAT(Read(), ElementsAre(Pair("c-virtual-0/power1", 5), Pair("c-virtual-0/power2", 3)));
}

TEST_F(HwmonTreeTest, ABadChannelCarriesItsError) {
  Chip("hwmon0", "c", {{"temp1_input", ""}, {"temp2_input", "2000"}});
  tree.MakeDir("class/hwmon/hwmon0/temp3_input");
  EXPECT_THAT(Read(), ElementsAre(Pair("c-virtual-0/temp2", 2)));
  EXPECT_EQ(readings.at("c-virtual-0/temp1").value.error().code, ErrorCode::kParse);
  EXPECT_EQ(readings.at("c-virtual-0/temp3").value.error().code, ErrorCode::kTransient);
}

TEST_F(HwmonTreeTest, OldDriversKeepTheirChannelsInTheDevice) {
  Chip("hwmon0", "", {{"device/name", "old"}, {"device/temp1_input", "3000"}});
  EXPECT_THAT(Read(), ElementsAre(Pair("old-virtual-0/temp1", 3)));
}

}  // namespace
}  // namespace idlewatt
