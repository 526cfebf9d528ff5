#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace idlewatt {

enum class MetricKind { kGauge, kCounter };

// Label names in the order in which a series gives their values; at most four.
struct LabelNames {
  std::array<std::string_view, 4> names{};
  constexpr size_t size() const {
    size_t count = 0;
    while (count < names.size() && !names[count].empty()) ++count;
    return count;
  }
};

// One metric family. Declared once, as a constant with static storage; `# HELP`, JSON and
// docs/metrics.md come from it.
struct Metric {
  std::string_view name;  // Prometheus form, counters end in _total
  MetricKind kind = MetricKind::kGauge;
  std::string_view unit;  // "celsius", "bytes", ...; empty for a plain number
  LabelNames labels;
  std::string_view help;
};

}  // namespace idlewatt
