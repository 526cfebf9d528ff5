#include "supervisor/probe/log_matcher.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/text.h"

namespace idlewatt {
namespace {

// Of ASCII alone, as regexec's in the locale "C".
char Fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool IsPlain(std::string_view pattern) {
  return pattern.find_first_of(".[](){}*+?|^$\\") == std::string_view::npos;
}

size_t LineEnd(std::string_view text) {
  const size_t newline = text.find('\n');
  return std::min(newline, text.substr(0, newline).find('\r'));
}

std::string Shown(std::string_view line) {
  return ToValidUtf8(Trim(Trim(line).substr(0, LogMatcher::kShownBytes)));
}

}  // namespace

Result<LogMatcher> LogMatcher::Create(const std::vector<std::string>& patterns) {
  LogMatcher matcher;
  for (const std::string& pattern : patterns) {
    if (pattern.empty()) return Error{ErrorCode::kInvalid, "log_pattern", 0, "a pattern is empty"};
    if (IsPlain(pattern)) {
      std::ranges::transform(pattern, std::back_inserter(matcher.plain_.emplace_back()), Fold);
    } else {
      ASSIGN_OR_RETURN(Regex regex, Regex::Compile(pattern, Regex::Case::kIgnored));
      matcher.regexes_.push_back(std::move(regex));
    }
  }
  return matcher;
}

std::optional<std::string> LogMatcher::Feed(std::string_view data) {
  regexes_until_ = std::chrono::steady_clock::now() + kRegexTime;
  while (!data.empty()) {
    const std::string_view piece = data.substr(0, kPieceBytes - line_.size());
    const size_t end = LineEnd(piece);
    const bool has_end = end != std::string_view::npos;
    line_ += piece.substr(0, end);
    data.remove_prefix(has_end ? end + 1 : piece.size());
    if (HasPlain(line_) || MatchesRegex(line_, has_end)) return Shown(line_);
    if (has_end) {
      line_.clear();
      line_is_cut_ = false;
    } else if (line_.size() == kPieceBytes) {
      line_.erase(0, kPieceBytes - kOverlapBytes);
      line_is_cut_ = true;
    }
  }
  return std::nullopt;
}

bool LogMatcher::HasPlain(std::string_view line) {
  if (plain_.empty()) return false;
  folded_.resize(line.size());
  std::ranges::transform(line, folded_.begin(), Fold);
  return std::ranges::any_of(plain_, [&](const std::string& pattern) {
    return ::memmem(folded_.data(), folded_.size(), pattern.data(), pattern.size()) != nullptr;
  });
}

bool LogMatcher::MatchesRegex(std::string_view line, bool has_end) const {
  if (regexes_.empty() || std::chrono::steady_clock::now() >= regexes_until_) return false;
  return std::ranges::any_of(regexes_, [&](const Regex& regex) {
    return regex.IsFoundInPart(line, /*begins=*/!line_is_cut_, /*ends=*/has_end);
  });
}

}  // namespace idlewatt
