#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace idlewatt {

enum class MetricKind { kGauge, kCounter };

// Label names in the order in which a series gives their values; at most kMost.
struct LabelNames {
  static constexpr size_t kMost = 16;
  std::array<std::string_view, kMost> names{};
  constexpr size_t size() const {
    size_t count = 0;
    while (count < names.size() && !names[count].empty()) ++count;
    return count;
  }
};

// One metric family. Declared once, as a constant with static storage; `# HELP`, JSON and
// docs/metrics.md come from it. What is only known while the daemon runs is a MakeMetric.
struct Metric {
  std::string_view name;  // Prometheus form, counters end in _total
  MetricKind kind = MetricKind::kGauge;
  std::string_view unit;  // "celsius", "bytes", ...; empty for a plain number
  LabelNames labels;
  std::string_view help;
  // Shown by /metrics without a type; `kind` still says how its values are read.
  bool untyped = false;
  // How many decimals ring and history keep of its values; nothing: as its unit says. What a sensor
  // or a clock gives beyond them is noise, and noise can't be made smaller on the disk.
  std::optional<int> decimals = std::nullopt;
};

// The same metric, of whose values ring and history keep so many decimals.
constexpr Metric WithDecimals(Metric metric, int decimals) {
  metric.decimals = decimals;
  return metric;
}

// The decimals that ring and history keep of this metric; nothing: all.
std::optional<int> DecimalsOf(const Metric& metric);

// What a metric of the running daemon is made of.
struct MetricParts {
  std::string name;
  MetricKind kind = MetricKind::kGauge;
  std::string unit;
  std::string help;
  bool untyped = false;
};

// A metric that owns its strings; its series share it, so that it lives as long as the last of
// them. Two that are made of the same parts are two metrics, with series of their own: make one
// and keep it. At most LabelNames::kMost `labels`; the rest is left out.
std::shared_ptr<const Metric> MakeMetric(MetricParts parts, std::span<const std::string> labels);

}  // namespace idlewatt
