#include "analysis/idle_baseline.h"

#include <gtest/gtest.h>

#include "analysis/metrics.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class IdleBaselineTest : public testing::Test {
 protected:
  // Ticks every ten seconds at `watts`.
  void Run(seconds time, double watts, bool idle) {
    for (seconds left = time; left > seconds(0); left -= seconds(10)) {
      now_ += seconds(10);
      baseline_.Update(now_, 10, 10 * watts, idle);
    }
  }
  std::optional<double> Mean() const { return baseline_.MeanWatts(); }
  // What is published, as name=watts.
  std::string Published() {
    Readings readings(registry_);
    baseline_.Publish(now_, readings);
    std::string text;
    for (const Sample& sample : readings.samples) {
      text += registry_.Find(sample.series)->labels[0] + "=" + std::to_string(sample.value);
    }
    return text;
  }

  BootTime now_{minutes(77)};
  IdleBaseline baseline_;
  SeriesRegistry registry_;
};

TEST_F(IdleBaselineTest, TheMeanNeedsTwoIdleMinutes) {
  EXPECT_EQ(Mean(), std::nullopt);
  Run(seconds(110), 8, true);
  EXPECT_EQ(Mean(), std::nullopt);
  Run(seconds(10), 8, true);
  EXPECT_EQ(Mean(), 8);
}

TEST_F(IdleBaselineTest, WhatWasUsedInUseDoesNotCount) {
  Run(minutes(2), 8, true);
  Run(minutes(3), 80, false);
  Run(minutes(2), 10, true);
  EXPECT_DOUBLE_EQ(Mean().value(), 9);
}

TEST_F(IdleBaselineTest, TheMeanIsOverTenMinutes) {
  Run(minutes(5), 100, true);
  Run(minutes(11), 8, true);
  EXPECT_EQ(Mean(), 8);
}

TEST_F(IdleBaselineTest, WithoutIdleMinutesOfLateThereIsNoMean) {
  Run(minutes(10), 8, true);
  Run(minutes(11), 80, false);
  EXPECT_EQ(Mean(), std::nullopt);
}

TEST_F(IdleBaselineTest, AfterASleepThereIsNoMean) {
  Run(minutes(10), 8, true);
  now_ += std::chrono::hours(8);
  Run(seconds(10), 80, true);
  EXPECT_EQ(Mean(), std::nullopt);
}

TEST_F(IdleBaselineTest, PublishesWhatIsSet) {
  EXPECT_EQ(Published(), "");
  baseline_.Set(Baseline{"first", 4, 9, {}, {}});
  EXPECT_EQ(Published(), "first=4.000000");
  baseline_.Set(Baseline{"second", 5, 9, {}, {}});
  EXPECT_EQ(Published(), "second=5.000000");
  baseline_.Set(std::nullopt);
  EXPECT_EQ(Published(), "");
}

}  // namespace
}  // namespace idlewatt
