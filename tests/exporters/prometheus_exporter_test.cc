#include "exporters/prometheus_exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/slot.h"

namespace idlewatt {
namespace {

using testing::EndsWith;

constexpr Metric kGauge{"test_watts", MetricKind::kGauge, "watts", {{"source"}}, "Power"};
constexpr Metric kCounter{"test_joules_total", MetricKind::kCounter, "joules", {}, "Energy"};

// A snapshot of series in the order in which they are added.
class RenderMetricsTest : public ::testing::Test {
 protected:
  void Add(std::shared_ptr<const Metric> metric, std::vector<std::string> labels, double value) {
    const Metric* const address = metric.get();
    Add(Series{0, address, std::move(labels), std::move(metric)}, value);
  }
  void Add(Series series, double value) {
    SnapshotValue& added = snapshot.values.emplace_back();
    added.series = std::make_shared<const Series>(std::move(series));
    added.value = value;
  }
  std::string Text() const {
    Slot<Snapshot> slot;
    slot.Publish(std::make_shared<const Snapshot>(snapshot));
    return RenderMetrics(SnapshotCollectable(slot));
  }
  static std::shared_ptr<const Metric> Untyped(const std::string& name, const std::string& help,
                                               const std::vector<std::string>& labels) {
    return MakeMetric({name, MetricKind::kCounter, "", help, true}, labels);
  }

  Snapshot snapshot;
};

TEST_F(RenderMetricsTest, GaugesAndCountersHaveTheirTypes) {
  Add(Series{0, &kCounter, {}, nullptr}, 7);
  Add(Series{0, &kGauge, {"a\"b\\c\nd"}, nullptr}, 1.5);
  EXPECT_THAT(Text(), EndsWith("# HELP test_joules_total Energy\n# TYPE test_joules_total counter\n"
                               "test_joules_total 7\n"
                               "# HELP test_watts Power\n# TYPE test_watts gauge\n"
                               "test_watts{source=\"a\\\"b\\\\c\\nd\"} 1.5\n"));
}

TEST_F(RenderMetricsTest, WhatHasNoTypeIsUntyped) {
  Add(Untyped("x_bucket", "Buckets", {"le"}), {"0.5"}, 3);
  EXPECT_THAT(Text(), EndsWith("# HELP x_bucket Buckets\n# TYPE x_bucket untyped\n"
                               "x_bucket{le=\"0.5\"} 3\n"));
}

TEST_F(RenderMetricsTest, MetricsOfOneNameAreOneFamily) {
  Add(Untyped("x", "First", {"a"}), {"1"}, 1);
  Add(Untyped("x", "Second", {"b", "c"}), {"1", "2"}, 2);
  EXPECT_THAT(Text(), EndsWith("# HELP x First\n# TYPE x untyped\n"
                               "x{a=\"1\"} 1\nx{b=\"1\",c=\"2\"} 2\n"));
}

constexpr Histogram kTimes = MakeHistogram<"test_seconds">("seconds", {{"who"}}, "Times");

TEST_F(RenderMetricsTest, PartsOfAHistogramAreOneFamily) {
  // In the order of a snapshot: by name, and by label as text.
  for (const char* who : {"a", "b"}) {
    Add(Series{0, &kTimes.bucket, {who, "+Inf"}, nullptr}, 9);
    Add(Series{0, &kTimes.bucket, {who, "10"}, nullptr}, 7);
    Add(Series{0, &kTimes.bucket, {who, "2.5"}, nullptr}, 5);
  }
  Add(Series{0, &kTimes.count, {"a"}, nullptr}, 9);
  Add(Series{0, &kTimes.count, {"b"}, nullptr}, 9);
  Add(Series{0, &kGauge, {"x"}, nullptr}, 1);
  Add(Series{0, &kTimes.sum, {"a"}, nullptr}, 0.1);
  Add(Series{0, &kTimes.sum, {"b"}, nullptr}, 0.2);
  EXPECT_THAT(Text(), EndsWith("# HELP test_watts Power\n# TYPE test_watts gauge\n"
                               "test_watts{source=\"x\"} 1\n"
                               "# HELP test_seconds Times\n# TYPE test_seconds histogram\n"
                               "test_seconds_count{who=\"a\"} 9\n"
                               "test_seconds_sum{who=\"a\"} 0.1\n"
                               "test_seconds_bucket{who=\"a\",le=\"2.5\"} 5\n"
                               "test_seconds_bucket{who=\"a\",le=\"10\"} 7\n"
                               "test_seconds_bucket{who=\"a\",le=\"+Inf\"} 9\n"
                               "test_seconds_count{who=\"b\"} 9\n"
                               "test_seconds_sum{who=\"b\"} 0.2\n"
                               "test_seconds_bucket{who=\"b\",le=\"2.5\"} 5\n"
                               "test_seconds_bucket{who=\"b\",le=\"10\"} 7\n"
                               "test_seconds_bucket{who=\"b\",le=\"+Inf\"} 9\n"));
}

TEST_F(RenderMetricsTest, HistogramWithoutLabelsIsOneToo) {
  static constexpr Histogram kPlain = MakeHistogram<"test_bytes">("bytes", {}, "Sizes");
  Add(Series{0, &kPlain.bucket, {"+Inf"}, nullptr}, 3);
  Add(Series{0, &kPlain.count, {}, nullptr}, 3);
  Add(Series{0, &kPlain.sum, {}, nullptr}, 7);
  EXPECT_THAT(Text(), EndsWith("# HELP test_bytes Sizes\n# TYPE test_bytes histogram\n"
                               "test_bytes_count 3\ntest_bytes_sum 7\n"
                               "test_bytes_bucket{le=\"+Inf\"} 3\n"));
}

TEST_F(RenderMetricsTest, HelpIsEscaped) {
  Add(Untyped("x", "a\nb\\n \"c\"", {}), {}, 1);
  EXPECT_THAT(Text(), EndsWith("# HELP x a\\nb\\\\n \"c\"\n# TYPE x untyped\nx 1\n"));
}

}  // namespace
}  // namespace idlewatt
