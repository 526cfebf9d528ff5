#include "analysis/thermal_pressure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum ThermalLevel;
using State = ThermalPressure::State;

constexpr double kNearCritical = 3;
constexpr double kNearLimit = 5;
// Where nothing below the critical limit is known.
constexpr double kApproachingCritical = 10;
// A `max` further below `crit` than this is where fans run at full, not where the machine suffers.
constexpr double kFanGap = 15;

// Sensors say -128, -273.15, 127, 127.5 or 255 when they are broken or not connected.
bool IsTemperature(double celsius) { return celsius > -40 && celsius < 125; }
bool IsLimit(double celsius) { return celsius >= 30 && celsius <= 150; }

// What one sensor or zone may not exceed. All are optional; those that make no sense are left out.
struct Limits {
  std::optional<double> fair;      // fans at full, or the first of several steps
  std::optional<double> serious;   // the machine is made slower
  std::optional<double> critical;  // the machine is switched off
  std::string serious_name;
  std::string critical_name;
  bool Any() const { return fair || serious || critical; }
};

std::string Degrees(double celsius) {
  return std::to_string(static_cast<int64_t>(std::lround(celsius))) + " °C";
}

void Raise(State& state, ThermalLevel level, std::string cause) {
  if (level <= state.level) return;
  state.level = level;
  state.cause = std::move(cause);
}

void JudgeTemperature(const std::string& who, double celsius, const Limits& limits, State& state) {
  const auto is = [&](std::string_view name, double limit) {
    return who + " is at " + Degrees(celsius) + ", " + std::string(name) + " is " + Degrees(limit);
  };
  ++state.temperatures;
  if (limits.critical && celsius >= *limits.critical - kNearCritical) {
    Raise(state, kCritical, is(limits.critical_name, *limits.critical));
  }
  if (limits.serious && celsius >= *limits.serious) {
    Raise(state, kSerious, is(limits.serious_name, *limits.serious));
  }
  if (limits.serious && celsius >= *limits.serious - kNearLimit) {
    Raise(state, kFair, is(limits.serious_name, *limits.serious));
  }
  if (limits.fair && celsius >= *limits.fair) {
    Raise(state, kFair, is("its first limit", *limits.fair));
  }
  if (!limits.serious && limits.critical && celsius >= *limits.critical - kApproachingCritical) {
    Raise(state, kFair, is(limits.critical_name, *limits.critical));
  }
}

// Chips of main boards whose inputs may hang in the air and whose limits are what the chip starts
// with, not what anybody set.
bool IsBoardChip(std::string_view chip) {
  constexpr std::array<std::string_view, 8> kDrivers{"nct6", "nct7", "it8",    "w83",
                                                     "f71",  "sch5", "smsc47", "pc87"};
  return std::any_of(kDrivers.begin(), kDrivers.end(),
                     [&](std::string_view driver) { return chip.starts_with(driver); });
}

// A sensor of a chip, by the labels of its temperature.
struct Sensor {
  const Series* series = nullptr;
  double celsius = 0;
  Limits limits;
};

Limits ChipLimits(const std::map<std::string_view, double>& limits) {
  const auto find = [&](std::string_view name) -> std::optional<double> {
    const auto it = limits.find(name);
    if (it == limits.end() || !IsLimit(it->second)) return std::nullopt;
    return it->second;
  };
  Limits out;
  const std::optional<double> crit = find("crit");
  const std::optional<double> emergency = find("emergency");
  const bool by_crit = crit && (!emergency || *crit <= *emergency);
  out.critical = by_crit ? crit : emergency;
  out.critical_name = by_crit ? "crit" : "emergency";
  const std::optional<double> max = find("max");
  if (!max || (out.critical && *max > *out.critical)) return out;
  if (out.critical && *max < *out.critical - kFanGap) {
    out.fair = max;
  } else {
    out.serious = max;
    out.serious_name = "max";
  }
  return out;
}

std::vector<Sensor> ChipSensors(const Snapshot& snapshot) {
  using Labels = std::vector<std::string>;
  std::map<Labels, std::map<std::string_view, double>> limits;  // by chip, sensor, label
  for (const SnapshotValue& value : snapshot.Family(metrics::kTemperatureLimit)) {
    const Labels& labels = value.series->labels;
    limits[{labels.begin(), labels.end() - 1}][labels.back()] = value.value;
  }
  std::vector<Sensor> sensors;
  for (const SnapshotValue& value : snapshot.Family(metrics::kTemperature)) {
    const auto own = limits.find(value.series->labels);
    if (own == limits.end() || !IsTemperature(value.value)) continue;
    Limits sensible = ChipLimits(own->second);
    if (sensible.Any()) sensors.push_back({value.series.get(), value.value, std::move(sensible)});
  }
  return sensors;
}

// The trips of these zones tell user space of a change; nothing is bound to them.
bool OnlyNotifies(std::string_view zone_type) {
  return zone_type == "x86_pkg_temp" || zone_type.starts_with("iwlwifi");
}

Limits ZoneLimits(std::span<const SnapshotValue> trips, const Series& zone) {
  Limits out;
  std::vector<double> passive;
  std::optional<double> hot;
  for (const SnapshotValue& trip : trips) {
    const std::vector<std::string>& labels = trip.series->labels;
    if (labels[0] != zone.labels[0] || labels[1] != zone.labels[1]) continue;
    if (!IsLimit(trip.value) || OnlyNotifies(labels[1])) continue;
    const std::string_view kind = std::string_view(labels[2]).substr(0, labels[2].find('#'));
    if (kind == "critical") out.critical = std::min(out.critical.value_or(trip.value), trip.value);
    if (kind == "hot") hot = std::min(hot.value_or(trip.value), trip.value);
    if (kind == "passive") passive.push_back(trip.value);
  }
  out.critical_name = "the critical trip";
  const auto is_absurd = [&](double trip) { return out.critical && trip > *out.critical; };
  std::erase_if(passive, is_absurd);
  if (hot && !is_absurd(*hot)) {
    out.serious = hot;
    out.serious_name = "the hot trip";
  }
  if (passive.empty()) return out;
  // Of several passive trips the lower ones are where a governor begins to look.
  const auto [lowest, highest] = std::minmax_element(passive.begin(), passive.end());
  if (!out.serious || *highest < *out.serious) {
    out.serious = *highest;
    out.serious_name = "the passive trip";
  }
  if (passive.size() > 1) out.fair = *lowest;
  return out;
}

void JudgeZones(const Snapshot& snapshot, State& state) {
  const std::span<const SnapshotValue> trips = snapshot.Family(metrics::kZoneTripCelsius);
  for (const SnapshotValue& zone : snapshot.Family(metrics::kZoneCelsius)) {
    if (!IsTemperature(zone.value)) continue;
    const Limits limits = ZoneLimits(trips, *zone.series);
    if (!limits.Any()) continue;
    const std::vector<std::string>& labels = zone.series->labels;
    JudgeTemperature("thermal zone " + labels[0] + " (" + labels[1] + ")", zone.value, limits,
                     state);
  }
}

// Chips of main boards are heard only where nobody else speaks.
void JudgeChips(const Snapshot& snapshot, State& state) {
  const std::vector<Sensor> sensors = ChipSensors(snapshot);
  const auto judge = [&](bool board_chips) {
    for (const Sensor& sensor : sensors) {
      const std::vector<std::string>& labels = sensor.series->labels;
      if (IsBoardChip(labels[0]) != board_chips) continue;
      JudgeTemperature(labels[2] + " of " + labels[0], sensor.celsius, sensor.limits, state);
    }
  };
  judge(false);
  if (state.temperatures == 0) judge(true);
}

void JudgeThrottling(const Snapshot& snapshot, State& state) {
  for (const SnapshotValue& count : snapshot.Family(metrics::kThrottleEvents)) {
    ++state.throttle_counts;
    if (count.Increase().value_or(0) <= 0) continue;
    const std::vector<std::string>& labels = count.series->labels;
    Raise(state, kSerious, labels[0] + " " + labels[1] + " was slowed down because of heat");
  }
}

// The types that drivers of the kernel give to what lowers the speed of CPU, GPU or memory.
// "TCC Offset" is a setting, radios and displays are not the machine.
bool Slows(std::string_view type) {
  constexpr std::array<std::string_view, 7> kPrefixes{
      "cpufreq-", "thermal-", "cpuidle-", "idle-", "devfreq-", "intel_powerclamp", "cpu-"};
  if (type == "Processor" || type == "Memory controller") return true;
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return type.starts_with(prefix); });
}

// "Fan", "pwm-fan", "dell-smm-fan1", "emc2305_fan0".
bool IsFan(std::string_view type) {
  return type.starts_with("Fan") || type.find("fan") != std::string_view::npos;
}

void JudgeCoolingDevices(const Snapshot& snapshot, State& state) {
  for (const SnapshotValue& device : snapshot.Family(metrics::kCoolingState)) {
    const std::string& number = device.series->labels[0];
    const std::string& type = device.series->labels[1];
    const SnapshotValue* max = snapshot.Find(metrics::kCoolingMaxState, {number, type});
    const double most = max == nullptr ? 0 : max->value;
    const std::string who = "cooling device " + number + " (" + type + ")";
    if (Slows(type)) {
      ++state.slowing_devices;
      if (most > 0 && device.value > most / 2) {
        Raise(state, kSerious, who + " slows the machine by more than half of what it can");
      } else if (device.value > 0) {
        Raise(state, kFair, who + " slows the machine");
      }
    } else if (IsFan(type) && most >= 2 && device.value >= most) {
      // A fan of one step is at its maximum whenever it runs.
      Raise(state, kFair, who + " runs as fast as it can");
    }
  }
}

}  // namespace

std::string_view ThermalLevelName(ThermalLevel level) {
  switch (level) {
    case kNominal:
      return "nominal";
    case kFair:
      return "fair";
    case kSerious:
      return "serious";
    case kCritical:
      return "critical";
  }
  return "nominal";
}

std::optional<State> ThermalPressure::Judge(const Snapshot& snapshot) {
  State state;
  JudgeZones(snapshot, state);
  JudgeChips(snapshot, state);
  JudgeThrottling(snapshot, state);
  JudgeCoolingDevices(snapshot, state);
  if (state.temperatures + state.throttle_counts + state.slowing_devices == 0) return std::nullopt;
  return state;
}

void ThermalPressure::Update(const Snapshot& snapshot, Readings& out) {
  state_ = Judge(snapshot);
  if (!state_) {
    out.AddRefused("thermal_pressure", "how near the machine is to its limits of heat",
                   Error{ErrorCode::kNoData, "thermal_pressure", 0,
                         "no temperature with a limit, no throttle count and no cooling device "
                         "that slows the machine"});
    return;
  }
  out.Add(metrics::kThermalPressure, {}, static_cast<double>(state_->level));
  out.AddSource("thermal_pressure",
                "limits of heat: " + std::to_string(state_->temperatures) + " temperatures, " +
                    std::to_string(state_->throttle_counts) + " throttle counts, " +
                    std::to_string(state_->slowing_devices) + " slowing devices");
}

}  // namespace idlewatt
