#include "collector/hwmon_sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr LabelNames kSensorLabels{{"chip", "sensor", "label"}};
constexpr Metric kFan{"idlewatt_fan_rpm", kGauge, "", kSensorLabels, "Turns of a fan per minute"};
constexpr Metric kVoltage{"idlewatt_voltage_volts", kGauge, "volts", kSensorLabels,
                          "Voltage of a sensor of a hardware monitoring chip"};
constexpr Metric kCurrent{"idlewatt_current_amperes", kGauge, "amperes", kSensorLabels,
                          "Current of a sensor of a hardware monitoring chip"};
constexpr std::array<const Metric*, 7> kMetrics{
    &metrics::kTemperature, &metrics::kTemperatureLimit, &kFan, &kVoltage, &kCurrent,
    &metrics::kPowerWatts,  &metrics::kEnergyJoules};

// The ACPI power meter measures the whole machine; any other channel is named after its chip.
std::string DomainOf(const SensorReading& reading) {
  if (reading.chip == "power_meter-acpi-0") return "system";
  return reading.chip + ":" + reading.label;
}

// A label may be on two sensors of a chip; their domains must not be one.
std::string UniqueDomain(const SensorReading& reading, std::set<std::string>& domains) {
  const std::string domain = DomainOf(reading);
  if (domains.insert(domain).second) return domain;
  return UniqueName(domain + " (" + reading.sensor + ")", domains);
}

// Drivers give numbers like INT64_MAX for what they do not know, and firmware 0 K.
bool IsPossible(SensorKind kind, double value) {
  constexpr double kAbsoluteZero = -273.15;
  switch (kind) {
    case SensorKind::kTemperature:
      return value > kAbsoluteZero && value < 1e5;
    case SensorKind::kEnergy:
      return value >= 0 && value <= 1e15;
    default:
      return std::fabs(value) <= 1e9;
  }
}

}  // namespace

const SamplerInfo& HwmonSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "hwmon", "Sensors of the hardware monitoring chips, through libsensors", true, kMetrics};
  return kInfo;
}

Result<void> HwmonSampler::Read(TimePoint /*now*/, Readings& out) {
  const Result<std::vector<SensorReading>> read = sensors_->Read();
  if (!read) {
    const bool no_chip = read.error().code == ErrorCode::kNoData;
    out.AddRefused(
        "hwmon", std::string(Info().help), read.error(),
        no_chip ? "load the drivers that sensors-detect finds; a virtual machine has none" : "");
    return read.error();
  }
  const std::vector<SensorReading>& readings = *read;
  std::map<std::string, int> sensors;  // by chip
  Domains domains;
  for (const SensorReading& reading : readings) {
    if (IsExcluded(reading)) continue;
    ++sensors[reading.chip];
    if (reading.value && !IsPossible(reading.kind, *reading.value)) {
      out.AddRefused("hwmon:" + reading.chip + "/" + reading.sensor, reading.label,
                     Error{ErrorCode::kParse, reading.chip + "/" + reading.sensor, 0,
                           "gives " + std::to_string(*reading.value) + ", which cannot be"});
    } else if (reading.value) {
      Publish(reading, domains, out);
    } else {
      out.AddRefused("hwmon:" + reading.chip + "/" + reading.sensor, reading.label,
                     reading.value.error());
    }
  }
  for (const auto& [chip, count] : sensors) {
    out.AddSource("hwmon:" + chip, std::to_string(count) + " sensors");
  }
  return {};
}

bool HwmonSampler::IsExcluded(const SensorReading& reading) const {
  const auto is_in = [&](const std::vector<std::string>& patterns) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
      return GlobMatch(pattern, reading.chip);
    });
  };
  if (is_in(options_.exclude_chips)) return true;
  const bool is_power = reading.kind == SensorKind::kPower || reading.kind == SensorKind::kEnergy;
  return is_power && is_in(options_.power_elsewhere);
}

void HwmonSampler::Publish(const SensorReading& reading, Domains& domains, Readings& out) const {
  const auto add = [&](const Metric& metric) {
    out.Add(metric, {reading.chip, reading.sensor, reading.label}, *reading.value);
  };
  switch (reading.kind) {
    case SensorKind::kTemperature:
      add(metrics::kTemperature);
      for (const auto& [limit, value] : reading.limits) {
        if (std::fabs(value) > 1e5) continue;  // "no limit"
        out.Add(metrics::kTemperatureLimit, {reading.chip, reading.sensor, reading.label, limit},
                value);
      }
      break;
    case SensorKind::kFan:
      add(kFan);
      break;
    case SensorKind::kVoltage:
      add(kVoltage);
      break;
    case SensorKind::kCurrent:
      add(kCurrent);
      break;
    case SensorKind::kPower:
      if (!options_.power) break;
      out.Add(metrics::kPowerWatts, {"hwmon", UniqueDomain(reading, domains.power)},
              *reading.value);
      break;
    case SensorKind::kEnergy:
      if (!options_.power) break;
      out.Add(metrics::kEnergyJoules, {"hwmon", UniqueDomain(reading, domains.energy)},
              *reading.value);
      break;
  }
}

}  // namespace idlewatt
