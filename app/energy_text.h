// How reports write energy, power, money and time: with the digits that mean something. Pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace idlewatt {

inline constexpr double kJoulesOfWattHour = 3600;

// "0 Wh", "0.004 Wh", "0.8 Wh", "12.3 Wh", "512 Wh", "1.25 kWh", "12.3 MWh".
std::string EnergyText(double joules);
// "0.85 W", "12.3 W", "512 W", "1.25 kW".
std::string PowerText(double watts);
// "34 %"; below ten "3.4 %".
std::string ShareText(double share);
// "2d 3h": the two largest units; "0s" for less than one.
std::string SecondsText(double seconds);
// "512 MiB", "1.5 GiB".
std::string MemoryText(double bytes);

// One unit and one number of decimals for a whole column or axis, by its largest value.
class EnergyScale {
 public:
  explicit EnergyScale(double most_joules);
  const std::string& unit() const { return unit_; }  // "Wh", "kWh", "MWh"
  double joules() const { return joules_; }          // of one such unit
  std::string Number(double joules) const;           // without the unit

 private:
  std::string unit_ = "Wh";
  double joules_ = kJoulesOfWattHour;
  int decimals_ = 1;
};

// What energy costs.
struct EnergyPrice {
  double per_kwh = 0;    // 1e-6 to 1e9
  std::string currency;  // as people write it behind a number; may be empty

  // Errors: kInvalid for what is no positive number.
  static Result<EnergyPrice> Parse(std::string_view per_kwh, std::string_view currency);

  double CostOf(double joules) const { return joules / (1000 * kJoulesOfWattHour) * per_kwh; }
  // "0.38 EUR", "0.0042 EUR", without a currency "0.38".
  std::string CostText(double joules) const;
  // Without the currency.
  std::string CostNumber(double joules) const;
  // "0.30 EUR/kWh", without a currency "0.30/kWh".
  std::string ToString() const;
};

// "2026-11-21 03:37", with seconds "2026-11-21 03:37:12"; UTC.
std::string UtcText(WallTime time, bool with_seconds = false);

}  // namespace idlewatt
