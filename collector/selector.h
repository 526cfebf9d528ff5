#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"
#include "base/result.h"
#include "collector/labels.h"

namespace idlewatt {

struct LabelMatcher {
  enum class Kind { kEqual, kNotEqual, kMatches, kMatchesNot };
  std::string label;
  Kind kind = Kind::kEqual;
  std::string value;
  // For kMatches and kMatchesNot: of the whole value, as in Prometheus.
  std::shared_ptr<const Regex> pattern;

  bool Matches(const Labels& labels) const;
};

// Which series are meant: METRIC or METRIC{label="value",other!="…",third=~"…",fourth!~"…"}.
// A label that a series does not have counts as empty.
// Threads: one at a time.
class Selector {
 public:
  // kInvalid with the position (bytes, from 1) and what is expected there. At most 4,096 bytes
  // and 16 matchers.
  static Result<Selector> Parse(std::string_view text);

  const std::string& metric() const { return metric_; }
  bool MatchesLabels(const Labels& labels) const;
  bool Matches(const Series& series) const {
    return series.metric->name == metric_ && (matchers_.empty() || MatchesLabels(LabelsOf(series)));
  }

 private:
  std::string metric_;
  std::vector<LabelMatcher> matchers_;
};

}  // namespace idlewatt
