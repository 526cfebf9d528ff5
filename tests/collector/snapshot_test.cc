#include "collector/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "collector/sampler.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using Outcome = SamplerRun::Outcome;

constexpr Metric kTemperature{"test_celsius", MetricKind::kGauge, "celsius", {{"zone"}}, "t"};
constexpr Metric kBytes{
    "test_bytes_total", MetricKind::kCounter, "bytes", {{"disk", "direction"}}, "b"};
constexpr Metric kPlain{"test_plain", MetricKind::kGauge, "", {}, "p"};
constexpr SamplerInfo kSampler{"one", "", false, {}};
constexpr SamplerInfo kOther{"two", "", false, {}};
constexpr SamplerInfo kDerived{"derived", "", false, {}};

TEST(SeriesRegistryTest, OneSeriesHasOneId) {
  SeriesRegistry registry;
  const SeriesId a = registry.Intern(kBytes, {"sda", "in"});
  EXPECT_EQ(registry.Intern(kBytes, {"sda", "in"}), a);
  EXPECT_NE(registry.Intern(kBytes, {"sda", "out"}), a);
  EXPECT_NE(registry.Intern(kBytes, {"sd", "ain"}), a);
  EXPECT_NE(registry.Intern(kTemperature, {"sda"}), a);
  EXPECT_EQ(registry.size(), 4U);
}

TEST(SeriesRegistryTest, AnIdIsNotUsedAgain) {
  SeriesRegistry registry;
  const SeriesId first = registry.Intern(kTemperature, {"a"});
  registry.End(first);
  EXPECT_EQ(registry.Find(first), nullptr);
  EXPECT_EQ(registry.size(), 0U);
  const SeriesId second = registry.Intern(kTemperature, {"a"});
  EXPECT_GT(second, first);
  registry.End(first);  // twice: nothing
  EXPECT_NE(registry.Find(second), nullptr);
}

TEST(SeriesRegistryTest, ASeriesShowsItselfAsPrometheusDoes) {
  SeriesRegistry registry;
  const auto series = registry.Find(registry.Intern(kBytes, {"a\"b\\c\nd", "in"}));
  EXPECT_EQ(series->ToString(), "test_bytes_total{disk=\"a\\\"b\\\\c\\nd\",direction=\"in\"}");
  EXPECT_EQ(series->Label("direction"), "in");
  EXPECT_EQ(series->Label("zone"), "");
  EXPECT_EQ(registry.Find(registry.Intern(kPlain, {}))->ToString(), "test_plain");
}

TEST(SeriesRegistryTest, MetricsOfOneNameHaveSeriesOfTheirOwn) {
  SeriesRegistry registry;
  const std::vector<std::string_view> values{"1"};
  const auto metric = [](const std::string& label) {
    return MakeMetric({"test_plain", MetricKind::kGauge, "", "p", false}, std::vector{label});
  };
  const auto a = metric("a");
  const auto b = metric("b");
  const auto id = registry.Intern(a, values, 9);
  EXPECT_EQ(registry.Intern(a, values, 9), id);
  EXPECT_NE(registry.Intern(b, values, 9), id);
  EXPECT_NE(registry.Intern(kPlain, {}), id);
  EXPECT_EQ(registry.Find(*id)->ToString(), "test_plain{a=\"1\"}");
}

TEST(SeriesRegistryTest, ASeriesKeepsTheMetricThatWasMadeForIt) {
  SeriesRegistry registry;
  auto metric = MakeMetric({"m", MetricKind::kGauge, "", "h", false}, {});
  const std::weak_ptr<const Metric> watch = metric;
  const SeriesId id = *registry.Intern(metric, {}, 9);
  metric.reset();
  std::shared_ptr<const Series> series = registry.Find(id);
  registry.End(id);
  EXPECT_FALSE(watch.expired());
  series.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(SeriesRegistryTest, NewSeriesOfOthersAreBounded) {
  SeriesRegistry registry;
  const auto metric =
      MakeMetric({"m", MetricKind::kGauge, "", "", false}, std::vector<std::string>{"l"});
  const std::vector<std::string_view> one{"1"};
  const std::vector<std::string_view> two{"2"};
  const auto id = registry.Intern(metric, one, 1);
  ASSERT_TRUE(id);
  EXPECT_FALSE(registry.Intern(metric, two, 1));
  EXPECT_EQ(registry.Intern(metric, one, 1), id);
  registry.Intern(kPlain, {});  // one of ours always finds room
  EXPECT_EQ(registry.size(), 2U);
}

TEST(MetricTest, HasUpToSixteenLabels) {
  std::vector<std::string> names;
  for (int i = 0; i < 17; ++i) names.push_back("label" + std::to_string(i));
  const auto metric = MakeMetric({"m", MetricKind::kGauge, "", "", false}, names);
  EXPECT_EQ(metric->labels.size(), 16U);
  EXPECT_EQ(metric->labels.names[15], "label15");
}

TEST(ReadingsTest, WhatIsNotFiniteIsLeftOut) {
  SeriesRegistry registry;
  Readings readings(registry);
  readings.Add(kTemperature, {"a"}, std::nan(""));
  readings.Add(kTemperature, {"b"}, std::numeric_limits<double>::infinity());
  readings.Add(kTemperature, {"c"}, -40);
  ASSERT_EQ(readings.samples.size(), 1U);
  EXPECT_EQ(registry.size(), 1U);
}

class SnapshotTest : public ::testing::Test {
 protected:
  // A frame at the present time, to which runs are added.
  Frame NewFrame() const {
    Frame frame;
    frame.begin = clock.Now();
    frame.end = frame.begin.boot;
    return frame;
  }
  void AddRun(Frame& frame, const SamplerInfo& info, Outcome outcome,
              const std::vector<std::pair<std::string, double>>& zones = {}) {
    SamplerRun run{&info, outcome};
    run.period = seconds(5);
    run.first = frame.samples.size();
    run.count = zones.size();
    for (const auto& [zone, value] : zones) {
      frame.samples.push_back({registry.Intern(kTemperature, {zone}), value});
    }
    frame.runs.push_back(run);
  }
  // A tick of one sampler.
  void Tick(Outcome outcome, const std::vector<std::pair<std::string, double>>& zones = {}) {
    Frame frame = NewFrame();
    AddRun(frame, kSampler, outcome, zones);
    builder.Apply(frame);
    clock.Advance(seconds(5));
  }
  // A tick in which the sampler backs off.
  void TickWithout() {
    builder.Apply(NewFrame());
    clock.Advance(seconds(5));
  }
  const SnapshotValue* Zone(std::string_view zone) {
    return builder.Current().Find(kTemperature, {zone});
  }

  SeriesRegistry registry;
  SnapshotBuilder builder{registry};
  ManualClock clock;
};

TEST_F(SnapshotTest, NothingIsThereBeforeTheFirstFrame) {
  EXPECT_TRUE(builder.Current().values.empty());
  EXPECT_EQ(builder.Current().Find(kTemperature, {"a"}), nullptr);
  EXPECT_TRUE(builder.Current().Family(kTemperature).empty());
}

TEST_F(SnapshotTest, TheFirstValueHasNoRate) {
  Tick(Outcome::kOk, {{"a", 10}});
  ASSERT_NE(Zone("a"), nullptr);
  EXPECT_EQ(Zone("a")->value, 10);
  EXPECT_EQ(Zone("a")->Rate(), std::nullopt);
  EXPECT_EQ(Zone("a")->Increase(), std::nullopt);
}

TEST_F(SnapshotTest, TheRateIsPerSecondOfRealTime) {
  Tick(Outcome::kOk, {{"a", 10}});
  clock.Advance(seconds(5));
  Tick(Outcome::kOk, {{"a", 40}});
  EXPECT_EQ(Zone("a")->Increase(), 30);
  EXPECT_EQ(Zone("a")->Rate(), 3);
}

// Read at the tick before, and again at this one.
TEST_F(SnapshotTest, ALateReadingHasTheRateOfWhenItWasRead) {
  Tick(Outcome::kOk, {{"a", 10}});
  Tick(Outcome::kPending);
  Frame frame = NewFrame();
  AddRun(frame, kSampler, Outcome::kOk, {{"a", 40}});
  frame.runs.back().late = seconds(5);
  builder.Apply(frame);
  EXPECT_EQ(Zone("a")->Rate(), 6);
  clock.Advance(seconds(5));
  Tick(Outcome::kOk, {{"a", 100}});
  EXPECT_EQ(Zone("a")->Rate(), 6);
}

TEST_F(SnapshotTest, AFallHasNoRate) {
  Tick(Outcome::kOk, {{"a", 10}});
  Tick(Outcome::kOk, {{"a", 9}});
  EXPECT_EQ(Zone("a")->Rate(), std::nullopt);
  Tick(Outcome::kOk, {{"a", 14}});
  EXPECT_EQ(Zone("a")->Rate(), 1);
}

TEST_F(SnapshotTest, AnAbsentSeriesLeavesAtOnce) {
  Tick(Outcome::kOk, {{"a", 1}, {"b", 2}});
  Tick(Outcome::kOk, {{"b", 3}});
  EXPECT_EQ(Zone("a"), nullptr);
  ASSERT_NE(Zone("b"), nullptr);
  EXPECT_EQ(Zone("b")->value, 3);
}

TEST_F(SnapshotTest, ThereIsNoRateAcrossAGap) {
  Tick(Outcome::kOk, {{"a", 1}});
  Tick(Outcome::kOk, {{"a", 2}});
  Tick(Outcome::kOk, {});
  Tick(Outcome::kOk, {{"a", 100}});
  EXPECT_EQ(Zone("a")->Rate(), std::nullopt);
  Tick(Outcome::kOk, {{"a", 105}});
  EXPECT_EQ(Zone("a")->Rate(), 1);
}

TEST_F(SnapshotTest, AFailureKeepsTheValueForThreePeriods) {
  Tick(Outcome::kOk, {{"a", 1}});
  for (int i = 0; i < 3; ++i) {
    Tick(Outcome::kFailed);
    ASSERT_NE(Zone("a"), nullptr) << i;
  }
  Tick(Outcome::kFailed);
  EXPECT_EQ(Zone("a"), nullptr);
}

TEST_F(SnapshotTest, AHangKeepsTheValueForThreePeriods) {
  Tick(Outcome::kOk, {{"a", 1}});
  for (int i = 0; i < 3; ++i) {
    Tick(Outcome::kPending);
    ASSERT_NE(Zone("a"), nullptr) << i;
  }
  Tick(Outcome::kPending);
  EXPECT_EQ(Zone("a"), nullptr);
}

TEST_F(SnapshotTest, AValueKeepsItsOwnTimeWhileItIsKept) {
  const BootTime read = clock.Now().boot;
  Tick(Outcome::kOk, {{"a", 1}});
  Tick(Outcome::kPending);
  EXPECT_EQ(Zone("a")->time.boot, read);
  Tick(Outcome::kOk, {{"a", 11}});
  EXPECT_EQ(Zone("a")->Rate(), 1);  // over the ten seconds that really passed
}

TEST_F(SnapshotTest, WhileASamplerBacksOffItsValuesAgeToo) {
  Tick(Outcome::kOk, {{"a", 1}});
  Tick(Outcome::kFailed);
  TickWithout();
  TickWithout();
  ASSERT_NE(Zone("a"), nullptr);
  TickWithout();
  EXPECT_EQ(Zone("a"), nullptr);
}

TEST_F(SnapshotTest, ValuesHoldUntilTheSamplerIsDueAgain) {
  Tick(Outcome::kOk, {{"a", 1}});
  for (int i = 0; i < 20; ++i) TickWithout();
  ASSERT_NE(Zone("a"), nullptr);
  EXPECT_EQ(Zone("a")->value, 1);
}

TEST_F(SnapshotTest, ASamplerThatIsNotDueChangesNothing) {
  Tick(Outcome::kOk, {{"a", 1}});
  Tick(Outcome::kNotDue);
  EXPECT_NE(Zone("a"), nullptr);
}

TEST_F(SnapshotTest, OneSamplerDoesNotTouchWhatAnotherGave) {
  Frame frame = NewFrame();
  AddRun(frame, kSampler, Outcome::kOk, {{"a", 1}});
  AddRun(frame, kOther, Outcome::kOk, {{"b", 2}});
  builder.Apply(frame);
  clock.Advance(seconds(5));
  frame = NewFrame();
  AddRun(frame, kSampler, Outcome::kOk);
  AddRun(frame, kOther, Outcome::kFailed);
  builder.Apply(frame);
  EXPECT_EQ(Zone("a"), nullptr);
  EXPECT_NE(Zone("b"), nullptr);
}

TEST_F(SnapshotTest, ASeriesEndsAfterAnHourOfAbsence) {
  Tick(Outcome::kOk, {{"a", 1}});
  const SeriesId id = registry.Intern(kTemperature, {"a"});
  Tick(Outcome::kOk, {});
  clock.Advance(minutes(59));
  clock.Advance(seconds(45));
  Tick(Outcome::kOk, {});
  EXPECT_NE(registry.Find(id), nullptr);
  Tick(Outcome::kOk, {});
  EXPECT_EQ(registry.Find(id), nullptr);
  Tick(Outcome::kOk, {{"a", 2}});
  ASSERT_NE(Zone("a"), nullptr);
  EXPECT_NE(Zone("a")->series->id, id);
}

TEST_F(SnapshotTest, AReaderKeepsTheSeriesThatEnded) {
  Tick(Outcome::kOk, {{"a", 1}});
  const Snapshot kept = builder.Current();
  Tick(Outcome::kOk, {});
  clock.Advance(hours(2));
  Tick(Outcome::kOk, {});
  EXPECT_EQ(kept.values.at(0).series->labels.at(0), "a");
}

TEST_F(SnapshotTest, ASampleOfAnEndedSeriesIsLeftOut) {
  Frame frame = NewFrame();
  AddRun(frame, kSampler, Outcome::kOk, {{"a", 1}});
  registry.End(frame.samples[0].series);
  builder.Apply(frame);
  EXPECT_TRUE(builder.Current().values.empty());
}

TEST_F(SnapshotTest, FamiliesAreSortedAndFoundByName) {
  Frame frame = NewFrame();
  AddRun(frame, kSampler, Outcome::kOk, {{"b", 1}, {"a", 2}, {"10", 3}});
  frame.samples.push_back({registry.Intern(kPlain, {}), 7});
  frame.samples.push_back({registry.Intern(kBytes, {"sda", "out"}), 8});
  frame.samples.push_back({registry.Intern(kBytes, {"sda", "in"}), 9});
  frame.runs[0].count += 3;
  builder.Apply(frame);
  std::vector<std::string> names;
  for (const SnapshotValue& value : builder.Current().values) {
    names.push_back(value.series->ToString());
  }
  EXPECT_THAT(names, ElementsAre("test_bytes_total{disk=\"sda\",direction=\"in\"}",
                                 "test_bytes_total{disk=\"sda\",direction=\"out\"}",
                                 "test_celsius{zone=\"10\"}", "test_celsius{zone=\"a\"}",
                                 "test_celsius{zone=\"b\"}", "test_plain"));
  EXPECT_EQ(builder.Current().Family(kTemperature).size(), 3U);
  EXPECT_EQ(builder.Current().Family("test_bytes").size(), 0U);
  EXPECT_EQ(builder.Current().Find(kBytes, {"sda", "in"})->value, 9);
  EXPECT_EQ(builder.Current().Find(kBytes, {"sda"}), nullptr);
  EXPECT_EQ(builder.Current().Find(kPlain, {})->value, 7);
}

TEST_F(SnapshotTest, DerivedRunsAreTakenInWithoutTouchingTheOthers) {
  for (int tick = 0; tick < 3; ++tick) {
    Frame frame = NewFrame();
    AddRun(frame, kSampler, Outcome::kOk, {{"a", 10.0 * tick}});
    builder.Apply(frame);
    if (tick > 0) {
      EXPECT_EQ(Zone("derived")->value, tick - 1);  // of the tick before
    }
    AddRun(frame, kDerived, Outcome::kOk, {{"derived", 1.0 * tick}});
    builder.Apply(frame, 1);
    EXPECT_EQ(Zone("derived")->value, tick);
    EXPECT_EQ(Zone("a")->value, 10.0 * tick);
    EXPECT_EQ(Zone("a")->Rate(), tick == 0 ? std::nullopt : std::optional<double>(2));
    EXPECT_EQ(builder.Current().runs.size(), 2U);
    clock.Advance(seconds(5));
  }
}

}  // namespace
}  // namespace idlewatt
