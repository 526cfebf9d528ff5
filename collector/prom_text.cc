#include "collector/prom_text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "base/text.h"

namespace idlewatt {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string ToLower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), Lower);
  return out;
}

// A piece of the text as an error shows it.
std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  return "\"" + ToValidUtf8(text.substr(0, kShown)) + (text.size() > kShown ? "…\"" : "\"");
}

// What a line still holds.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : rest_(line) {}

  std::string_view rest() const { return rest_; }
  bool AtEnd() const { return rest_.empty(); }
  bool AtBlank() const { return !AtEnd() && IsBlank(rest_[0]); }
  void SkipBlanks() {
    while (AtBlank()) rest_.remove_prefix(1);
  }
  bool Take(char c) {
    if (AtEnd() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Up to the next blank; empty at the end.
  std::string_view TakeWord() {
    return TakeFirst(
        static_cast<size_t>(std::find_if(rest_.begin(), rest_.end(), IsBlank) - rest_.begin()));
  }
  // The name of a metric or a label; empty when none stands here.
  std::string_view TakeName(bool colon_allowed) {
    size_t size = 0;
    while (size < rest_.size() && (IsLetter(rest_[size]) || (colon_allowed && rest_[size] == ':') ||
                                   (size > 0 && IsDigit(rest_[size])))) {
      ++size;
    }
    return TakeFirst(size);
  }

 private:
  std::string_view TakeFirst(size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
};

// As Go reads it: decimal, "Inf" and "NaN" in any case, a sign before all but NaN. Nothing for a
// number that a double cannot hold.
std::optional<double> ParseValue(std::string_view word) {
  const std::string_view whole = word;
  if (word.starts_with('+')) word.remove_prefix(1);
  const std::string_view digits = word.starts_with('-') && whole == word ? word.substr(1) : word;
  const std::string name = digits.size() <= 8 ? ToLower(digits) : "";
  if (name == "nan" && digits == whole) return std::numeric_limits<double>::quiet_NaN();
  if (name == "inf" || name == "infinity") {
    const double infinity = std::numeric_limits<double>::infinity();
    return digits.size() == word.size() ? infinity : -infinity;
  }
  if (digits.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  if (digits.empty() || !(IsDigit(digits[0]) || digits[0] == '.')) return std::nullopt;
  return ParseNumber<double>(word);
}

constexpr std::array<std::string_view, 5> kTypeNames{"untyped", "counter", "gauge", "histogram",
                                                     "summary"};

std::optional<PromType> TypeOf(std::string_view word) {
  const std::string name = ToLower(word);
  const auto* const found = std::find(kTypeNames.begin(), kTypeNames.end(), name);
  if (found == kTypeNames.end()) return std::nullopt;
  return static_cast<PromType>(found - kTypeNames.begin());
}

class PromParser {
 public:
  explicit PromParser(std::string_view source) : source_(source) {}

  Result<std::vector<PromFamily>> Parse(std::string_view text) {
    if (text.size() > kMaxPromBytes) {
      return Error{ErrorCode::kInvalid, std::string(source_), 0, "is larger than 4 MiB"};
    }
    while (!text.empty()) {
      ++line_;
      const size_t end = text.find('\n');
      if (end == std::string_view::npos) {
        return Wrong("does not end with a line feed: the file is cut short");
      }
      RETURN_IF_ERROR(ParseLine(text.substr(0, end)));
      text.remove_prefix(end + 1);
    }
    return std::move(families_);
  }

 private:
  Error Wrong(std::string text) const { return Fault(ErrorCode::kParse, std::move(text)); }
  Error TooMany(std::string text) const { return Fault(ErrorCode::kInvalid, std::move(text)); }
  Error Fault(ErrorCode code, std::string text) const {
    return Error{code, std::string(source_) + ":" + std::to_string(line_), 0, std::move(text)};
  }

  Result<void> ParseLine(std::string_view line) {
    if (line.ends_with('\r')) {
      return Wrong("ends with a carriage return; a line feed alone ends a line");
    }
    Cursor cursor(line);
    cursor.SkipBlanks();
    if (cursor.AtEnd()) return {};
    if (cursor.Take('#')) return ParseComment(cursor);
    return ParseSample(cursor);
  }

  Result<void> ParseComment(Cursor cursor) {
    cursor.SkipBlanks();
    const std::string_view keyword = cursor.TakeWord();
    if (keyword != "HELP" && keyword != "TYPE") return {};
    cursor.SkipBlanks();
    if (cursor.AtEnd()) return {};
    const std::string_view begin = cursor.rest();
    const std::string_view name = cursor.TakeName(true);
    if (name.empty() || (!cursor.AtEnd() && !cursor.AtBlank())) {
      return Wrong(Quoted(begin.substr(0, begin.find_first_of(" \t"))) + " after " +
                   std::string(keyword) + " is not the name of a metric");
    }
    cursor.SkipBlanks();
    if (cursor.AtEnd()) return {};
    return keyword == "HELP" ? ParseHelp(name, cursor.rest()) : ParseType(name, cursor.rest());
  }

  Result<void> ParseHelp(std::string_view name, std::string_view text) {
    ASSIGN_OR_RETURN(Known* const known, Family(name));
    if (std::exchange(known->has_help, true)) {
      return Wrong("second HELP of " + Quoted(name));
    }
    std::string& help = families_[known->index].help;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        help += text[i];
        continue;
      }
      const std::string_view next = text.substr(std::min(i + 1, text.size()), 1);
      if (next != "n" && next != "\\") {
        return Wrong("\"\\" + ToValidUtf8(next) + "\" in HELP is none of \"\\\\\" and \"\\n\"");
      }
      help += next == "n" ? '\n' : '\\';
      ++i;
    }
    return {};
  }

  Result<void> ParseType(std::string_view name, std::string_view text) {
    text = text.substr(0, text.find_last_not_of(" \t") + 1);
    const std::optional<PromType> type = TypeOf(text);
    if (!type) {
      return Wrong(Quoted(text) +
                   " is none of the types counter, gauge, histogram, summary, untyped");
    }
    ASSIGN_OR_RETURN(Known* const known, Family(name));
    if (std::exchange(known->has_type, true)) return Wrong("second TYPE of " + Quoted(name));
    PromFamily& family = families_[known->index];
    if (!family.samples.empty()) return Wrong("TYPE of " + Quoted(name) + " after its samples");
    family.type = *type;
    return {};
  }

  Result<void> ParseSample(Cursor cursor) {
    const std::string_view begin = cursor.rest();
    PromSample sample;
    sample.line = line_;
    sample.name = cursor.TakeName(true);
    const bool name_ends = cursor.AtEnd() || cursor.AtBlank() || cursor.rest()[0] == '{';
    if (sample.name.empty() || !name_ends) {
      return Wrong(Quoted(begin.substr(0, begin.find_first_of(" \t{"))) +
                   " is not the name of a metric");
    }
    cursor.SkipBlanks();
    if (cursor.Take('{')) RETURN_IF_ERROR(ParseLabels(cursor, sample));
    cursor.SkipBlanks();
    RETURN_IF_ERROR(ParseNumbers(cursor, sample));
    if (++samples_ > kMaxPromSamples) {
      return TooMany("more than " + std::to_string(kMaxPromSamples) + " samples");
    }
    return Append(std::move(sample));
  }

  // From behind the opening brace to behind the closing one.
  Result<void> ParseLabels(Cursor& cursor, PromSample& sample) {
    for (;;) {
      cursor.SkipBlanks();
      if (cursor.Take('}')) break;
      RETURN_IF_ERROR(ParseLabel(cursor, sample));
      cursor.SkipBlanks();
      if (cursor.Take('}')) break;
      if (!cursor.Take(',')) {
        return Wrong("expected \",\" or \"}\" before " + Quoted(cursor.rest()));
      }
    }
    auto& labels = sample.labels;
    std::sort(labels.begin(), labels.end());
    for (size_t i = 1; i < labels.size(); ++i) {
      if (labels[i].first == labels[i - 1].first) {
        return Wrong("label " + Quoted(labels[i].first) + " is given twice");
      }
    }
    std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
    return {};
  }

  Result<void> ParseLabel(Cursor& cursor, PromSample& sample) {
    const std::string_view name = cursor.TakeName(false);
    if (name.empty()) return Wrong("expected the name of a label before " + Quoted(cursor.rest()));
    if (name == "__name__") return Wrong("label \"__name__\" is reserved");
    cursor.SkipBlanks();
    if (!cursor.Take('=')) return Wrong("expected \"=\" after label " + Quoted(name));
    cursor.SkipBlanks();
    if (!cursor.Take('"')) {
      return Wrong("the value of label " + Quoted(name) + " is not in double quotes");
    }
    std::string value;
    RETURN_IF_ERROR(ParseLabelValue(cursor, name, value));
    if (sample.labels.size() == kMaxPromLabels) {
      return TooMany("more than " + std::to_string(kMaxPromLabels) + " labels");
    }
    sample.labels.emplace_back(name, std::move(value));
    return {};
  }

  // From behind the opening quote to behind the closing one.
  Result<void> ParseLabelValue(Cursor& cursor, std::string_view name, std::string& value) {
    const std::string_view text = cursor.rest();
    size_t i = 0;
    while (i < text.size() && text[i] != '"') {
      if (text[i] != '\\') {
        value += text[i++];
        continue;
      }
      const std::string_view next = text.substr(i + 1, 1);
      if (next != "n" && next != "\\" && next != "\"") {
        return Wrong("\"\\" + ToValidUtf8(next) + "\" in label " + Quoted(name) +
                     " is none of \"\\\\\", \"\\\"\" and \"\\n\"");
      }
      value += next == "n" ? '\n' : next[0];
      i += 2;
    }
    if (i >= text.size()) return Wrong("label " + Quoted(name) + " has no closing quote");
    cursor = Cursor(text.substr(i + 1));
    // NUL is valid UTF-8 and nothing that anybody means.
    if (value.find('\0') != std::string::npos || ToValidUtf8(value) != value) {
      return Wrong("the value of label " + Quoted(name) + " is not valid UTF-8 text");
    }
    return {};
  }

  // The value, and perhaps a timestamp.
  Result<void> ParseNumbers(Cursor& cursor, PromSample& sample) const {
    const std::string_view word = cursor.TakeWord();
    if (word.empty()) return Wrong("has no value");
    const std::optional<double> value = ParseValue(word);
    if (!value) return Wrong("the value " + Quoted(word) + " is not a number");
    sample.value = *value;
    cursor.SkipBlanks();
    if (cursor.AtEnd()) return {};
    const std::string_view time = cursor.TakeWord();
    sample.timestamp_ms = ParseNumber<int64_t>(time);
    if (!sample.timestamp_ms) {
      return Wrong("the timestamp " + Quoted(time) + " is not a number of milliseconds");
    }
    cursor.SkipBlanks();
    if (!cursor.AtEnd()) return Wrong(Quoted(cursor.rest()) + " after the timestamp");
    return {};
  }

  Result<void> Append(PromSample sample) {
    ASSIGN_OR_RETURN(const Known* const known, FamilyOfSample(sample.name));
    PromFamily& family = families_[known->index];
    const bool is_part = sample.name != family.name;
    if (family.type == PromType::kHistogram && !is_part) {
      return Wrong("a histogram has no sample " + Quoted(sample.name) +
                   " but those with _bucket, _sum and _count");
    }
    if (family.type == PromType::kHistogram && sample.name.ends_with("_bucket")) {
      RETURN_IF_ERROR(CheckNumberLabel(sample, "le"));
    }
    if (family.type == PromType::kSummary && !is_part) {
      RETURN_IF_ERROR(CheckNumberLabel(sample, "quantile"));
    }
    family.samples.push_back(std::move(sample));
    return {};
  }

  Result<void> CheckNumberLabel(const PromSample& sample, std::string_view name) const {
    const auto label = std::find_if(sample.labels.begin(), sample.labels.end(),
                                    [&](const auto& l) { return l.first == name; });
    if (label != sample.labels.end() && ParseValue(label->second)) return {};
    return Wrong(Quoted(sample.name) + " needs a number in label " + Quoted(name));
  }

  struct Known {
    size_t index = 0;  // in families_
    bool has_help = false;
    bool has_type = false;
  };

  Result<Known*> Family(std::string_view name) {
    const auto [entry, added] = known_.try_emplace(std::string(name), Known{families_.size()});
    if (added) {
      if (families_.size() == kMaxPromSamples) {
        return TooMany("more than " + std::to_string(kMaxPromSamples) + " metrics");
      }
      families_.emplace_back().name = name;
    }
    return &entry->second;
  }

  // The family of that name, else the histogram or summary of which it is a part.
  Result<Known*> FamilyOfSample(std::string_view name) {
    if (known_.contains(std::string(name))) return Family(name);
    for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
      if (!name.ends_with(suffix)) continue;
      const auto whole = known_.find(std::string(name.substr(0, name.size() - suffix.size())));
      if (whole == known_.end()) continue;
      const PromType type = families_[whole->second.index].type;
      if (type == PromType::kHistogram || (type == PromType::kSummary && suffix != "_bucket")) {
        return &whole->second;
      }
    }
    return Family(name);
  }

  const std::string_view source_;
  size_t line_ = 0;
  size_t samples_ = 0;
  std::vector<PromFamily> families_;
  std::unordered_map<std::string, Known> known_;  // by name
};

}  // namespace

std::string_view PromTypeName(PromType type) { return kTypeNames[static_cast<size_t>(type)]; }

Result<std::vector<PromFamily>> ParsePromText(std::string_view text, std::string_view source) {
  return PromParser(source).Parse(text);
}

}  // namespace idlewatt
