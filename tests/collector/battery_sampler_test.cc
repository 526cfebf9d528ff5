#include "collector/battery_sampler.h"

#include <gtest/gtest.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

class BatterySamplerTest : public ::testing::Test {
 protected:
  void Supply(const std::string& name, const Files& files) {
    for (const auto& [file, content] : files) {
      tree.Write("class/power_supply/" + name + "/" + file, content + "\n");
    }
  }
  void Battery(const std::string& name, const Files& files) {
    Supply(name, {{"type", "Battery"}});
    Supply(name, files);
  }
  std::optional<double> Watts() const {
    return Value("idlewatt_power_watts{source=\"battery\",domain=\"system\"}");
  }
  std::optional<double> Value(const std::string& series) const {
    const auto it = driver.values.find(series);
    return it == driver.values.end() ? std::nullopt : std::optional(it->second);
  }

  FakeTree tree;
  FileRoot sys = tree.Root();
  BatterySampler sampler{sys};
  SamplerDriver driver{sampler};
};

TEST_F(BatterySamplerTest, OnMainsAloneThereIsNoData) {
  Supply("AC", {{"type", "Mains"}, {"online", "1"}});
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
}

TEST_F(BatterySamplerTest, PowerIsThatOfTheDischarge) {
  Battery("BAT0", {{"status", "Discharging"}, {"power_now", "7500000"}, {"capacity", "80"}});
  driver.Read();
  EXPECT_EQ(Watts(), 7.5);
  EXPECT_EQ(Value("idlewatt_battery_discharging{battery=\"BAT0\"}"), 1);
  EXPECT_EQ(Value("idlewatt_battery_charge_ratio{battery=\"BAT0\"}"), 0.8);
}

TEST_F(BatterySamplerTest, WhatChargesABatteryIsNoUse) {
  Battery("BAT0", {{"status", "Charging"}, {"power_now", "30000000"}, {"capacity", "50"}});
  driver.Read();
  EXPECT_EQ(Watts(), std::nullopt);
  EXPECT_EQ(Value("idlewatt_battery_discharging{battery=\"BAT0\"}"), 0);
}

TEST_F(BatterySamplerTest, CurrentTimesVoltageIsPower) {
  Battery("BAT0",
          {{"status", "Discharging"}, {"current_now", "1500000"}, {"voltage_now", "12000000"}});
  driver.Read();
  EXPECT_DOUBLE_EQ(Watts().value_or(0), 18);
}

TEST_F(BatterySamplerTest, NegativeNumbersMeanTheSame) {
  Battery("BAT0", {{"status", "Discharging"}, {"power_now", "-7500000"}});
  Battery("BAT1",
          {{"status", "Discharging"}, {"current_now", "-500000"}, {"voltage_now", "10000000"}});
  driver.Read();
  EXPECT_DOUBLE_EQ(Watts().value_or(0), 12.5);
}

TEST_F(BatterySamplerTest, OfTwoBatteriesOnlyTheOneThatDischargesCounts) {
  Battery("BAT0", {{"status", "Discharging"}, {"power_now", "6000000"}});
  Battery("BAT1", {{"status", "Not charging"}, {"power_now", "1000000"}});
  driver.Read();
  EXPECT_EQ(Watts(), 6);
}

TEST_F(BatterySamplerTest, ABatteryThatDoesNotTellMakesTheSumUnknown) {
  Battery("BAT0", {{"status", "Discharging"}, {"power_now", "6000000"}});
  Battery("BAT1", {{"status", "Discharging"}});
  driver.Read();
  EXPECT_EQ(Watts(), std::nullopt);
  EXPECT_EQ(Value("idlewatt_battery_discharging{battery=\"BAT1\"}"), 1);
}

TEST_F(BatterySamplerTest, ChargeIsTakenFromEnergyThenChargeThenCapacity) {
  Battery("BAT0", {{"status", "Full"},
                   {"energy_now", "25"},
                   {"energy_full", "50"},
                   {"charge_now", "1"},
                   {"charge_full", "10"},
                   {"capacity", "99"}});
  Battery("BAT1", {{"status", "Full"}, {"charge_now", "11"}, {"charge_full", "10"}});
  Battery("BAT2", {{"status", "Full"}, {"energy_now", "-5"}, {"energy_full", "0"}});
  driver.Read();
  EXPECT_EQ(Value("idlewatt_battery_charge_ratio{battery=\"BAT0\"}"), 0.5);
  EXPECT_EQ(Value("idlewatt_battery_charge_ratio{battery=\"BAT1\"}"), 1);
  EXPECT_EQ(Value("idlewatt_battery_charge_ratio{battery=\"BAT2\"}"), std::nullopt);
}

TEST_F(BatterySamplerTest, BatteriesOfMiceAndEmptyBaysAreNotOurs) {
  Battery("hid-mouse", {{"status", "Discharging"}, {"scope", "Device"}, {"power_now", "1000000"}});
  Battery("BAT1", {{"status", "Unknown"}, {"present", "0"}});
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
}

TEST_F(BatterySamplerTest, TextThatIsNotUtf8DoesNoHarm) {
  Battery("B\xFFT", {{"status", "Disch\xFF"}, {"manufacturer", "\xFF\xFE"}, {"capacity", "10"}});
  driver.Read();
  EXPECT_EQ(Value("idlewatt_battery_charge_ratio{battery=\"B\xEF\xBF\xBDT\"}"), 0.1);
}

TEST_F(BatterySamplerTest, AnUnreadableBatteryIsRefusedAndTheOtherRead) {
  Supply("BAT0", {{"type", "Battery"}});
  tree.MakeDir("class/power_supply/BAT0/status");
  Battery("BAT1", {{"status", "Discharging"}, {"power_now", "6000000"}});
  driver.Read();
  EXPECT_EQ(driver.sources["battery:BAT0"], "!transient");
  EXPECT_EQ(Watts(), 6);
}

TEST_F(BatterySamplerTest, PowerThatCannotBeIsUnknown) {
  Battery("BAT0", {{"status", "Discharging"}, {"power_now", "-9223372036854775808"}});
  driver.Read();
  EXPECT_EQ(Watts(), std::nullopt);
  EXPECT_EQ(driver.sources["battery:BAT0/power"], "!no_data");
  EXPECT_EQ(driver.sources["battery:BAT0"], "charge");
  Battery("BAT0", {{"current_now", "-1000000"}, {"voltage_now", "12000000"}});
  driver.Read();
  EXPECT_DOUBLE_EQ(Watts().value_or(0), 12);  // what else it says
  Battery("BAT0", {{"current_now", "9223372036854775807"}});
  driver.Read();
  EXPECT_EQ(Watts(), std::nullopt);
}

TEST_F(BatterySamplerTest, TwoNamesThatBecomeOneStayApart) {
  Battery("B\xFE", {{"status", "Full"}, {"capacity", "10"}});
  Battery("B\xFF", {{"status", "Full"}, {"capacity", "20"}});
  driver.Read();  // fails when a series is given twice
  EXPECT_EQ(Value("idlewatt_battery_charge_ratio{battery=\"B\xEF\xBF\xBD#2\"}"), 0.2);
}

}  // namespace
}  // namespace idlewatt
