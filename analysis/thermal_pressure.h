#pragma once

#include <string>
#include <string_view>

#include "collector/frame.h"
#include "collector/snapshot.h"

namespace idlewatt {

enum class ThermalLevel { kNominal = 0, kFair = 1, kSerious = 2, kCritical = 3 };

// "nominal", "fair", "serious", "critical".
std::string_view ThermalLevelName(ThermalLevel level);

// How near the machine is to its limits of heat, in one number.
// Source:  of a snapshot: temperatures of chips with the limits of their own chip, thermal zones
//          with their trip points, throttle counts, cooling devices. The rule and its reasons are
//          in docs/thermal.md.
// Errors:  what is absurd (a sensor's fault value, a limit that nobody set) is not looked at. When
//          nothing tells of heat there is no level, and a refused source.
// Threads: one.
class ThermalPressure {
 public:
  // What was found in one tick.
  struct State {
    ThermalLevel level = ThermalLevel::kNominal;
    std::string cause;  // "Core 0 of coretemp-isa-0000 is at 98 °C, crit is 100 °C"; empty: nominal
    // What could be judged.
    int temperatures = 0;
    int throttle_counts = 0;
    int slowing_devices = 0;
  };

  // Judges the tick in `snapshot`, whatever was before it. Null when the machine tells nothing of
  // heat; else valid until the next tick.
  const State* Judge(const Snapshot& snapshot);
  // The same, and publishes what it found.
  void Update(const Snapshot& snapshot, Readings& out);
  // As of the last tick, and null before the first.
  const State* state() const;
  // What could be judged in the last tick, in words.
  SourceStatus Source() const;

 private:
  State state_;  // its text keeps its memory
};

}  // namespace idlewatt
