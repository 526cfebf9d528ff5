#include "storage/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "storage/decimal.h"

namespace idlewatt {
namespace {

constexpr Metric kJoules{"test_joules_total", MetricKind::kCounter, "joules", {}, ""};
constexpr Metric kIdle = WithDecimals({"test_seconds", MetricKind::kGauge, "seconds", {}, ""}, 1);
constexpr Metric kBytes{"test_bytes", MetricKind::kGauge, "bytes", {}, ""};

class RoundingTest : public ::testing::Test {
 protected:
  double Rounded(const Metric& metric, double value) {
    std::array<Sample, 1> samples{Sample{registry_.Intern(metric, {}), value}};
    rounding_.Apply(samples);
    return samples[0].value;
  }
  SeriesRegistry registry_;
  Rounding rounding_{registry_};
};

TEST_F(RoundingTest, AUnitSaysHowManyDecimalsAreKept) {
  EXPECT_EQ(Rounded(kJoules, 12.34567), 12.346);
  EXPECT_EQ(Rounded(kJoules, 98765432.10987), 98765432.11);
  EXPECT_EQ(Rounded(kBytes, 1.0 / 3), 1.0 / 3) << "a unit that is counted is left alone";
}

TEST_F(RoundingTest, AMetricMaySayOtherwise) { EXPECT_EQ(Rounded(kIdle, 59.96), 60.0); }

TEST_F(RoundingTest, WhatIsRoundedIsADecimalThatTheCodecKeepsAsOne) {
  for (double value = 0.00001; value < 1e9; value *= 1.7) {
    EXPECT_TRUE(ToDecimal(Rounded(kJoules, value), 3)) << value;
  }
}

TEST_F(RoundingTest, NumbersWithoutDecimalsStay) {
  EXPECT_EQ(Rounded(kJoules, 1e300), 1e300);
  EXPECT_TRUE(std::isinf(Rounded(kJoules, INFINITY)));
  EXPECT_TRUE(std::isnan(Rounded(kJoules, NAN)));
}

TEST_F(RoundingTest, MetricsOfOtherProgramsAreLeftAlone) {
  const auto metric = MakeMetric({"their_seconds", MetricKind::kGauge, "seconds", "", false}, {});
  std::array<Sample, 1> samples{Sample{*registry_.Intern(metric, {}, 100), 0.123456789}};
  rounding_.Apply(samples);
  EXPECT_EQ(samples[0].value, 0.123456789);
}

}  // namespace
}  // namespace idlewatt
