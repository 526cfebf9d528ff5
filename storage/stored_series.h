#pragma once

#include <cstdint>
#include <string>

#include "collector/labels.h"
#include "collector/metric.h"
#include "storage/point.h"

namespace idlewatt {

// What tells a series from others, in a database and everywhere outside of one run of the daemon.
struct SeriesName {
  std::string metric;  // Prometheus name
  Labels labels;
  auto operator<=>(const SeriesName&) const = default;
};

// A row of the table `series`.
struct StoredSeries {
  int64_t id = 0;
  SeriesName name;
  MetricKind kind = MetricKind::kGauge;
  std::string unit;
};

// What is known of metrics that belong together, as OpenMetrics has it. A row of `metric_family`.
struct MetricFamily {
  std::string name;  // a counter's without _total
  std::string type;  // gauge, counter, histogram, …
  std::string unit;
  std::string help;
};

}  // namespace idlewatt
