#include "storage/openmetrics_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/text.h"
#include "storage/family_parts.h"

namespace idlewatt {
namespace {

constexpr int64_t kFirstMs = -62'135'596'800'000;  // year 1
constexpr int64_t kLastMs = 253'402'300'799'999;   // year 9999
constexpr std::array<std::string_view, 8> kTypes{"counter", "gauge", "histogram", "gaugehistogram",
                                                 "summary", "info",  "stateset",  "unknown"};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// A piece of the text as a reason shows it.
std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  return "\"" + ToValidUtf8(text.substr(0, kShown)) + (text.size() > kShown ? "…\"" : "\"");
}

// Why a line is refused. Its other fields stay empty: the caller knows file and line.
Error Reason(std::string text) { return Error{ErrorCode::kParse, "", 0, std::move(text)}; }

void SkipBlanks(std::string_view& rest) {
  while (!rest.empty() && IsBlank(rest.front())) rest.remove_prefix(1);
}

std::string_view WithoutBlanksBehind(std::string_view text) {
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool Take(std::string_view& rest, char c) {
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

std::string_view TakeFirst(std::string_view& rest, size_t size) {
  const std::string_view taken = rest.substr(0, size);
  rest.remove_prefix(taken.size());
  return taken;
}

// Up to the next blank; empty at the end.
std::string_view TakeWord(std::string_view& rest) {
  size_t size = 0;
  while (size < rest.size() && !IsBlank(rest[size])) ++size;
  return TakeFirst(rest, size);
}

// The name of a metric or a label; empty when none stands here.
std::string_view TakeName(std::string_view& rest, bool colon_allowed) {
  size_t size = 0;
  while (size < rest.size() && (IsLetter(rest[size]) || (colon_allowed && rest[size] == ':') ||
                                (size > 0 && IsDigit(rest[size])))) {
    ++size;
  }
  return TakeFirst(rest, size);
}

// NUL is valid UTF-8 and nothing that anybody means.
bool IsText(std::string_view text) {
  return text.find('\0') == std::string_view::npos && ToValidUtf8(text) == text;
}

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t at = text.find('\\'); at != std::string_view::npos; at = text.find('\\', at)) {
    const char next = at + 1 < text.size() ? text[at + 1] : '\0';
    const bool is_escape = next == 'n' || next == '\\' || next == '"';
    out += text.substr(0, is_escape ? at : at + 1);
    if (is_escape) out += next == 'n' ? '\n' : next;
    text.remove_prefix(is_escape ? at + 2 : at + 1);
    at = 0;
  }
  return out += text;
}

// ---- A series ------------------------------------------------------------------------------

// From behind the opening quote to behind the closing one.
Result<std::string> TakeLabelValue(std::string_view& rest, std::string_view name) {
  size_t end = 0;
  while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
  if (end > rest.size()) {
    return Reason("label " + Quoted(name) + " ends in the middle of an escape");
  }
  if (end == rest.size()) return Reason("label " + Quoted(name) + " has no closing quote");
  std::string value = Unescape(TakeFirst(rest, end));
  rest.remove_prefix(1);
  if (!IsText(value)) {
    return Reason("the value of label " + Quoted(name) + " is not valid UTF-8 text");
  }
  return value;
}

Result<void> TakeLabel(std::string_view& rest, Labels& labels) {
  const std::string_view begin = rest;
  const std::string_view name = TakeName(rest, /*colon_allowed=*/false);
  const bool name_ends = rest.empty() || IsBlank(rest.front()) || rest.front() == '=';
  if (name.empty() || !name_ends) {
    return Reason(Quoted(begin.substr(0, begin.find_first_of("=,} \t"))) +
                  " is not the name of a label");
  }
  if (name == "__name__") return Reason("label \"__name__\" is reserved");
  SkipBlanks(rest);
  if (!Take(rest, '=')) return Reason("expected \"=\" after label " + Quoted(name));
  SkipBlanks(rest);
  if (!Take(rest, '"')) {
    return Reason("the value of label " + Quoted(name) + " is not in double quotes");
  }
  ASSIGN_OR_RETURN(std::string value, TakeLabelValue(rest, name));
  labels.emplace_back(name, std::move(value));
  return {};
}

// From behind the opening brace to behind the closing one.
Result<Labels> TakeLabels(std::string_view& rest) {
  Labels labels;
  for (SkipBlanks(rest); !Take(rest, '}'); SkipBlanks(rest)) {
    RETURN_IF_ERROR(TakeLabel(rest, labels));
    SkipBlanks(rest);
    if (!Take(rest, ',') && (rest.empty() || rest.front() != '}')) {
      return Reason(rest.empty() ? "the labels have no closing brace"
                                 : "expected \",\" or \"}\" before " + Quoted(rest));
    }
  }
  std::sort(labels.begin(), labels.end());
  for (size_t i = 1; i < labels.size(); ++i) {
    if (labels[i].first == labels[i - 1].first) {
      return Reason("label " + Quoted(labels[i].first) + " is given twice");
    }
  }
  return labels;
}

// Name and labels; `rest` stands behind them then.
Result<SeriesName> TakeSeries(std::string_view& rest) {
  const std::string_view begin = rest;
  SeriesName series;
  series.metric = TakeName(rest, /*colon_allowed=*/true);
  const bool name_ends = rest.empty() || IsBlank(rest.front()) || rest.front() == '{';
  if (series.metric.empty() || !name_ends) {
    return Reason(Quoted(begin.substr(0, begin.find_first_of(" \t{"))) +
                  " is not the name of a metric");
  }
  if (Take(rest, '{')) {
    ASSIGN_OR_RETURN(series.labels, TakeLabels(rest));
    if (!rest.empty() && !IsBlank(rest.front())) {
      return Reason("expected a blank after \"}\" before " + Quoted(rest));
    }
  }
  return series;
}

// Length of the text of the series at the front of `line`; of any text when it is not a right one.
size_t SeriesLength(std::string_view line) {
  const size_t name_end = std::min(line.find_first_of(" \t{"), line.size());
  if (name_end == line.size() || line[name_end] != '{') return name_end;
  for (size_t i = name_end + 1; i < line.size(); ++i) {
    if (line[i] == '}') return i + 1;
    if (line[i] != '"') continue;
    for (++i; i < line.size() && line[i] != '"'; ++i) {
      if (line[i] == '\\') ++i;
    }
  }
  return line.size();
}

// ---- Value and time ------------------------------------------------------------------------

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// The unusual ones: Inf and NaN in any case, a plus before the digits, and what is wrong.
Result<double> UnusualValue(std::string_view word) {
  std::string_view digits = word;
  const bool is_negative = Take(digits, '-');
  if (!is_negative) Take(digits, '+');
  if (EqualsIgnoringCase(word, "nan")) return std::numeric_limits<double>::quiet_NaN();
  if (EqualsIgnoringCase(digits, "inf") || EqualsIgnoringCase(digits, "infinity")) {
    const double infinity = std::numeric_limits<double>::infinity();
    return is_negative ? -infinity : infinity;
  }
  double value = 0;
  if (!digits.empty() && (IsDigit(digits.front()) || digits.front() == '.')) {
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, value);
    if (parsed.ptr == end && parsed.ec == std::errc()) return is_negative ? -value : value;
    if (parsed.ptr == end && parsed.ec == std::errc::result_out_of_range) {
      return Reason("the value " + Quoted(word) + " is out of the range of a double");
    }
  }
  return Reason("the value " + Quoted(word) + " is not a number");
}

Result<double> TakeValue(std::string_view& rest) {
  if (rest.empty()) return Reason("has no value");
  const char* const end = rest.data() + rest.size();
  const char first = rest.size() > 1 && rest[0] == '-' ? rest[1] : rest[0];
  double value = 0;
  if (IsDigit(first)) {
    const auto parsed = std::from_chars(rest.data(), end, value);
    if (parsed.ec == std::errc() && (parsed.ptr == end || IsBlank(*parsed.ptr))) {
      rest.remove_prefix(static_cast<size_t>(parsed.ptr - rest.data()));
      return value;
    }
  }
  return UnusualValue(TakeWord(rest));
}

// What is far outside of the years that we take, but can be multiplied.
constexpr int64_t kFarSeconds = 1'000'000'000'000'000;

// Seconds, by a double: for exponents and for a plus.
std::optional<int64_t> UnusualTime(std::string_view word) {
  if (word.starts_with("+") && !word.starts_with("+-")) word.remove_prefix(1);
  const std::optional<double> seconds = ParseNumber<double>(word);
  if (!seconds || !std::isfinite(*seconds)) return std::nullopt;
  constexpr auto kFar = static_cast<double>(kFarSeconds);
  return std::llround(std::clamp(*seconds, -kFar, kFar) * 1000);
}

// Seconds as milliseconds, digit by digit: a double would round a second time.
std::optional<int64_t> ParseTimeMs(std::string_view word) {
  std::string_view rest = word;
  const bool is_negative = Take(rest, '-');
  int64_t seconds = 0;
  size_t digits = 0;
  for (; digits < rest.size() && IsDigit(rest[digits]); ++digits) {
    seconds = std::min(seconds * 10 + (rest[digits] - '0'), kFarSeconds);
  }
  if (digits == 0) return UnusualTime(word);
  rest.remove_prefix(digits);
  int64_t milliseconds = seconds * 1000;
  if (Take(rest, '.')) {
    int64_t unit = 100;
    for (; !rest.empty() && IsDigit(rest.front()); rest.remove_prefix(1), unit /= 10) {
      const int digit = rest.front() - '0';
      if (unit == 0) {  // the fourth decimal rounds
        milliseconds += digit >= 5 ? 1 : 0;
        rest.remove_prefix(1);
        break;
      }
      milliseconds += unit * digit;
    }
    while (!rest.empty() && IsDigit(rest.front())) rest.remove_prefix(1);
  }
  if (!rest.empty()) return UnusualTime(word);
  return is_negative ? -milliseconds : milliseconds;
}

Result<int64_t> TakeTime(std::string_view& rest) {
  if (rest.empty() || rest.front() == '#') {
    return Reason("has no timestamp, and a history needs one");
  }
  const std::string_view word = TakeWord(rest);
  const std::optional<int64_t> time_ms = ParseTimeMs(word);
  if (!time_ms) return Reason("the timestamp " + Quoted(word) + " is not a number of seconds");
  if (*time_ms > kLastMs) {
    return Reason("the timestamp " + Quoted(word) +
                  " is after the year 9999; it has to be in seconds, not in milliseconds");
  }
  if (*time_ms < kFirstMs) return Reason("the timestamp " + Quoted(word) + " is before the year 1");
  return *time_ms;
}

bool IsExemplar(std::string_view rest) {
  if (!Take(rest, '#')) return false;
  SkipBlanks(rest);
  return rest.starts_with('{');
}

struct TimedValue {
  double value = 0;
  int64_t time_ms = 0;
};

// What stands behind a series, to the end of the line.
Result<TimedValue> ParseTimedValue(std::string_view rest) {
  TimedValue timed;
  SkipBlanks(rest);
  ASSIGN_OR_RETURN(timed.value, TakeValue(rest));
  SkipBlanks(rest);
  ASSIGN_OR_RETURN(timed.time_ms, TakeTime(rest));
  SkipBlanks(rest);
  if (!rest.empty() && !IsExemplar(rest)) return Reason(Quoted(rest) + " after the timestamp");
  return timed;
}

}  // namespace

// ---- Lines ---------------------------------------------------------------------------------

Result<void> OpenMetricsReader::Read(std::string_view block) {
  while (!block.empty()) {
    const size_t end = block.find('\n');
    if (end == std::string_view::npos) {
      KeepBeginning(block);
      break;
    }
    std::string_view line = block.substr(0, end);
    block.remove_prefix(end + 1);
    const bool has_beginning = !beginning_.empty();
    if (has_beginning || is_too_long_) {
      KeepBeginning(line);
      line = beginning_;
    }
    ++report_.lines;
    if (std::exchange(is_too_long_, false) || line.size() > kMostLineBytes) {
      Refuse("is longer than 1 MiB");
    } else {
      RETURN_IF_ERROR(TakeLine(line));
    }
    if (has_beginning) beginning_.clear();
  }
  return {};
}

void OpenMetricsReader::KeepBeginning(std::string_view text) {
  is_too_long_ = is_too_long_ || beginning_.size() + text.size() > kMostLineBytes;
  if (is_too_long_) {
    beginning_.clear();
  } else {
    beginning_ += text;
  }
}

void OpenMetricsReader::Finish() {
  if (!beginning_.empty() || is_too_long_) {
    ++report_.lines;
    if (beginning_ == "# EOF" && !report_.has_end) {
      report_.has_end = true;
    } else {
      Refuse("has no line feed at its end: the file is cut short");
    }
  }
  HandOverFamilies();
}

void OpenMetricsReader::Refuse(std::string reason) {
  if (++report_.refused <= kMostReasons) {
    report_.refusals.push_back({report_.lines, std::move(reason)});
  }
}

Result<void> OpenMetricsReader::TakeLine(std::string_view line) {
  SkipBlanks(line);
  if (line.empty()) return {};
  if (report_.has_end) {
    Refuse("stands after # EOF");
  } else if (line.back() == '\r') {
    Refuse("ends with a carriage return; a line feed alone ends a line");
  } else if (line.front() == '#') {
    TakeComment(line);
  } else {
    return TakeSample(line);
  }
  return {};
}

// ---- Metadata ------------------------------------------------------------------------------

void OpenMetricsReader::TakeComment(std::string_view line) {
  line.remove_prefix(1);
  SkipBlanks(line);
  const std::string_view keyword = TakeWord(line);
  if (keyword == "EOF" && WithoutBlanksBehind(line).empty()) {
    report_.has_end = true;
  } else if (keyword == "TYPE" || keyword == "UNIT" || keyword == "HELP") {
    if (Result<void> taken = TakeMetadata(keyword, line); !taken.ok()) Refuse(taken.error().text);
  } else {
    Refuse("is neither # TYPE, # UNIT, # HELP nor # EOF, and OpenMetrics has no other comments");
  }
}

Result<void> OpenMetricsReader::TakeMetadata(std::string_view keyword, std::string_view rest) {
  SkipBlanks(rest);
  const std::string_view begin = rest;
  const std::string_view name = TakeName(rest, /*colon_allowed=*/true);
  if (name.empty() || (!rest.empty() && !IsBlank(rest.front()))) {
    return Reason(Quoted(begin.substr(0, begin.find_first_of(" \t"))) + " after " +
                  std::string(keyword) + " is not the name of a metric");
  }
  if (!rest.empty()) rest.remove_prefix(1);  // more blanks belong to the help
  Family& family = families_.try_emplace(std::string(name)).first->second;
  family.told.name = name;
  if (keyword == "TYPE") {
    RETURN_IF_ERROR(TakeType(family, Trim(rest)));
  } else if (keyword == "UNIT") {
    RETURN_IF_ERROR(TakeUnit(family, Trim(rest)));
  } else {
    RETURN_IF_ERROR(TakeHelp(family, rest));
  }
  if (!std::exchange(family.is_pending, true)) pending_.push_back(&family);
  return {};
}

Result<void> OpenMetricsReader::TakeType(Family& family, std::string_view type) {
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
    return Reason(Quoted(type) +
                  " is none of the types counter, gauge, histogram, gaugehistogram, summary, info, "
                  "stateset, unknown");
  }
  std::string& known = family.told.type;
  const std::string name = Quoted(family.told.name);
  if (!known.empty() && known != type) return Reason("the type of " + name + " was " + known);
  if (known.empty() && HasSamples(family.told.name)) {
    return Reason("the type of " + name + " stands after its samples");
  }
  known = type;
  return {};
}

bool OpenMetricsReader::HasSamples(const std::string& family) const {
  const auto has = [this](const std::string& name) {
    const auto found = families_.find(name);
    return found != families_.end() && found->second.has_samples;
  };
  return has(family) || std::any_of(kFamilyParts.begin(), kFamilyParts.end(), [&](const auto& p) {
           return has(family + std::string(p.suffix));
         });
}

Result<void> OpenMetricsReader::TakeUnit(Family& family, std::string_view unit) const {
  const std::string& name = family.told.name;
  if (!unit.empty() && !name.ends_with("_" + std::string(unit))) {
    return Reason("the unit " + Quoted(unit) + " is not the end of the name " + Quoted(name));
  }
  family.told.unit = unit;
  return {};
}

Result<void> OpenMetricsReader::TakeHelp(Family& family, std::string_view help) const {
  if (!IsText(help)) {
    return Reason("the help of " + Quoted(family.told.name) + " is not valid UTF-8 text");
  }
  family.told.help = Unescape(help);
  return {};
}

void OpenMetricsReader::HandOverFamilies() {
  for (Family* family : pending_) {
    family->is_pending = false;
    MetricFamily told = family->told;
    // Before OpenMetrics the name of a counter had its _total also here.
    constexpr std::string_view kTotal = "_total";
    if (told.type == "counter" && told.name.ends_with(kTotal) && told.name != kTotal) {
      told.name.resize(told.name.size() - kTotal.size());
    }
    sink_.OnFamily(told);
  }
  pending_.clear();
}

// ---- Samples -------------------------------------------------------------------------------

Result<void> OpenMetricsReader::TakeSample(std::string_view line) {
  size_t length = 0;
  const size_t* const known = FindKnown(line, length);
  SeriesName name;
  if (known == nullptr) {
    std::string_view rest = line;
    Result<SeriesName> series = TakeSeries(rest);
    if (!series.ok()) {
      Refuse(std::move(series.error().text));
      return {};
    }
    name = std::move(*series);
    length = line.size() - rest.size();
  }
  Result<TimedValue> timed = ParseTimedValue(line.substr(length));
  if (!timed.ok()) {
    Refuse(std::move(timed.error().text));
    return {};
  }
  // A series is only made when it has a good sample.
  if (known == nullptr) last_handle_ = AddSeries(line.substr(0, length), name);
  ++report_.samples;
  return sink_.OnSample(last_handle_, timed->time_ms, timed->value);
}

// The handle of the series at the front of `line`, whose text is `length` long, when the same text
// was met before. Null: parse it.
const size_t* OpenMetricsReader::FindKnown(std::string_view line, size_t& length) {
  if (last_text_ != nullptr) {  // most files have one series after the other
    length = last_text_->size();
    if (line.size() > length && IsBlank(line[length]) && line.starts_with(*last_text_)) {
      return &last_handle_;
    }
  }
  length = SeriesLength(line);
  const auto found = known_.find(line.substr(0, length));
  if (found == known_.end()) return nullptr;
  last_text_ = &found->first;
  last_handle_ = found->second;
  return &last_handle_;
}

size_t OpenMetricsReader::AddSeries(std::string_view text, const SeriesName& name) {
  HandOverFamilies();
  MetricKind kind = KindByName(name.metric);
  bool has_unit = false;
  const MetricFamily* const family = FamilyOf(name.metric, kind, has_unit);
  const size_t handle = sink_.OnSeries(name, kind, has_unit ? family->unit : std::string());
  families_.try_emplace(name.metric).first->second.has_samples = true;
  last_text_ = &known_.try_emplace(std::string(text), handle).first->first;
  return handle;
}

// The family of a sample of this name; null when nothing was told of it. `kind` stays when the
// type of the family says nothing of it.
const MetricFamily* OpenMetricsReader::FamilyOf(std::string_view sample, MetricKind& kind,
                                                bool& has_unit) const {
  const auto own = families_.find(sample);
  const bool is_told =
      own != families_.end() && !(own->second.told.type + own->second.told.unit).empty();
  if (is_told) {
    const std::string& type = own->second.told.type;
    if (type == "counter") {
      kind = MetricKind::kCounter;
    } else if (!type.empty() && type != "unknown") {
      kind = MetricKind::kGauge;
    }
    has_unit = true;
    return &own->second.told;
  }
  for (const FamilyPart& part : kFamilyParts) {
    if (!sample.ends_with(part.suffix)) continue;
    const auto whole = families_.find(sample.substr(0, sample.size() - part.suffix.size()));
    if (whole == families_.end() || whole->second.told.type != part.type) continue;
    kind = part.kind;
    has_unit = part.has_unit;
    return &whole->second.told;
  }
  return nullptr;
}

}  // namespace idlewatt
