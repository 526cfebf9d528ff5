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

TEST_F(RenderMetricsTest, HelpIsEscaped) {
  Add(Untyped("x", "a\nb\\n \"c\"", {}), {}, 1);
  EXPECT_THAT(Text(), EndsWith("# HELP x a\\nb\\\\n \"c\"\n# TYPE x untyped\nx 1\n"));
}

}  // namespace
}  // namespace idlewatt
