#include "analysis/thermal_pressure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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

struct Limit {
  double celsius = 0;
  std::string_view name;
};

// What one sensor or zone may not exceed. All are optional; those that make no sense are left out.
struct Limits {
  std::optional<Limit> fair;      // fans at full, or the first of several steps
  std::optional<Limit> serious;   // the machine is made slower
  std::optional<Limit> critical;  // the machine is switched off
  bool Any() const { return fair || serious || critical; }
};

constexpr std::string_view kFirstLimit = "its first limit";

// Short enough to stand in the string itself, without memory of its own.
std::string Degrees(double celsius) {
  return std::to_string(static_cast<int64_t>(std::lround(celsius))) + " °C";
}

using Words = std::initializer_list<std::string_view>;

void Append(std::string& text, Words words) {
  for (const std::string_view word : words) text += word;
}

// The worst finding counts, of several the first. The others need no text.
void Raise(State& state, ThermalLevel level, Words cause) {
  if (level <= state.level) return;
  state.level = level;
  state.cause.clear();
  Append(state.cause, cause);
}

// What a temperature means, and the limit that says so.
struct Excess {
  ThermalLevel level = kNominal;
  Limit limit;
};

Excess ExcessOf(double celsius, const Limits& limits) {
  const auto& [fair, serious, critical] = limits;
  const auto is_near = [&](const std::optional<Limit>& limit, double distance) {
    return limit && celsius >= limit->celsius - distance;
  };
  if (is_near(critical, kNearCritical)) return {kCritical, *critical};
  if (is_near(serious, 0)) return {kSerious, *serious};
  if (is_near(serious, kNearLimit)) return {kFair, *serious};
  if (is_near(fair, 0)) return {kFair, *fair};
  if (!serious && is_near(critical, kApproachingCritical)) return {kFair, *critical};
  return {};
}

void JudgeTemperature(Words who, double celsius, const Limits& limits, State& state) {
  ++state.temperatures;
  const auto [level, limit] = ExcessOf(celsius, limits);
  if (level <= state.level) return;
  Raise(state, level, who);
  Append(state.cause,
         {" is at ", Degrees(celsius), ", ", limit.name, " is ", Degrees(limit.celsius)});
}

// How the labels of `series` stand to those of `owner`, whatever more it has: below 0 before them,
// 0 where they begin with them, above 0 behind them.
int Order(const Series& series, const Series& owner) {
  for (size_t i = 0; i < owner.labels.size(); ++i) {
    if (const int order = series.labels[i].compare(owner.labels[i]); order != 0) return order;
  }
  return 0;
}

// Takes off the front of `rest` the limits, trips or range of `owner`: what begins with its labels.
// All families are in the order of their labels, so one walk through two of them finds what belongs
// together, and what stands before it belongs to nobody who is asked for later.
std::span<const SnapshotValue> TakeOf(const Series& owner, std::span<const SnapshotValue>& rest) {
  size_t first = 0;
  while (first < rest.size() && Order(*rest[first].series, owner) < 0) ++first;
  size_t last = first;
  while (last < rest.size() && Order(*rest[last].series, owner) == 0) ++last;
  const auto own = rest.subspan(first, last - first);
  rest = rest.subspan(last);
  return own;
}

// Chips of main boards whose inputs may hang in the air and whose limits are what the chip starts
// with, not what anybody set.
bool IsBoardChip(std::string_view chip) {
  constexpr std::array<std::string_view, 8> kDrivers{"nct6", "nct7", "it8",    "w83",
                                                     "f71",  "sch5", "smsc47", "pc87"};
  return std::any_of(kDrivers.begin(), kDrivers.end(),
                     [&](std::string_view driver) { return chip.starts_with(driver); });
}

// The limit `name` of a sensor.
std::optional<Limit> FindLimit(std::span<const SnapshotValue> limits, std::string_view name) {
  for (const SnapshotValue& limit : limits) {
    if (limit.series->labels.back() != name || !IsLimit(limit.value)) continue;
    return Limit{limit.value, name};
  }
  return std::nullopt;
}

Limits ChipLimits(std::span<const SnapshotValue> limits) {
  Limits out;
  out.critical = FindLimit(limits, "crit");
  const std::optional<Limit> emergency = FindLimit(limits, "emergency");
  if (emergency && (!out.critical || emergency->celsius < out.critical->celsius)) {
    out.critical = emergency;
  }
  const std::optional<Limit> max = FindLimit(limits, "max");
  if (!max || (out.critical && max->celsius > out.critical->celsius)) return out;
  if (out.critical && max->celsius < out.critical->celsius - kFanGap) {
    out.fair = Limit{max->celsius, kFirstLimit};
  } else {
    out.serious = max;
  }
  return out;
}

// The trips of these zones tell user space of a change; nothing is bound to them.
bool OnlyNotifies(std::string_view zone_type) {
  return zone_type == "x86_pkg_temp" || zone_type.starts_with("iwlwifi");
}

struct Trips {
  double lowest = 0;
  double highest = 0;
};

// The trips of a kind ("passive", "passive#2", …) that are at most `most`; nothing without any.
std::optional<Trips> FindTrips(std::span<const SnapshotValue> trips, std::string_view kind,
                               double most = std::numeric_limits<double>::infinity()) {
  std::optional<Trips> found;
  for (const SnapshotValue& trip : trips) {
    const std::string_view name = trip.series->labels.back();
    if (name.substr(0, name.find('#')) != kind || !IsLimit(trip.value) || trip.value > most) {
      continue;
    }
    if (!found) found = Trips{trip.value, trip.value};
    found->lowest = std::min(found->lowest, trip.value);
    found->highest = std::max(found->highest, trip.value);
  }
  return found;
}

Limits ZoneLimits(std::span<const SnapshotValue> trips) {
  Limits out;
  double most = std::numeric_limits<double>::infinity();
  if (const auto critical = FindTrips(trips, "critical")) {
    most = critical->lowest;
    out.critical = Limit{most, "the critical trip"};
  }
  if (const auto hot = FindTrips(trips, "hot", most)) {
    out.serious = Limit{hot->lowest, "the hot trip"};
  }
  const std::optional<Trips> passive = FindTrips(trips, "passive", most);
  if (!passive) return out;
  // Of several passive trips the lower ones are where a governor begins to look.
  if (!out.serious || passive->highest < out.serious->celsius) {
    out.serious = Limit{passive->highest, "the passive trip"};
  }
  if (passive->lowest < passive->highest) out.fair = Limit{passive->lowest, kFirstLimit};
  return out;
}

void JudgeZones(const Snapshot& snapshot, State& state) {
  std::span<const SnapshotValue> trips = snapshot.Family(metrics::kZoneTripCelsius);
  for (const SnapshotValue& zone : snapshot.Family(metrics::kZoneCelsius)) {
    const std::string& number = zone.series->labels[0];
    const std::string& type = zone.series->labels[1];
    if (!IsTemperature(zone.value) || OnlyNotifies(type)) continue;
    const Limits limits = ZoneLimits(TakeOf(*zone.series, trips));
    if (!limits.Any()) continue;
    JudgeTemperature({"thermal zone ", number, " (", type, ")"}, zone.value, limits, state);
  }
}

void JudgeChips(const Snapshot& snapshot, bool board_chips, State& state) {
  std::span<const SnapshotValue> all_limits = snapshot.Family(metrics::kTemperatureLimit);
  for (const SnapshotValue& sensor : snapshot.Family(metrics::kTemperature)) {
    const std::string& chip = sensor.series->labels[0];
    const std::string& label = sensor.series->labels[2];
    if (!IsTemperature(sensor.value) || IsBoardChip(chip) != board_chips) continue;
    const Limits limits = ChipLimits(TakeOf(*sensor.series, all_limits));
    if (!limits.Any()) continue;
    JudgeTemperature({label, " of ", chip}, sensor.value, limits, state);
  }
}

void JudgeThrottling(const Snapshot& snapshot, State& state) {
  for (const SnapshotValue& count : snapshot.Family(metrics::kThrottleEvents)) {
    ++state.throttle_counts;
    if (count.Increase().value_or(0) <= 0) continue;
    const std::vector<std::string>& labels = count.series->labels;
    Raise(state, kSerious, {labels[0], " ", labels[1], " was slowed down because of heat"});
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
  std::span<const SnapshotValue> ranges = snapshot.Family(metrics::kCoolingMaxState);
  for (const SnapshotValue& device : snapshot.Family(metrics::kCoolingState)) {
    const std::string& number = device.series->labels[0];
    const std::string& type = device.series->labels[1];
    const auto range = TakeOf(*device.series, ranges);
    const double most = range.empty() ? 0 : range.front().value;
    const auto raise = [&](ThermalLevel level, std::string_view what) {
      Raise(state, level, {"cooling device ", number, " (", type, ") ", what});
    };
    if (Slows(type)) {
      ++state.slowing_devices;
      if (most > 0 && device.value > most / 2) {
        raise(kSerious, "slows the machine by more than half of what it can");
      } else if (device.value > 0) {
        raise(kFair, "slows the machine");
      }
    } else if (IsFan(type) && most >= 2 && device.value >= most) {
      // A fan of one step is at its maximum whenever it runs.
      raise(kFair, "runs as fast as it can");
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

const State* ThermalPressure::Judge(const Snapshot& snapshot) {
  state_.level = kNominal;
  state_.cause.clear();
  state_.temperatures = state_.throttle_counts = state_.slowing_devices = 0;
  JudgeZones(snapshot, state_);
  JudgeChips(snapshot, false, state_);
  // Chips of main boards are heard only where nobody else speaks.
  if (state_.temperatures == 0) JudgeChips(snapshot, true, state_);
  JudgeThrottling(snapshot, state_);
  JudgeCoolingDevices(snapshot, state_);
  return state();
}

const State* ThermalPressure::state() const {
  const bool any = state_.temperatures + state_.throttle_counts + state_.slowing_devices > 0;
  return any ? &state_ : nullptr;
}

void ThermalPressure::Update(const Snapshot& snapshot, Readings& out) {
  if (Judge(snapshot) == nullptr) return;
  out.Add(metrics::kThermalPressure, {}, static_cast<double>(state_.level));
}

SourceStatus ThermalPressure::Source() const {
  SourceStatus source{"thermal_pressure", "how near the machine is to its limits of heat", {}, {}};
  if (state() == nullptr) {
    source.error = Error{ErrorCode::kNoData, "thermal_pressure", 0,
                         "no temperature with a limit, no throttle count and no cooling device "
                         "that slows the machine"};
    return source;
  }
  source.gives = "limits of heat: " + std::to_string(state_.temperatures) + " temperatures, " +
                 std::to_string(state_.throttle_counts) + " throttle counts, " +
                 std::to_string(state_.slowing_devices) + " slowing devices";
  return source;
}

}  // namespace idlewatt
