#include "collector/battery_sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/text.h"
#include "base/units.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kCharge{"idlewatt_battery_charge_ratio",
                         kGauge,
                         "ratio",
                         {{"battery"}},
                         "Charge of a battery, 1 is full"};
constexpr Metric kDischarging{"idlewatt_battery_discharging",
                              kGauge,
                              "",
                              {{"battery"}},
                              "1 while the machine runs from this battery"};
constexpr std::array<const Metric*, 3> kMetrics{&kCharge, &kDischarging, &metrics::kPowerWatts};
// No battery of one machine gives more; drivers give numbers like INT64_MAX for "not known".
constexpr double kMaxWatts = 1e5;
constexpr std::string_view kClass = "class/power_supply";

}  // namespace

const SamplerInfo& BatterySampler::Info() {
  static constexpr SamplerInfo kInfo{"battery", "Charge of the batteries and power drawn from them",
                                     true, kMetrics};
  return kInfo;
}

Result<void> BatterySampler::Read(TimePoint /*now*/, Readings& out) {
  const auto names = sys_.List(kClass);
  std::set<std::string> used;
  int batteries = 0;
  bool any_discharging = false;
  std::optional<double> system_watts = 0.0;
  for (const std::string& entry : names.value_or(std::vector<std::string>())) {
    const std::string folder = std::string(kClass) + "/" + entry;
    if (!IsSystemBattery(folder)) continue;
    ++batteries;
    const std::string name = UniqueName(ToValidUtf8(entry), used);
    const Result<std::string> status = sys_.Read(folder + "/status");
    if (!status) {
      out.AddRefused("battery:" + name, "charge and power", status.error());
      continue;
    }
    const bool discharging = Trim(*status) == "Discharging";
    out.Add(kDischarging, {name}, discharging ? 1 : 0);
    if (const auto charge = ChargeRatio(folder)) out.Add(kCharge, {name}, *charge);
    bool has_power = false;
    if (discharging) {
      any_discharging = true;
      const std::optional<double> watts = Watts(folder);
      has_power = watts.has_value();
      if (!watts) {
        out.AddRefused("battery:" + name + "/power", "power of the machine",
                       Error{ErrorCode::kNoData, sys_.PathOf(folder), 0,
                             "has neither power_now nor current_now and voltage_now that can be"});
      }
      // One battery that does not say how much it gives makes the sum unknown.
      system_watts = system_watts && watts ? std::optional(*system_watts + *watts) : std::nullopt;
    }
    out.AddSource("battery:" + name, !discharging ? "charge (not discharging)"
                                     : has_power  ? "charge, power"
                                                  : "charge");
  }
  if (batteries == 0) {
    return Error{ErrorCode::kNoData, sys_.PathOf(kClass), 0, "has no battery"};
  }
  if (any_discharging && system_watts) {
    out.Add(metrics::kPowerWatts, {"battery", "system"}, *system_watts);
  }
  return {};
}

// Mice and headsets have batteries too (scope Device).
bool BatterySampler::IsSystemBattery(const std::string& folder) const {
  const Result<std::string> type = sys_.Read(folder + "/type");
  if (!type || Trim(*type) != "Battery") return false;
  const Result<std::string> scope = sys_.Read(folder + "/scope");
  if (scope && Trim(*scope) == "Device") return false;
  return sys_.ReadInt(folder + "/present").value_or(1) != 0;
}

std::optional<double> BatterySampler::ChargeRatio(const std::string& folder) const {
  for (const std::string quantity : {"energy", "charge"}) {
    const Result<int64_t> now = sys_.ReadInt(folder + "/" + quantity + "_now");
    const Result<int64_t> full = sys_.ReadInt(folder + "/" + quantity + "_full");
    if (now && full && *full > 0 && *now >= 0) {
      return std::min(static_cast<double>(*now) / static_cast<double>(*full), 1.0);
    }
  }
  const Result<int64_t> percent = sys_.ReadInt(folder + "/capacity");
  if (!percent || *percent < 0) return std::nullopt;
  return std::min(static_cast<double>(*percent) / 100, 1.0);
}

// Some drivers give a negative number while discharging; the direction is known from the status.
std::optional<double> BatterySampler::Watts(const std::string& folder) const {
  const Result<int64_t> power = sys_.ReadInt(folder + "/power_now");
  if (power && std::fabs(Microwatts{*power}.Si()) <= kMaxWatts) {
    return std::fabs(Microwatts{*power}.Si());
  }
  const Result<int64_t> current = sys_.ReadInt(folder + "/current_now");
  const Result<int64_t> voltage = sys_.ReadInt(folder + "/voltage_now");
  if (!current || !voltage) return std::nullopt;
  const double watts = static_cast<double>(*current) * 1e-6 * static_cast<double>(*voltage) * 1e-6;
  return std::fabs(watts) <= kMaxWatts ? std::optional(std::fabs(watts)) : std::nullopt;
}

}  // namespace idlewatt
