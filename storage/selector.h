#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/labels.h"

struct re_pattern_buffer;

namespace idlewatt {

namespace detail {
struct RegexDeleter {
  void operator()(re_pattern_buffer* regex) const;
};
}  // namespace detail

// A compiled regular expression that matches only a whole text, as in Prometheus.
// POSIX extended syntax of at most 256 bytes, without {n,m} and back references and with at most
// four +: what is left needs little time and memory, so that a request can't hurt.
// Threads: one.
class LabelPattern {
 public:
  // kInvalid with the reason.
  static Result<LabelPattern> Compile(std::string_view pattern);
  bool Matches(std::string_view text) const;

 private:
  std::unique_ptr<re_pattern_buffer, detail::RegexDeleter> regex_;
};

struct LabelMatcher {
  enum class Kind { kEqual, kNotEqual, kMatches, kMatchesNot };
  std::string label;
  Kind kind = Kind::kEqual;
  std::string value;
  std::shared_ptr<const LabelPattern> pattern;  // for kMatches and kMatchesNot

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
