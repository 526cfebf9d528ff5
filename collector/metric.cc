#include "collector/metric.h"

#include <algorithm>
#include <utility>

namespace idlewatt {
namespace {

// The metric holds views of the strings beside it: made in place, and never copied or moved.
struct OwnedMetric {
  OwnedMetric(MetricParts metric_parts, std::span<const std::string> names)
      : parts(std::move(metric_parts)) {
    metric = {parts.name, parts.kind, parts.unit, {}, parts.help, parts.untyped};
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

}  // namespace

std::shared_ptr<const Metric> MakeMetric(MetricParts parts, std::span<const std::string> labels) {
  const auto owned = std::make_shared<const OwnedMetric>(std::move(parts), labels);
  return {owned, &owned->metric};
}

}  // namespace idlewatt
