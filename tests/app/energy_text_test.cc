#include "app/energy_text.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

constexpr double kWattHour = kJoulesOfWattHour;

TEST(EnergyTextTest, EnergyHasTheDigitsThatMeanSomething) {
  EXPECT_EQ(EnergyText(0), "0 Wh");
  EXPECT_EQ(EnergyText(0.0001 * kWattHour), "<0.001 Wh");
  EXPECT_EQ(EnergyText(0.004 * kWattHour), "0.004 Wh");
  EXPECT_EQ(EnergyText(0.04 * kWattHour), "0.04 Wh");
  EXPECT_EQ(EnergyText(0.8 * kWattHour), "0.8 Wh");
  EXPECT_EQ(EnergyText(12.34 * kWattHour), "12.3 Wh");
  EXPECT_EQ(EnergyText(512.4 * kWattHour), "512 Wh");
  EXPECT_EQ(EnergyText(1254 * kWattHour), "1.25 kWh");
  EXPECT_EQ(EnergyText(123.4e3 * kWattHour), "123 kWh");
  EXPECT_EQ(EnergyText(12.34e6 * kWattHour), "12.3 MWh");
}

TEST(EnergyTextTest, RoundingNeverGivesAThousandOfAUnit) {
  EXPECT_EQ(EnergyText(99.96 * kWattHour), "100 Wh");
  EXPECT_EQ(EnergyText(999.6 * kWattHour), "1.00 kWh");
  EXPECT_EQ(EnergyText(9.996e3 * kWattHour), "10.0 kWh");
  EXPECT_EQ(EnergyText(999.6e3 * kWattHour), "1.00 MWh");
  EXPECT_EQ(PowerText(999.6), "1.00 kW");
  EXPECT_EQ(ShareText(0.0996), "10 %");
}

TEST(EnergyTextTest, PowerAndSharesToo) {
  EXPECT_EQ(PowerText(0), "0 W");
  EXPECT_EQ(PowerText(0.001), "<0.01 W");
  EXPECT_EQ(PowerText(0.854), "0.85 W");
  EXPECT_EQ(PowerText(12.34), "12.3 W");
  EXPECT_EQ(PowerText(512.4), "512 W");
  EXPECT_EQ(ShareText(0), "0 %");
  EXPECT_EQ(ShareText(0.0004), "<0.1 %");
  EXPECT_EQ(ShareText(0.034), "3.4 %");
  EXPECT_EQ(ShareText(0.344), "34 %");
}

TEST(EnergyTextTest, AScaleHasOneUnitForAllNumbers) {
  EXPECT_EQ(EnergyScale(50 * kWattHour).unit(), "Wh");
  EXPECT_EQ(EnergyScale(50 * kWattHour).Number(1.26 * kWattHour), "1.3");
  EXPECT_EQ(EnergyScale(5 * kWattHour).Number(1.257 * kWattHour), "1.26");
  EXPECT_EQ(EnergyScale(20e3 * kWattHour).unit(), "kWh");
  EXPECT_EQ(EnergyScale(20e3 * kWattHour).Number(260 * kWattHour), "0.26");
  EXPECT_EQ(EnergyScale(20e6 * kWattHour).unit(), "MWh");
}

TEST(EnergyTextTest, MoneyHasTwoDigitsAndMoreWhenItIsLittle) {
  const EnergyPrice price{0.3, "EUR"};
  EXPECT_EQ(price.CostText(1250 * kWattHour), "0.38 EUR");
  EXPECT_EQ(price.CostText(100'000 * kWattHour), "30.00 EUR");
  EXPECT_EQ(price.CostText(33.4 * kWattHour), "0.01 EUR");
  EXPECT_EQ(price.CostText(14.1 * kWattHour), "0.0042 EUR");
  EXPECT_EQ(price.CostText(0), "0.00 EUR");
  EXPECT_EQ(price.CostText(0.0001 * kWattHour), "<0.000001 EUR");
}

TEST(EnergyTextTest, APriceWithoutCurrencySaysWhatItIs) {
  const auto price = EnergyPrice::Parse("0.3", "");
  ASSERT_TRUE(price);
  EXPECT_EQ(price->ToString(), "0.30/kWh");
  EXPECT_EQ(price->CostText(1000 * kWattHour), "0.30");
  EXPECT_EQ(EnergyPrice::Parse("0.28765", "ct\n")->ToString(), "0.28765 ct/kWh");
  EXPECT_EQ(EnergyPrice::Parse("1444", "Rp")->ToString(), "1444.00 Rp/kWh");
}

TEST(EnergyTextTest, APriceIsAPositiveNumber) {
  for (const char* text : {"", "0", "-1", "0,30", "0.30 EUR", "nan", "inf", "1e300", "1e-300"}) {
    const auto price = EnergyPrice::Parse(text, "");
    ASSERT_FALSE(price) << text;
    EXPECT_EQ(price.error().code, ErrorCode::kInvalid);
  }
}

TEST(EnergyTextTest, TimesAreUtc) {
  const WallTime time = std::chrono::sys_days(std::chrono::year(2026) / 11 / 21) +
                        std::chrono::hours(3) + std::chrono::seconds(37);
  EXPECT_EQ(UtcText(time), "2026-11-21 03:00");
  EXPECT_EQ(UtcText(time, true), "2026-11-21 03:00:37");
}

}  // namespace
}  // namespace idlewatt
