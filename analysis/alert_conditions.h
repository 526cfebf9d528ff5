// The built-in conditions of alerts: when each holds, and what is told of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "analysis/attribution.h"
#include "analysis/idle_baseline.h"
#include "analysis/idle_tracker.h"
#include "analysis/sensor_watch.h"
#include "analysis/service_table.h"
#include "analysis/service_trends.h"
#include "analysis/thermal_pressure.h"
#include "collector/snapshot.h"

namespace idlewatt {

// What conditions look at, as of the last tick.
struct AlertView {
  const Snapshot& snapshot;
  const ServiceTable& services;
  const IdleTracker& idle;
  const Attribution& energy;
  const ServiceTrends& trends;
  const ThermalPressure& thermal;
  const SensorWatch& sensors;
  const IdleBaseline& baseline;
};

// What a condition finds.
struct Finding {
  enum class Kind {
    kNone,     // it does not apply: the service is used, or gone
    kAbsent,   // nothing tells of it: as kNone, but after a start the sources come one by one
    kUnknown,  // it applies, but its value is not there: an alert stays as it is
    kValue,
  };
  Kind kind = Kind::kNone;
  double value = 0;
};

// What people read of an alert. Texts are set anew at each tick, and keep their memory.
struct AlertText {
  std::string summary;  // one sentence with the numbers
  std::string advice;
};

// The machine in the place of a service's number.
inline constexpr size_t kMachine = static_cast<size_t>(-1);

struct AlertBuiltin {
  std::string_view name;
  std::string_view unit;
  bool of_machine = false;  // one alert for the machine, not one for each service
  bool of_levels = false;   // it holds at the threshold too, and has no hysteresis
  std::optional<double> warning, critical;
  std::chrono::milliseconds hold{0};
  Finding (*find)(const AlertView& view, size_t service) = nullptr;
  // Appends to both texts.
  void (*describe)(const AlertView& view, size_t service, double value, double threshold,
                   AlertText& text) = nullptr;
};

// In the order of the documentation.
std::span<const AlertBuiltin> AlertBuiltinTable();
// Null when there is none of this name.
const AlertBuiltin* FindAlertBuiltin(std::string_view name);

}  // namespace idlewatt
