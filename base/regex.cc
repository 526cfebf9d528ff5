#include "base/regex.h"

#include <regex.h>

#include <array>
#include <string>
#include <utility>

namespace idlewatt {
namespace {

constexpr size_t kMaxPattern = 256;
constexpr int kMaxPluses = 4;

// glibc spends exponential time on back references and memory on nested intervals and pluses: it
// turns X+ into XX*, so that each plus can double what it has made of the pattern so far.
bool IsCostly(std::string_view pattern) {
  int pluses = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '{') return true;
    if (pattern[i] == '+' && ++pluses > kMaxPluses) return true;
    if (pattern[i] == '\\' && ++i < pattern.size() && pattern[i] >= '0' && pattern[i] <= '9') {
      return true;
    }
  }
  return false;
}

}  // namespace

void detail::RegexDeleter::operator()(re_pattern_buffer* regex) const {
  regfree(regex);
  delete regex;
}

Result<Regex> Regex::Compile(std::string_view pattern, Case letters) {
  auto refuse = [&pattern](std::string why) {
    return Error{ErrorCode::kInvalid, "regular expression \"" + std::string(pattern) + "\"", 0,
                 std::move(why)};
  };
  if (pattern.size() > kMaxPattern) {
    return Error{ErrorCode::kInvalid, "regular expression", 0, "longer than 256 bytes"};
  }
  if (pattern.find('\0') != std::string_view::npos) return refuse("holds a NUL byte");
  if (IsCostly(pattern)) {
    return refuse("{n,m}, back references and more than 4 of + are not supported");
  }
  auto compiled = std::make_unique<regex_t>();
  const int flags = REG_EXTENDED | (letters == Case::kIgnored ? REG_ICASE : 0);
  const int code = regcomp(compiled.get(), std::string(pattern).c_str(), flags);
  if (code != 0) {
    std::array<char, 128> message{};
    regerror(code, compiled.get(), message.data(), message.size());
    return refuse(message.data());
  }
  Regex result;
  result.regex_.reset(compiled.release());
  return result;
}

bool Regex::Matches(std::string_view text) const {
  // The leftmost match, of these the longest.
  regmatch_t match{0, static_cast<regoff_t>(text.size())};
  return regexec(regex_.get(), text.empty() ? "" : text.data(), 1, &match, REG_STARTEND) == 0 &&
         match.rm_so == 0 && match.rm_eo == static_cast<regoff_t>(text.size());
}

bool Regex::IsFoundIn(std::string_view text) const { return IsFoundInPart(text, true, true); }

bool Regex::IsFoundInPart(std::string_view part, bool begins, bool ends) const {
  // REG_STARTEND: a text may hold NULs. It is read from `range` even where 0 matches are asked for,
  // which ends the search at the first one, however long.
  regmatch_t range{0, static_cast<regoff_t>(part.size())};
  const int flags = REG_STARTEND | (begins ? 0 : REG_NOTBOL) | (ends ? 0 : REG_NOTEOL);
  return regexec(regex_.get(), part.empty() ? "" : part.data(), 0, &range, flags) == 0;
}

}  // namespace idlewatt
