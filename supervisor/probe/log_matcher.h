#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/regex.h"
#include "base/result.h"

namespace idlewatt {

// Looks for patterns in what a service writes, case ignored. A pattern without any of the
// characters . [ ] ( ) { } * + ? | ^ $ \ is searched as it is; others are regular expressions as of
// base/regex.h. A line ends with '\n' or '\r' (progress bars). One without its end matches as soon
// as it does, but for `$`, which waits for the end. A longer line is looked at in pieces of
// kPieceBytes, each with the last kOverlapBytes of the one before, so that only longer matches can
// be missed.
// An expression can need the square of a piece. The expressions of one call of Feed get kRegexTime,
// and lines after that are searched for plain patterns only, so that no flood holds up the loop.
// Threads: one.
class LogMatcher {
 public:
  // kInvalid, with the pattern in the subject, for one that is none.
  static Result<LogMatcher> Create(const std::vector<std::string>& patterns);

  // The line in which a pattern is found, valid UTF-8 and at most kShownBytes before that.
  // `data` is what was written next.
  std::optional<std::string> Feed(std::string_view data);

  static constexpr size_t kPieceBytes = 2048;
  static constexpr size_t kOverlapBytes = 512;
  static constexpr size_t kShownBytes = 200;
  static constexpr std::chrono::milliseconds kRegexTime{20};

 private:
  LogMatcher() = default;
  bool HasPlain(std::string_view line);
  bool MatchesRegex(std::string_view line, bool has_end) const;

  std::vector<std::string> plain_;  // lower case
  std::vector<Regex> regexes_;
  std::string line_;          // the one that has no end yet, or its last piece
  bool line_is_cut_ = false;  // its beginning is not in line_
  std::string folded_;        // the line in lower case: kept for its capacity
  std::chrono::steady_clock::time_point regexes_until_;  // in Feed
};

}  // namespace idlewatt
