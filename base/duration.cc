#include "base/duration.h"

#include <array>
#include <cmath>
#include <utility>

#include "base/text.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 7> kTimeUnits{{{"ms", 1},
                                          {"s", 1e3},
                                          {"m", 60e3},
                                          {"h", 3600e3},
                                          {"d", 86400e3},
                                          {"w", 7 * 86400e3},
                                          {"y", 365 * 86400e3}}};
constexpr std::array<Unit, 9> kSizeUnits{{{"B", 1},
                                          {"KiB", 1024.0},
                                          {"MiB", 1048576.0},
                                          {"GiB", 1073741824.0},
                                          {"TiB", 1099511627776.0},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12}}};

constexpr double kMaxMilliseconds = 200 * 365 * 86400e3;
constexpr double kMaxBytes = 9e15;

template <size_t N>
std::optional<double> ParseWithUnit(std::string_view text, const std::array<Unit, N>& units,
                                    double most) {
  const size_t split = text.find_first_not_of("0123456789.");
  if (split == std::string_view::npos || split == 0) return std::nullopt;
  const std::optional<double> number = ParseNumber<double>(text.substr(0, split));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name != text.substr(split)) continue;
    const double value = *number * unit.factor;
    if (!(value <= most)) return std::nullopt;
    return value;
  }
  return std::nullopt;
}

Error Invalid(std::string_view text, std::string expected) {
  return Error{ErrorCode::kInvalid, "\"" + std::string(text) + "\"", 0, std::move(expected)};
}

}  // namespace

Result<milliseconds> ParseDuration(std::string_view text) {
  const auto value = ParseWithUnit(text, kTimeUnits, kMaxMilliseconds);
  if (!value)
    return Invalid(text,
                   "is not a duration; write a number and ms, s, m, h, d, w or y (at most 200y), "
                   "as in \"15s\"");
  return milliseconds(std::llround(*value));
}

Result<int64_t> ParseSize(std::string_view text) {
  const auto value = ParseWithUnit(text, kSizeUnits, kMaxBytes);
  if (!value)
    return Invalid(
        text, "is not a size; write a number and B, KiB, MiB, GiB, KB, MB or GB, as in \"10MiB\"");
  return std::llround(*value);
}

std::string FormatDuration(milliseconds duration) {
  if (duration < milliseconds(1000)) return std::to_string(duration.count()) + "ms";
  constexpr std::array<std::pair<int64_t, const char*>, 4> kParts{
      {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}}};
  std::string out;
  int64_t rest = duration.count();
  int parts = 0;
  for (const auto& [size, name] : kParts) {
    const int64_t count = rest / size;
    rest %= size;
    if (count == 0 && out.empty()) continue;
    if (count != 0) out += (out.empty() ? "" : " ") + std::to_string(count) + name;
    if (++parts == 2) break;
  }
  return out;
}

namespace {

// Reads exactly `digits` digits off the front of `text`.
std::optional<int> TakeDigits(std::string_view& text, size_t digits) {
  if (text.size() < digits) return std::nullopt;
  const auto value = ParseNumber<int>(text.substr(0, digits));
  if (!value || text[0] == '-') return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool TakeChar(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// "Z" or "+hh:mm" at the end of a time; the offset from UTC.
std::optional<std::chrono::minutes> TakeOffset(std::string_view& text) {
  if (TakeChar(text, 'Z') || TakeChar(text, 'z')) return std::chrono::minutes(0);
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const int sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  const auto hours = TakeDigits(text, 2);
  if (!hours || !TakeChar(text, ':')) return std::nullopt;
  const auto minutes = TakeDigits(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return std::chrono::minutes(sign * (*hours * 60 + *minutes));
}

std::optional<WallTime> ParseRfc3339(std::string_view text) {
  const auto year = TakeDigits(text, 4);
  if (!year || !TakeChar(text, '-')) return std::nullopt;
  const auto month = TakeDigits(text, 2);
  if (!month || !TakeChar(text, '-')) return std::nullopt;
  const auto day = TakeDigits(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  WallTime time = std::chrono::sys_days(date);
  if (text.empty()) return time;
  if (!TakeChar(text, 'T') && !TakeChar(text, 't') && !TakeChar(text, ' ')) return std::nullopt;
  const auto hour = TakeDigits(text, 2);
  if (!hour || *hour > 23 || !TakeChar(text, ':')) return std::nullopt;
  const auto minute = TakeDigits(text, 2);
  if (!minute || *minute > 59 || !TakeChar(text, ':')) return std::nullopt;
  const auto second = TakeDigits(text, 2);
  if (!second || *second > 60) return std::nullopt;
  time += std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  if (TakeChar(text, '.')) {
    int scale = 100;
    size_t digits = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
      time += milliseconds((text[0] - '0') * scale);
      scale /= 10;
      text.remove_prefix(1);
      ++digits;
    }
    if (digits == 0) return std::nullopt;
  }
  const auto offset = TakeOffset(text);
  if (!offset || !text.empty()) return std::nullopt;
  return time - *offset;
}

}  // namespace

Result<WallTime> ParseTime(std::string_view text, WallTime now) {
  if (text == "now") return now;
  if (const auto ago = ParseWithUnit(text, kTimeUnits, kMaxMilliseconds))
    return now - milliseconds(std::llround(*ago));
  if (const auto time = ParseRfc3339(text)) return *time;
  return Invalid(text,
                 "is not a time; write RFC 3339 (\"2026-11-21T03:37:00Z\"), a date, or how long "
                 "ago (\"24h\")");
}

}  // namespace idlewatt
