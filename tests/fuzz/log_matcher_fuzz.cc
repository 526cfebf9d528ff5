#include <algorithm>

#include "supervisor/probe/log_matcher.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

// As LogMatcher for one plain pattern, the slow way.
bool HasLineWith(std::string_view output, std::string pattern) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  std::string text(output);
  std::ranges::transform(text, text.begin(), lower);
  std::ranges::transform(pattern, pattern.begin(), lower);
  return text.find(pattern) != std::string::npos;  // a pattern of one line is in one line
}

}  // namespace
}  // namespace idlewatt

// A line with a pattern, then what a service writes; how it is cut into writes does not matter.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  const std::string pattern(input.Line());
  const std::string_view output = input.Rest();
  const bool is_plain = pattern.find_first_of(".[](){}*+?|^$\\\r") == std::string::npos;
  // Other patterns are the operator's, whose cost is that of regcomp; these stand for them.
  Result<LogMatcher> matcher =
      LogMatcher::Create({is_plain ? pattern : "(listening|ready) on .*[0-9]$"});
  if (!matcher) return 0;
  FUZZ_CHECK(!pattern.empty() || !is_plain);
  bool found = false;
  for (size_t at = 0, piece = 1; at < output.size(); at += piece, piece = piece * 3 % 101) {
    const auto line = matcher->Feed(output.substr(at, piece));
    if (line) FUZZ_CHECK(line->size() <= 3 * LogMatcher::kShownBytes);
    found = found || line.has_value();
  }
  if (is_plain && pattern.size() <= LogMatcher::kOverlapBytes) {
    FUZZ_CHECK(found == HasLineWith(output, pattern));
  }
  return 0;
}
