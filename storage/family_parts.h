#pragma once

#include <array>
#include <string_view>

#include "collector/metric.h"

namespace idlewatt {

// A sample that a family of this type has, named as the family with `suffix` behind it.
struct FamilyPart {
  std::string_view type;
  std::string_view suffix;
  MetricKind kind = MetricKind::kGauge;
  bool has_unit = false;  // its values are in the unit of the family, not a number or a time
};

// Where the name of a sample is not that of its family; by the table of OpenMetrics 1.0.
inline constexpr std::array<FamilyPart, 13> kFamilyParts{{
    {"counter", "_total", MetricKind::kCounter, true},
    {"counter", "_created", MetricKind::kGauge, false},
    {"histogram", "_bucket", MetricKind::kCounter, false},
    {"histogram", "_count", MetricKind::kCounter, false},
    {"histogram", "_sum", MetricKind::kCounter, true},
    {"histogram", "_created", MetricKind::kGauge, false},
    {"summary", "_count", MetricKind::kCounter, false},
    {"summary", "_sum", MetricKind::kCounter, true},
    {"summary", "_created", MetricKind::kGauge, false},
    {"gaugehistogram", "_bucket", MetricKind::kGauge, false},
    {"gaugehistogram", "_gcount", MetricKind::kGauge, false},
    {"gaugehistogram", "_gsum", MetricKind::kGauge, true},
    {"info", "_info", MetricKind::kGauge, false},
}};

// The kind of a sample of which nothing but the name is known.
constexpr MetricKind KindByName(std::string_view name) {
  return name.ends_with("_total") || name.ends_with("_bucket") ? MetricKind::kCounter
                                                               : MetricKind::kGauge;
}

}  // namespace idlewatt
