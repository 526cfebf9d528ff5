// Parser of the Prometheus text format 0.0.4, as it stands in *.prom files. A pure function; it is
// a fuzz target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace idlewatt {

enum class PromType { kUntyped, kCounter, kGauge, kHistogram, kSummary };
// "untyped", "counter", ...
std::string_view PromTypeName(PromType type);

struct PromSample {
  std::string name;  // of its family, or that with _bucket, _sum or _count
  // Sorted by name; a label with an empty value is as good as none and left out.
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;  // may be infinite or not a number
  std::optional<int64_t> timestamp_ms;
  size_t line = 0;  // from 1
};

struct PromFamily {
  std::string name;
  PromType type = PromType::kUntyped;
  std::string help;
  std::vector<PromSample> samples;  // in the order of the text; may be empty
};

inline constexpr size_t kMaxPromBytes = size_t{4} << 20;
inline constexpr size_t kMaxPromSamples = 10'000;
inline constexpr size_t kMaxPromLabels = 16;

// All families, in the order in which they are met first. Strict as promtool and node_exporter:
// every line ends with a line feed, also the last one, so that a file that is only half written is
// seen as such; a carriage return is an error; HELP and TYPE stand once, TYPE before the samples;
// histograms and summaries have the samples that belong to them and no others. More lenient in one
// thing, as the description of the format is: blanks at the end of a line.
// Errors: kParse with "SOURCE:LINE" as its subject; kInvalid above one of the limits.
Result<std::vector<PromFamily>> ParsePromText(std::string_view text, std::string_view source);

}  // namespace idlewatt
