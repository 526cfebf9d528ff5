#include "analysis/memory_trend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <type_traits>

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr double kMegabyte = 1e6;

// The memory of a service by the minute, in MB.
using Memory = std::function<double(double)>;

// A service that is observed every five seconds. What it uses has normal noise.
class ObservedService {
 public:
  explicit ObservedService(unsigned seed = 1) : random_(seed) {}

  void Observe(minutes time, const Memory& memory, double noise) {
    for (const BootTime end = now_ + time; now_ < end; now_ += seconds(5)) {
      const double minute = ToSeconds(now_ - start_) / 60;
      trend.Observe(now_, (1000 + memory(minute) + noise * normal_(random_)) * kMegabyte);
    }
  }
  void Pause(minutes time) { now_ += time; }
  // How many MB it grows in an hour; nothing when that is not known or not steady.
  std::optional<double> SteadyGrowth() const {
    if (!trend.Growth() || !trend.Growth()->IsSteady()) return std::nullopt;
    return trend.Growth()->bytes_per_hour / kMegabyte;
  }
  BootTime now() const { return now_; }

  MemoryTrend trend;

 private:
  const BootTime start_{hours(5)};
  BootTime now_ = start_;
  std::mt19937 random_;
  std::normal_distribution<double> normal_;
};

// In how many of 100 hours growth of more than 60 MB an hour is found.
template <typename MakeMemory>
int HoursWithGrowth(double noise, MakeMemory make_memory) {
  int found = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    ObservedService service(seed);
    service.Observe(minutes(61), make_memory(random), noise);
    found += service.SteadyGrowth().value_or(0) > 60 ? 1 : 0;
  }
  return found;
}

double Between(std::mt19937& random, double least, double most) {
  return std::uniform_real_distribution<double>(least, most)(random);
}

// From 0 to `height` in `period` minutes, then back to 0 at once.
double Sawtooth(double minute, double period, double height) {
  return height * std::fmod(minute, period) / period;
}

double Leak(double minute) { return 2 * minute; }  // 120 MB an hour
double Nothing(double /*minute*/) { return 0; }

TEST(MemoryTrendTest, FindsASteadyLeakUnderNoise) {
  EXPECT_GE(HoursWithGrowth(50, [](std::mt19937&) { return Leak; }), 90);
}

TEST(MemoryTrendTest, TellsHowFastItGrows) {
  ObservedService service;
  service.Observe(minutes(61), Leak, 10);
  const std::optional<MemoryGrowth> growth = service.trend.Growth();
  ASSERT_TRUE(growth.has_value());
  EXPECT_NEAR(growth->bytes_per_hour, 120 * kMegabyte, 10 * kMegabyte);
  EXPECT_NEAR(growth->slower_half_bytes_per_hour, 115 * kMegabyte, 15 * kMegabyte);
  EXPECT_GT(growth->rising_share, 0.9);
  EXPECT_NEAR(growth->first_bytes, 1000 * kMegabyte, 10 * kMegabyte);
  EXPECT_NEAR(growth->last_bytes, 1100 * kMegabyte, 10 * kMegabyte);
  EXPECT_EQ(growth->span, minutes(59));
}

TEST(MemoryTrendTest, FindsALeakUnderAGarbageCollector) {
  for (const double period : {0.5, 2.0, 5.0, 8.0, 10.0}) {
    const auto make = [period](std::mt19937& random) {
      const double phase = Between(random, 0, period);
      return [=](double minute) { return Leak(minute) + Sawtooth(minute + phase, period, 300); };
    };
    EXPECT_GE(HoursWithGrowth(10, make), 95) << period;
  }
}

TEST(MemoryTrendTest, FindsALeakThatComesInChunks) {
  const auto make = [](std::mt19937& random) {
    const double phase = Between(random, 0, 10);
    return [=](double minute) { return 20 * std::floor((minute + phase) / 10); };
  };
  EXPECT_GE(HoursWithGrowth(5, make), 95);
}

TEST(MemoryTrendTest, NoiseIsNoLeak) {
  EXPECT_EQ(HoursWithGrowth(50, [](std::mt19937&) { return Nothing; }), 0);
  EXPECT_LE(HoursWithGrowth(500, [](std::mt19937&) { return Nothing; }), 5);
}

TEST(MemoryTrendTest, AModelThatIsLoadedIsNoLeak) {
  for (const double noise : {0.0, 5.0, 50.0}) {
    for (int at = 1; at < 60; ++at) {
      ObservedService service;
      service.Observe(
          minutes(61), [at](double minute) { return minute < at ? 0 : 5000; }, noise);
      EXPECT_EQ(service.SteadyGrowth(), std::nullopt) << at << " min, noise " << noise;
    }
  }
}

TEST(MemoryTrendTest, AModelThatTakesTenMinutesToLoadIsNoLeak) {
  const auto make = [](std::mt19937& random) {
    const double start = Between(random, -5, 55);
    return [=](double minute) { return 500 * std::clamp(minute - start, 0.0, 10.0); };
  };
  EXPECT_EQ(HoursWithGrowth(5, make), 0);
}

TEST(MemoryTrendTest, TwoModelsAreNoLeak) {
  const auto make = [](std::mt19937& random) {
    const double first = Between(random, 0, 60);
    const double second = Between(random, 0, 60);
    return [=](double minute) {
      return (minute < first ? 0.0 : 5000.0) + (minute < second ? 0.0 : 3000.0);
    };
  };
  EXPECT_LE(HoursWithGrowth(5, make), 5);
}

TEST(MemoryTrendTest, CachesThatFillAreNoLeak) {
  const auto make = [](std::mt19937& random) {
    const double start = Between(random, -30, 0);
    return [=](double minute) { return 2000 * (1 - std::exp((start - minute) / 10)); };
  };
  EXPECT_LE(HoursWithGrowth(5, make), 10);
}

TEST(MemoryTrendTest, AGarbageCollectorIsNoLeak) {
  for (const double period : {0.7, 3.0, 7.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0}) {
    const auto make = [period](std::mt19937& random) {
      const double phase = Between(random, 0, period);
      return [=](double minute) { return Sawtooth(minute + phase, period, 1000); };
    };
    EXPECT_EQ(HoursWithGrowth(20, make), 0) << period;
  }
}

TEST(MemoryTrendTest, AFallIsNoLeak) {
  ObservedService service;
  service.Observe(
      minutes(61), [](double minute) { return -3 * minute; }, 50);
  ASSERT_TRUE(service.trend.Growth().has_value());
  EXPECT_NEAR(service.trend.Growth()->bytes_per_hour, -180 * kMegabyte, 30 * kMegabyte);
  EXPECT_LT(service.trend.Growth()->rising_share, 0.2);
  EXPECT_FALSE(service.trend.Growth()->IsSteady());
}

TEST(MemoryTrendTest, SaysNothingBeforeThirtyMinutes) {
  ObservedService service;
  service.Observe(minutes(30), Leak, 0);
  EXPECT_FALSE(service.trend.Growth().has_value());
  service.Observe(minutes(1), Leak, 0);
  ASSERT_TRUE(service.trend.Growth().has_value());
  EXPECT_NEAR(service.SteadyGrowth().value_or(0), 120, 1);
  EXPECT_EQ(service.trend.Growth()->span, minutes(29));
}

TEST(MemoryTrendTest, ForgetsWhatIsOlderThanAnHour) {
  ObservedService service;
  service.Observe(minutes(61), Leak, 0);
  service.Observe(
      minutes(61), [](double) { return 122; }, 0);
  ASSERT_TRUE(service.trend.Growth().has_value());
  EXPECT_EQ(service.trend.Growth()->bytes_per_hour, 0);
  EXPECT_EQ(service.trend.Growth()->rising_share, 0);
}

TEST(MemoryTrendTest, AGapIsLeftOut) {
  ObservedService service;
  service.Observe(minutes(20), Leak, 0);
  service.Pause(minutes(15));
  service.Observe(minutes(20), Leak, 0);
  EXPECT_NEAR(service.SteadyGrowth().value_or(0), 120, 10);
  EXPECT_EQ(service.trend.Growth()->span, minutes(53));
}

TEST(MemoryTrendTest, BeginsAnewAfterALongSleep) {
  ObservedService service;
  service.Observe(minutes(61), Leak, 0);
  service.Pause(hours(8));
  service.Observe(minutes(2), Leak, 0);
  EXPECT_FALSE(service.trend.Growth().has_value());
}

TEST(MemoryTrendTest, ResetForgetsEverything) {
  ObservedService service;
  service.Observe(minutes(61), Leak, 0);
  service.trend.Reset();
  EXPECT_FALSE(service.trend.Growth().has_value());
  service.Observe(minutes(30), Nothing, 0);
  EXPECT_FALSE(service.trend.Growth().has_value());
  service.Observe(minutes(1), Nothing, 0);
  ASSERT_TRUE(service.trend.Growth().has_value());
  EXPECT_EQ(service.trend.Growth()->bytes_per_hour, 0);
}

TEST(MemoryTrendTest, PointsOfHistoryCountAsIfTheyHadBeenObserved) {
  MemoryTrend trend;
  // A daemon that starts ten minutes after the machine: history is from before its boot.
  for (int minute = -50; minute < 10; ++minute) {
    trend.Observe(BootTime(minutes(minute)), (2000 + 2 * minute) * kMegabyte);
  }
  trend.Observe(BootTime(minutes(10)), 2020 * kMegabyte);
  ASSERT_TRUE(trend.Growth().has_value());
  EXPECT_NEAR(trend.Growth()->bytes_per_hour, 120 * kMegabyte, 1);
  EXPECT_EQ(trend.Growth()->span, minutes(59));
}

TEST(MemoryTrendTest, WhatCannotBeIsNotLookedAt) {
  ObservedService service;
  service.Observe(minutes(61), Leak, 0);
  const MemoryGrowth before = service.trend.Growth().value();
  for (const double wrong :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1.0}) {
    service.trend.Observe(service.now(), wrong);
  }
  service.trend.Observe(service.now() - hours(1), 1e12);
  service.Observe(minutes(1), Leak, 0);
  EXPECT_NEAR(service.trend.Growth()->bytes_per_hour, before.bytes_per_hour, 1);
}

TEST(MemoryTrendTest, IsComputedOnceAMinute) {
  ObservedService service;
  service.Observe(minutes(61), Leak, 0);
  service.trend.Observe(service.now(), 1);  // the first of its minute
  const double last = service.trend.Growth()->last_bytes;
  service.trend.Observe(service.now() + seconds(59), 3);
  EXPECT_EQ(service.trend.Growth()->last_bytes, last);
  service.trend.Observe(service.now() + seconds(60), 1000 * kMegabyte);
  EXPECT_EQ(service.trend.Growth()->last_bytes, 2) << "the mean of the minute that ended";
}

// There is one for each service, and none may cost the tick a call of the allocator.
static_assert(std::is_trivially_copyable_v<MemoryTrend>, "owns nothing on the heap");
static_assert(sizeof(MemoryTrend) <= 1100);

}  // namespace
}  // namespace idlewatt
