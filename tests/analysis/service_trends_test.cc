#include "analysis/service_trends.h"

#include <gtest/gtest.h>

#include "collector/metrics.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr double kMegabyte = 1e6;

// The one service "a", tick by tick.
class ServiceTrendsTest : public testing::Test {
 protected:
  // One tick, `after` the one before.
  void Tick(std::chrono::nanoseconds after) {
    maker_.Add(metrics::kServiceProcesses, {"a", kind_}, processes_);
    maker_.Add(metrics::kServiceMemoryBytes, {"a", kind_}, megabytes_ * kMegabyte);
    if (uptime_) maker_.Add(metrics::kServiceUptime, {"a"}, *uptime_);
    for (const auto& [reason, count] : restarts_) {
      maker_.Add(metrics::kServiceRestarts, {"a", reason}, count);
    }
    const Snapshot& snapshot = maker_.Tick(after);
    services_.Update(snapshot);
    trends_.Update(services_, snapshot.time);
  }
  // A minute each, in which the memory grows by `megabytes`.
  void Leak(int count, double megabytes) {
    for (int i = 0; i < count; ++i) {
      megabytes_ += megabytes;
      if (uptime_) *uptime_ += 60;
      Tick(minutes(1));
    }
  }
  size_t number() const { return *services_.Find("a"); }
  std::optional<MemoryGrowth> Growth() const { return trends_.Growth(number()); }
  int Restarts() const { return trends_.Restarts(number()); }
  // Memory as an earlier run of the daemon saw it: 59 minutes that end `ago`, 2 MB more in each.
  void RememberLeak(minutes ago, const std::string& service = "a") {
    ServiceTrends::PastMemory past{service, {}};
    for (int i = 0; i < 59; ++i) {
      const WallTime time = maker_.now().wall - ago - minutes(58 - i);
      past.bytes.emplace_back(time, (1000 + 2 * i) * kMegabyte);
    }
    megabytes_ = past.bytes.back().second / kMegabyte;
    trends_.Remember({past}, {});
  }

  std::string kind_ = "supervised";
  int processes_ = 1;
  double megabytes_ = 1000;
  std::optional<double> uptime_;
  std::map<std::string, double> restarts_{{"crash", 0}, {"unhealthy", 0}};
  SnapshotMaker maker_;
  ServiceTable services_;
  ServiceTrends trends_;
};

TEST_F(ServiceTrendsTest, GrowthIsKnownAfterHalfAnHour) {
  Leak(30, 2);
  EXPECT_FALSE(Growth());
  Leak(1, 2);
  ASSERT_TRUE(Growth());
  EXPECT_NEAR(Growth()->bytes_per_hour, 120 * kMegabyte, 1);
}

TEST_F(ServiceTrendsTest, ADiscoveredServiceHasNoGrowth) {
  kind_ = "discovered";
  Leak(60, 2);
  EXPECT_FALSE(Growth());
}

TEST_F(ServiceTrendsTest, AWatchedServiceHasGrowth) {
  kind_ = "watched";
  Leak(60, 2);
  EXPECT_TRUE(Growth());
}

TEST_F(ServiceTrendsTest, AShorterUptimeBeginsItAnew) {
  uptime_ = 1000;
  Leak(40, 2);
  ASSERT_TRUE(Growth());
  EXPECT_FALSE(trends_.BeganAnew(number()));
  uptime_ = 3;
  Tick(minutes(1));
  EXPECT_FALSE(Growth());
  EXPECT_TRUE(trends_.BeganAnew(number()));
  Leak(1, 2);
  EXPECT_FALSE(trends_.BeganAnew(number()));
  Leak(28, 2);
  EXPECT_FALSE(Growth()) << "the points before the restart are gone";
  Leak(1, 2);
  EXPECT_TRUE(Growth());
}

TEST_F(ServiceTrendsTest, ARestartBeginsItAnew) {
  Leak(40, 2);
  restarts_["crash"] = 1;
  Leak(1, 2);
  EXPECT_FALSE(Growth());
}

TEST_F(ServiceTrendsTest, AStopBeginsItAnew) {
  Leak(40, 2);
  processes_ = 0;
  Tick(minutes(1));
  EXPECT_FALSE(Growth());
  EXPECT_TRUE(trends_.BeganAnew(number()));
}

TEST_F(ServiceTrendsTest, GoesOnFromWhatAnEarlierRunSaw) {
  RememberLeak(minutes(1));
  Leak(2, 2);
  ASSERT_TRUE(Growth());
  EXPECT_NEAR(Growth()->bytes_per_hour, 120 * kMegabyte, 1);
}

TEST_F(ServiceTrendsTest, WhatAnEarlierRunSawOfAnotherServiceIsNotLookedAt) {
  RememberLeak(minutes(1), "b");
  Leak(2, 2);
  EXPECT_FALSE(Growth());
}

TEST_F(ServiceTrendsTest, WhatWasBeforeTheStartOfTheServiceIsNotLookedAt) {
  RememberLeak(minutes(1));
  uptime_ = 20 * 60;
  Leak(2, 2);
  EXPECT_FALSE(Growth()) << "twenty minutes are not enough";
}

TEST_F(ServiceTrendsTest, PointsOfTheFutureAreNotLookedAt) {
  RememberLeak(minutes(-59));  // the wall clock was set back by an hour
  megabytes_ = 1000;
  Leak(2, 0);
  EXPECT_FALSE(Growth());
  Leak(60, 0);
  EXPECT_EQ(Growth()->bytes_per_hour, 0);
}

TEST_F(ServiceTrendsTest, RestartsCountForTenMinutes) {
  Tick(seconds(5));
  restarts_["crash"] = 1;
  Tick(seconds(5));
  EXPECT_EQ(Restarts(), 1);
  restarts_["unhealthy"] = 2;
  Tick(minutes(5));
  EXPECT_EQ(Restarts(), 3);
  Tick(minutes(5) - seconds(1));
  EXPECT_EQ(Restarts(), 3);
  Tick(seconds(1));
  EXPECT_EQ(Restarts(), 2);
  Tick(minutes(5));
  EXPECT_EQ(Restarts(), 0);
}

TEST_F(ServiceTrendsTest, RestartsOfAnEarlierRunCountUntilTheyArePast) {
  const WallTime now = maker_.now().wall;
  trends_.Remember({}, {{"a", {now - minutes(50), now - minutes(9), now - minutes(3)}},
                        {"b", {now - minutes(1)}}});
  restarts_["crash"] = 20;
  Tick(seconds(5));
  EXPECT_EQ(Restarts(), 2);
  restarts_["crash"] = 21;
  Tick(seconds(5));
  EXPECT_EQ(Restarts(), 3);
  Tick(minutes(1));
  EXPECT_EQ(Restarts(), 2);
}

TEST_F(ServiceTrendsTest, RestartsCountUpTo32) {
  Tick(seconds(5));
  for (int i = 1; i <= 50; ++i) {
    restarts_["crash"] = i;
    Tick(seconds(1));
  }
  EXPECT_EQ(Restarts(), 32);
}

TEST_F(ServiceTrendsTest, RestartsBeforeTheFirstTickAreThePast) {
  restarts_["crash"] = 7;
  Tick(seconds(5));
  EXPECT_EQ(Restarts(), 0);
  restarts_["crash"] = 8;
  Tick(seconds(5));
  EXPECT_EQ(Restarts(), 1);
}

}  // namespace
}  // namespace idlewatt
