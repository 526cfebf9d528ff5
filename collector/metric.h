#pragma once

#include <algorithm>
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
  // The histogram that it is a part of; empty: none. See Histogram.
  std::string_view histogram{};
};

// The same metric, of whose values ring and history keep so many decimals.
constexpr Metric WithDecimals(Metric metric, int decimals) {
  metric.decimals = decimals;
  return metric;
}

// A histogram: declared once, as a Metric is, by MakeHistogram. Ring, history and API know its
// parts, three counters named as Prometheus has them; /metrics and exports put them together again.
// Readings::Add takes its values.
struct Histogram {
  Metric bucket;  // how many were at most `le`, the last of its labels
  Metric sum;     // in the unit of the histogram
  Metric count;
};

namespace detail {

// A text that can be the argument of a template, so that what is made of it has static storage.
template <size_t size>
struct Literal {
  consteval Literal(const char (&literal)[size]) { std::copy_n(literal, size, text.begin()); }
  std::array<char, size> text{};  // its NUL too
};

template <Literal first, Literal second>
inline constexpr auto kJoined = [] {
  std::array<char, first.text.size() + second.text.size() - 2> joined{};
  std::copy_n(second.text.begin(), second.text.size() - 1,
              std::copy_n(first.text.begin(), first.text.size() - 1, joined.begin()));
  return joined;
}();

template <Literal first, Literal second = "">
constexpr std::string_view Joined() {
  return {kJoined<first, second>.data(), kJoined<first, second>.size()};
}

}  // namespace detail

template <detail::Literal name>
consteval Histogram MakeHistogram(std::string_view unit, const LabelNames& labels,
                                  std::string_view help) {
  using detail::Joined;
  Metric part{"", MetricKind::kCounter, "", labels, help};
  part.histogram = Joined<name>();
  Histogram histogram{part, part, part};
  histogram.bucket.name = Joined<name, "_bucket">();
  histogram.bucket.labels.names[labels.size()] = "le";
  histogram.sum.name = Joined<name, "_sum">();
  histogram.sum.unit = unit;
  histogram.count.name = Joined<name, "_count">();
  return histogram;
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
