#include "collector/selector.h"

#include <algorithm>
#include <utility>

namespace idlewatt {
namespace {

constexpr size_t kMaxText = 4096;
constexpr size_t kMaxMatchers = 16;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Walks over the text of a selector.
class SelectorParser {
 public:
  explicit SelectorParser(std::string_view text) : text_(text) {}

  Error Expected(std::string_view what) const {
    return {ErrorCode::kInvalid, "selector", 0,
            "expected " + std::string(what) + " at position " + std::to_string(at_ + 1)};
  }
  bool AtEnd() {
    SkipBlanks();
    return at_ == text_.size();
  }
  bool Take(std::string_view token) {
    SkipBlanks();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  // Empty when there is none. Only metric names may hold colons.
  std::string TakeName(bool colon_allowed) {
    SkipBlanks();
    const size_t start = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool fits = IsLetter(c) || (colon_allowed && c == ':') || (at_ > start && IsDigit(c));
      if (!fits) break;
      ++at_;
    }
    return std::string(text_.substr(start, at_ - start));
  }
  Result<std::string> TakeQuoted();
  Result<LabelMatcher> TakeMatcher();

 private:
  void SkipBlanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
};

Result<std::string> SelectorParser::TakeQuoted() {
  if (!Take("\"")) return Expected("a value in double quotes");
  std::string value;
  for (; at_ < text_.size(); ++at_) {
    char c = text_[at_];
    if (c == '"') {
      ++at_;
      return value;
    }
    if (c == '\\') {
      if (++at_ == text_.size()) break;
      c = text_[at_];
      if (c != '\\' && c != '"' && c != 'n') {
        return Expected("\\\\, \\\" or \\n (write \\\\ for one backslash)");
      }
      if (c == 'n') c = '\n';
    }
    value += c;
  }
  return Expected("a closing double quote");
}

Result<LabelMatcher> SelectorParser::TakeMatcher() {
  using Kind = LabelMatcher::Kind;
  LabelMatcher matcher;
  matcher.label = TakeName(false);
  if (matcher.label.empty()) return Expected("a label name");
  if (Take("=~")) {
    matcher.kind = Kind::kMatches;
  } else if (Take("!~")) {
    matcher.kind = Kind::kMatchesNot;
  } else if (Take("!=")) {
    matcher.kind = Kind::kNotEqual;
  } else if (!Take("=")) {
    return Expected("=, !=, =~ or !~");
  }
  ASSIGN_OR_RETURN(matcher.value, TakeQuoted());
  if (matcher.kind == Kind::kMatches || matcher.kind == Kind::kMatchesNot) {
    ASSIGN_OR_RETURN(Regex pattern, Regex::Compile(matcher.value));
    matcher.pattern = std::make_shared<const Regex>(std::move(pattern));
  }
  return matcher;
}

}  // namespace

bool LabelMatcher::Matches(const Labels& labels) const {
  const auto found = std::find_if(labels.begin(), labels.end(),
                                  [this](const auto& pair) { return pair.first == label; });
  const std::string_view actual = found == labels.end() ? std::string_view() : found->second;
  switch (kind) {
    case Kind::kEqual:
      return actual == value;
    case Kind::kNotEqual:
      return actual != value;
    case Kind::kMatches:
      return pattern->Matches(actual);
    case Kind::kMatchesNot:
      return !pattern->Matches(actual);
  }
  return false;
}

Result<Selector> Selector::Parse(std::string_view text) {
  if (text.size() > kMaxText) {
    return Error{ErrorCode::kInvalid, "selector", 0, "longer than 4,096 bytes"};
  }
  SelectorParser parser(text);
  Selector selector;
  selector.metric_ = parser.TakeName(true);
  if (selector.metric_.empty()) return parser.Expected("a metric name");
  if (parser.AtEnd()) return selector;
  if (!parser.Take("{")) return parser.Expected("{ or the end");
  while (!parser.Take("}")) {
    if (selector.matchers_.size() == kMaxMatchers) return parser.Expected("} after 16 matchers");
    ASSIGN_OR_RETURN(LabelMatcher matcher, parser.TakeMatcher());
    selector.matchers_.push_back(std::move(matcher));
    if (parser.Take(",")) continue;
    if (!parser.Take("}")) return parser.Expected(", or }");
    break;
  }
  if (!parser.AtEnd()) return parser.Expected("the end");
  return selector;
}

bool Selector::MatchesLabels(const Labels& labels) const {
  return std::all_of(matchers_.begin(), matchers_.end(),
                     [&labels](const LabelMatcher& matcher) { return matcher.Matches(labels); });
}

}  // namespace idlewatt
