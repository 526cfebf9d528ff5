#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"

struct re_pattern_buffer;

namespace idlewatt {

namespace detail {
struct RegexDeleter {
  void operator()(re_pattern_buffer* regex) const;
};
}  // namespace detail

// A regular expression of a user: POSIX extended syntax of at most 256 bytes, without {n,m} and
// back references and with at most four +. What is left needs little time and memory, so that
// neither a request nor a configuration can hurt. Threads: one at a time.
class Regex {
 public:
  enum class Case { kExact, kIgnored };
  // kInvalid with the reason.
  static Result<Regex> Compile(std::string_view pattern, Case letters = Case::kExact);

  // The whole text, or any part of it.
  bool Matches(std::string_view text) const;
  bool IsFoundIn(std::string_view text) const;
  // In a part of a text: ^ and $ stand for its ends only where the part begins and ends the text.
  bool IsFoundInPart(std::string_view part, bool begins, bool ends) const;

 private:
  std::unique_ptr<re_pattern_buffer, detail::RegexDeleter> regex_;
};

}  // namespace idlewatt
