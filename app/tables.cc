#include "app/tables.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

#include "app/http_client.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUnknown = "-";

std::string TextOr(const Json& value) {
  return value.is_string() ? value.get<std::string>() : kUnknown;
}

// Signs that are not seen and change what is: controls that terminals obey (C1 too), marks and
// overrides of the direction of text, separators of lines, and what no text may hold.
bool IsHarmful(char32_t sign) {
  return sign < 0x20 || (sign >= 0x7F && sign <= 0x9F) || sign == 0x061C ||
         (sign >= 0x200E && sign <= 0x200F) || (sign >= 0x2028 && sign <= 0x202E) ||
         (sign >= 0x2066 && sign <= 0x2069) || sign == 0xFEFF || (sign & 0xFFFE) == 0xFFFE;
}

// The sign that begins at `at` of valid UTF-8, and its length.
std::pair<char32_t, size_t> SignAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t index) {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0U;
  };
  const unsigned first = byte(at);
  if (first < 0x80) return {first, 1};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t sign = first & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) sign = (sign << 6) | (byte(at + i) & 0x3FU);
  return {sign, length};
}

}  // namespace

size_t WidthOf(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string Shortened(const std::string& text, size_t width) {
  if (WidthOf(text) <= width) return text;
  if (width == 0) return "";
  size_t end = 0;
  for (size_t signs = 0; signs < width; ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0) != 0x80) ++signs;
  }
  while ((static_cast<unsigned char>(text[end - 1]) & 0xC0) == 0x80) --end;
  return text.substr(0, end - 1) + "…";
}

std::string Printable(std::string_view text) {
  const std::string valid = ToValidUtf8(text);
  std::string out;
  for (size_t at = 0; at < valid.size();) {
    const auto [sign, length] = SignAt(valid, at);
    out += IsHarmful(sign) ? " " : valid.substr(at, length);
    at += length;
  }
  return out;
}

TextTable::TextTable(std::vector<std::string> head) {
  for (std::string& name : head) {
    right_.push_back(name.ends_with('>'));
    if (right_.back()) name.pop_back();
  }
  rows_.push_back(std::move(head));
}

TextTable::TextTable(std::vector<std::string> head, std::vector<bool> right)
    : right_(std::move(right)) {
  rows_.push_back(std::move(head));
}

void TextTable::Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

std::vector<size_t> TextTable::Widths() const {
  std::vector<size_t> widths(right_.size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  return widths;
}

void TextTable::DropEmpty(const std::string& empty) {
  for (size_t i = right_.size(); i-- > 1;) {
    const bool has_value = std::any_of(rows_.begin() + 1, rows_.end(),
                                       [&](const auto& row) { return row[i] != empty; });
    if (has_value) continue;
    right_.erase(right_.begin() + static_cast<std::ptrdiff_t>(i));
    for (auto& row : rows_) row.erase(row.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void TextTable::Fit(size_t columns, const std::vector<std::string>& names) {
  constexpr size_t kLeastWidth = 8;
  std::vector<size_t> widths = Widths();
  size_t width = std::accumulate(widths.begin(), widths.end(), 2 * (widths.size() - 1));
  while (width > columns) {
    size_t widest = widths.size();
    for (size_t i = 0; i < widths.size(); ++i) {
      const bool may = std::find(names.begin(), names.end(), rows_[0][i]) != names.end();
      if (may && widths[i] > (widest == widths.size() ? kLeastWidth : widths[widest])) widest = i;
    }
    if (widest == widths.size()) break;
    --widths[widest];
    --width;
  }
  for (auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) row[i] = Shortened(row[i], widths[i]);
  }
}

std::string TextTable::ToString() const {
  const std::vector<size_t> widths = Widths();
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - WidthOf(row[i]), ' ');
      line += right_[i] ? blanks + row[i] : row[i] + blanks;
      if (i + 1 < row.size()) line += "  ";
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string Wrapped(const std::string& first, const std::string& text, size_t columns) {
  const size_t indent = WidthOf(first);
  std::string out;
  std::string line = first;
  std::string_view rest = text;
  for (std::string word(NextField(rest)); !word.empty(); word = NextField(rest)) {
    const bool at_begin = WidthOf(line) == indent;
    if (!at_begin && WidthOf(line) + 1 + WidthOf(word) > columns) {
      out += line + "\n";
      line = std::string(indent, ' ');
    } else if (!at_begin) {
      line += ' ';
    }
    line += word;
  }
  return out + line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

namespace {

std::string CostText(std::chrono::nanoseconds cost) {
  const double seconds = ToSeconds(cost);
  if (seconds < 1e-3) return Format("%.0f us", seconds * 1e6);
  return seconds < 1 ? Format("%.1f ms", seconds * 1e3) : Format("%.1f s", seconds);
}

std::string TimeText(std::chrono::nanoseconds time) {
  return FormatDuration(std::chrono::duration_cast<std::chrono::milliseconds>(time));
}

}  // namespace

std::string SensorsTable(const std::vector<SourceStatus>& sources) {
  constexpr const char* kBelow = "    ";
  TextTable table({"SOURCE", "STATE", "EVERY>", "COST>", "AGE>"});
  for (const SourceStatus& source : sources) {
    const bool measured = source.period.count() > 0;
    table.Add({source.source, source.error ? std::string(ErrorCodeName(source.error->code)) : "ok",
               measured ? TimeText(source.period) : kUnknown,
               measured ? CostText(source.cost) : kUnknown,
               source.age ? TimeText(*source.age) : kUnknown});
  }
  const std::string text = table.ToString();
  const std::vector<std::string_view> rows = Split(text, '\n');
  std::string out = std::string(rows[0]) + "  GIVES\n";
  for (size_t i = 0; i < sources.size(); ++i) {
    const SourceStatus& source = sources[i];
    out += Wrapped(std::string(rows[i + 1]) + "  ", source.gives);
    if (!source.error) continue;
    out += Wrapped(std::string(kBelow) + "why:    ", source.error->ToString());
    if (!source.remedy.empty()) out += Wrapped(std::string(kBelow) + "remedy: ", source.remedy);
  }
  return out +
         "COST is that of one read of all sources of a sampler together, AGE that of the last good "
         "one.\n";
}

namespace {

// METRIC{label="value"} of a series in the answer.
std::string SeriesName(const Json& series) {
  std::string out = series.at("metric").get<std::string>();
  std::string labels;
  for (const auto& [name, value] : series.at("labels").items()) {
    labels += (labels.empty() ? "" : ",") + name + "=" + value.dump();
  }
  return labels.empty() ? out : out + "{" + labels + "}";
}

WallTime TimeOf(const Json& seconds) {
  return WallTime(std::chrono::milliseconds(std::llround(seconds.get<double>() * 1000)));
}

}  // namespace

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string RangeText::Begin() const {
  if (format_ == "json") return "{\"series\": [";
  return format_ == "csv" ? "series,time,value\n" : "";
}

std::string RangeText::Series(const Json& series) {
  const bool is_first = !std::exchange(any_, true);
  if (format_ == "json") return (is_first ? "\n" : ",\n") + series.dump();
  const std::string name = SeriesName(series);
  std::string out = format_ == "table" ? name + "\n" : "";
  for (const Json& point : series.at("points")) {
    const std::string time = FormatWallTime(TimeOf(point.at(0)));
    out += format_ == "csv" ? CsvField(name) + "," + time + "," + point.at(1).dump() + "\n"
                            : "  " + time + "  " + point.at(1).dump() + "\n";
  }
  return out;
}

std::string RangeText::End() const {
  if (format_ == "json") return any_ ? "\n]}\n" : "]}\n";
  return any_ || format_ == "csv" ? "" : "no values in this range\n";
}

Result<std::string> RangeText::Answer(const std::string& answer) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object() || !json.contains("series")) return UnexpectedAnswer("range");
  if (format_ == "json") return json.dump(2) + "\n";
  try {
    std::string out = Begin();
    for (const Json& series : json.at("series")) out += Series(series);
    return out + End();
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
}

Result<std::string> SeriesText(const std::string& answer, const std::string& format) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object() || !json.contains("series")) return UnexpectedAnswer("series");
  if (format == "json") return json.dump(2) + "\n";
  try {
    TextTable table({"SERIES", "KIND", "UNIT", "FIRST", "LAST", "SAMPLES>"});
    std::string csv = "series,kind,unit,first,last,samples\n";
    for (const Json& series : json.at("series")) {
      const std::string name = SeriesName(series);
      const std::string kind = series.at("kind"), unit = series.at("unit");
      const Json &first = series.at("first"), &last = series.at("last");
      const std::string samples = std::to_string(series.at("samples").get<int64_t>());
      table.Add({name, kind, unit, TextOr(first), TextOr(last), samples});
      csv += CsvField(name) + "," + kind + "," + CsvField(unit) + ",";
      csv += (first.is_null() ? "" : TextOr(first)) + "," + (last.is_null() ? "" : TextOr(last));
      csv += "," + samples + "\n";
    }
    if (format == "csv") return csv;
    return json.at("series").empty() ? "no series\n" : table.ToString();
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
}

}  // namespace idlewatt
