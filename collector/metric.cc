#include "collector/metric.h"

#include <algorithm>
#include <utility>

namespace idlewatt {
namespace {

// Of metrics of other programs nothing is known: all decimals are kept.
constexpr int kEveryDecimal = 99;

// The metric holds views of the strings beside it: made in place, and never copied or moved.
struct OwnedMetric {
  OwnedMetric(MetricParts metric_parts, std::span<const std::string> names)
      : parts(std::move(metric_parts)) {
    metric = {parts.name, parts.kind, parts.unit, {}, parts.help, parts.untyped, kEveryDecimal};
    for (size_t i = 0; i < std::min(names.size(), labels.size()); ++i) {
      labels[i] = names[i];
      metric.labels.names[i] = labels[i];
    }
  }
  OwnedMetric(const OwnedMetric&) = delete;
  OwnedMetric& operator=(const OwnedMetric&) = delete;

  const MetricParts parts;
  std::array<std::string, LabelNames::kMost> labels;
  Metric metric;
};

struct UnitDecimals {
  std::string_view unit;
  int decimals;
};
// A tenth of a millisecond of CPU time, a millijoule, a milliwatt, a thousandth of a degree.
constexpr std::array kUnitDecimals{
    UnitDecimals{"seconds", 4}, UnitDecimals{"joules", 3}, UnitDecimals{"watts", 3},
    UnitDecimals{"celsius", 3}, UnitDecimals{"ratio", 4},
};
}  // namespace

std::optional<int> DecimalsOf(const Metric& metric) {
  if (metric.decimals == kEveryDecimal) return std::nullopt;
  if (metric.decimals) return metric.decimals;
  for (const auto& [unit, decimals] : kUnitDecimals) {
    if (metric.unit == unit) return decimals;
  }
  return std::nullopt;
}

std::shared_ptr<const Metric> MakeMetric(MetricParts parts, std::span<const std::string> labels) {
  const auto owned = std::make_shared<const OwnedMetric>(std::move(parts), labels);
  return {owned, &owned->metric};
}

}  // namespace idlewatt
