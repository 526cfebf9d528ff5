#include "exporters/history_export.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "collector/labels.h"
#include "storage/family_parts.h"

namespace idlewatt {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;
constexpr std::string_view kCsvHead = "metric,labels,time,time_ms,value\n";

template <typename... Arguments>
void AppendChars(std::string& out, Arguments... arguments) {
  // The longest is a double below 1e16 with 17 digits, or an integer.
  std::array<char, 40> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), arguments...);
  out.append(digits.data(), end.ptr);
}

// The fewest digits that read back to the same bits; without an exponent where people write none.
void AppendValue(std::string& out, double value) {
  const double size = std::abs(value);
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else if (value == 0 || (size >= 1e-4 && size < 1e16)) {
    AppendChars(out, value, std::chars_format::fixed);
  } else {
    AppendChars(out, value, std::chars_format::scientific);
  }
}

void AppendJsonValue(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += '"';
    AppendValue(out, value);
    out += '"';
  } else if (value == 0 && std::signbit(value)) {
    out += "-0.0";  // many take "-0" for an integer
  } else {
    AppendValue(out, value);
  }
}

// Seconds with as many of three decimals as are needed.
void AppendSeconds(std::string& out, int64_t time_ms) {
  // As unsigned: the smallest time has no positive one.
  const uint64_t size = time_ms < 0 ? 0 - static_cast<uint64_t>(time_ms) : time_ms;
  if (time_ms < 0) out += '-';
  AppendChars(out, size / 1000);
  const auto milliseconds = static_cast<int>(size % 1000);
  if (milliseconds == 0) return;
  out += '.';
  out += static_cast<char>('0' + milliseconds / 100);
  if (milliseconds % 100 != 0) out += static_cast<char>('0' + milliseconds / 10 % 10);
  if (milliseconds % 10 != 0) out += static_cast<char>('0' + milliseconds % 10);
}

void AppendEscaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
}

std::string OpenMetricsText(const SeriesName& name) {
  std::string out = name.metric;
  for (const auto& [label, value] : name.labels) {
    out += out.size() == name.metric.size() ? '{' : ',';
    out += label;
    out += "=\"";
    AppendEscaped(out, value);
    out += '"';
  }
  out += name.labels.empty() ? " " : "} ";
  return out;
}

std::string CsvField(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

std::string JsonText(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::map<std::string, MetricFamily> ByName(const std::vector<MetricFamily>& families) {
  std::map<std::string, MetricFamily> by_name;
  for (const MetricFamily& family : families) by_name.emplace(family.name, family);
  return by_name;
}

}  // namespace

HistoryExport::HistoryExport(ExportFormat format, const std::vector<MetricFamily>& families,
                             Write write)
    : format_(format),
      families_(ByName(families)),
      write_(std::move(write)),
      text_(format == ExportFormat::kCsv ? kCsvHead : "") {}

// The family that `series` belongs to. One of its own when none is known: with a type where the
// name alone would be read as something else.
MetricFamily HistoryExport::FamilyOf(const StoredSeries& series) const {
  const std::string& metric = series.name.metric;
  if (const auto own = families_.find(metric); own != families_.end()) return own->second;
  bool is_misleading = series.kind != KindByName(metric);
  for (const FamilyPart& part : kFamilyParts) {
    if (!metric.ends_with(part.suffix)) continue;
    const auto whole = families_.find(metric.substr(0, metric.size() - part.suffix.size()));
    if (whole == families_.end() || whole->second.type != part.type) continue;
    if (part.kind == series.kind) return whole->second;
    is_misleading = true;
  }
  MetricFamily family{metric, "", series.unit, ""};
  if (is_misleading || !series.unit.empty()) {
    const bool is_counter = series.kind == MetricKind::kCounter;
    constexpr std::string_view kTotal = "_total";
    if (is_counter && metric.ends_with(kTotal) && metric.size() > kTotal.size()) {
      family.name.resize(metric.size() - kTotal.size());
    }
    family.type = is_counter ? "counter" : "gauge";
  }
  return family;
}

void HistoryExport::Sort(std::vector<StoredSeries>& series) const {
  std::vector<std::pair<std::string, StoredSeries>> by_family;
  by_family.reserve(series.size());
  for (StoredSeries& one : series) {
    std::string family = FamilyOf(one).name;
    by_family.emplace_back(std::move(family), std::move(one));
  }
  std::sort(by_family.begin(), by_family.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second.name) < std::tie(b.first, b.second.name);
  });
  for (size_t i = 0; i < series.size(); ++i) series[i] = std::move(by_family[i].second);
}

Result<void> HistoryExport::Add(const StoredSeries& series, std::span<const Point> points) {
  if (points.empty()) return {};
  if (series.id != series_id_ || series_text_.empty()) BeginSeries(series);
  for (const Point& point : points) {
    AppendPoint(point);
    if (text_.size() < kBlockBytes) continue;
    RETURN_IF_ERROR(write_(text_));
    text_.clear();
  }
  return {};
}

Result<void> HistoryExport::Finish() {
  if (format_ == ExportFormat::kOpenMetrics) text_ += "# EOF\n";
  return write_(std::exchange(text_, {}));
}

void HistoryExport::BeginSeries(const StoredSeries& series) {
  series_id_ = series.id;
  if (format_ == ExportFormat::kOpenMetrics) {
    const MetricFamily family = FamilyOf(series);
    if (std::exchange(family_, family.name) != family.name) AppendFamily(family);
    series_text_ = OpenMetricsText(series.name);
    return;
  }
  const std::string labels = LabelsToJson(series.name.labels);
  series_text_ = format_ == ExportFormat::kCsv
                     ? CsvField(series.name.metric) + "," + CsvField(labels) + ","
                     : "{\"metric\":" + JsonText(series.name.metric) + ",\"labels\":" + labels +
                           ",\"time_ms\":";
}

void HistoryExport::AppendFamily(const MetricFamily& family) {
  const std::string& name = family.name;
  if (!family.type.empty()) text_ += "# TYPE " + name + " " + family.type + "\n";
  if (!family.unit.empty() && name.ends_with("_" + family.unit)) {
    text_ += "# UNIT " + name + " " + family.unit + "\n";
  }
  if (family.help.empty()) return;
  text_ += "# HELP " + name + " ";
  AppendEscaped(text_, family.help);
  text_ += '\n';
}

void HistoryExport::AppendPoint(const Point& point) {
  text_ += series_text_;
  switch (format_) {
    case ExportFormat::kOpenMetrics:
      AppendValue(text_, point.value);
      text_ += ' ';
      AppendSeconds(text_, point.time_ms);
      break;
    case ExportFormat::kCsv:
      text_ += FormatWallTime(WallTime(std::chrono::milliseconds(point.time_ms)));
      text_ += ',';
      AppendChars(text_, point.time_ms);
      text_ += ',';
      AppendValue(text_, point.value);
      break;
    case ExportFormat::kJsonLines:
      AppendChars(text_, point.time_ms);
      text_ += ",\"value\":";
      AppendJsonValue(text_, point.value);
      text_ += '}';
      break;
  }
  text_ += '\n';
}

}  // namespace idlewatt
