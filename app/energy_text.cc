#include "app/energy_text.h"

#include <cmath>

#include "app/tables.h"
#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

constexpr double kLeastPerKwh = 1e-6;
constexpr double kMostPerKwh = 1e9;

std::string Fixed(double value, int decimals) { return Format("%.*f", decimals, value); }

// The decimals with which `value` has `digits` digits, at least `least`; one far below 1 has more.
int DecimalsOf(double value, int digits, int least) {
  if (value <= 0) return least;
  const int before_point = static_cast<int>(std::floor(std::log10(value))) + 1;
  return std::max(digits - before_point, least);
}

std::string ThreeDigits(double value) {
  if (value < 9.995) return Fixed(value, 2);
  return Fixed(value, value < 99.95 ? 1 : 0);
}

}  // namespace

std::string EnergyText(double joules) {
  const double watt_hours = joules / kJoulesOfWattHour;
  if (watt_hours == 0) return "0 Wh";
  if (watt_hours < 0.001) return "<0.001 Wh";
  if (watt_hours < 0.095) return Fixed(watt_hours, watt_hours < 0.0095 ? 3 : 2) + " Wh";
  if (watt_hours < 999.5) return Fixed(watt_hours, watt_hours < 99.95 ? 1 : 0) + " Wh";
  if (watt_hours < 999.5e3) return ThreeDigits(watt_hours / 1e3) + " kWh";
  return ThreeDigits(watt_hours / 1e6) + " MWh";
}

std::string PowerText(double watts) {
  if (watts == 0) return "0 W";
  if (watts < 0.01) return "<0.01 W";
  if (watts < 0.995) return Fixed(watts, 2) + " W";
  if (watts < 999.5) return Fixed(watts, watts < 99.95 ? 1 : 0) + " W";
  return ThreeDigits(watts / 1e3) + " kW";
}

std::string ShareText(double share) {
  const double percent = 100 * share;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return Fixed(percent, percent > 0 && percent < 9.95 ? 1 : 0) + " %";
}

std::string SecondsText(double seconds) {
  if (seconds < 1) return "0s";
  return FormatDuration(std::chrono::seconds(static_cast<int64_t>(seconds)));
}

std::string MemoryText(double bytes) {
  constexpr double kMebibyte = 1 << 20;
  if (bytes < 1000 * kMebibyte) return Fixed(bytes / kMebibyte, 0) + " MiB";
  return Fixed(bytes / kMebibyte / 1024, 1) + " GiB";
}

EnergyScale::EnergyScale(double most_joules) {
  const double watt_hours = most_joules / kJoulesOfWattHour;
  if (watt_hours >= 10e6) {
    unit_ = "MWh";
    joules_ = 1e6 * kJoulesOfWattHour;
    decimals_ = 2;
  } else if (watt_hours >= 10e3) {
    unit_ = "kWh";
    joules_ = 1e3 * kJoulesOfWattHour;
    decimals_ = 2;
  } else if (watt_hours < 10) {
    decimals_ = watt_hours < 0.1 ? 4 : 2;
  }
}

std::string EnergyScale::Number(double joules) const { return Fixed(joules / joules_, decimals_); }

Result<EnergyPrice> EnergyPrice::Parse(std::string_view per_kwh, std::string_view currency) {
  const auto price = ParseNumber<double>(per_kwh);
  if (!price || !(*price >= kLeastPerKwh && *price <= kMostPerKwh)) {
    return Error{ErrorCode::kInvalid, InQuotes(per_kwh), 0,
                 "is no price; write a number above 0, such as 0.30"};
  }
  return EnergyPrice{*price, std::string(Trim(Printable(currency)))};
}

std::string EnergyPrice::CostNumber(double joules) const {
  const double cost = CostOf(joules);
  if (cost > 0 && cost < 1e-6) return "<0.000001";
  return Fixed(cost, cost < 0.01 ? DecimalsOf(cost, 2, 2) : 2);
}

std::string EnergyPrice::CostText(double joules) const {
  return CostNumber(joules) + (currency.empty() ? "" : " " + currency);
}

std::string EnergyPrice::ToString() const {
  std::string number = Fixed(per_kwh, 8);
  const size_t point = number.find('.');
  while (number.ends_with('0') && number.size() > point + 3) number.pop_back();
  return number + (currency.empty() ? "" : " " + currency) + "/kWh";
}

std::string UtcText(WallTime time, bool with_seconds) {
  const std::string text = FormatWallTime(time);  // "2026-11-21T03:37:00.000Z"
  return text.substr(0, 10) + " " + text.substr(11, with_seconds ? 8 : 5);
}

}  // namespace idlewatt
