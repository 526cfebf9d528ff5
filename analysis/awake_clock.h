#pragma once

#include <chrono>
#include <optional>

#include "collector/snapshot.h"

namespace idlewatt {

// CPU seconds of all CPUs together between the last two readings of the host.
struct HostTime {
  double busy = 0;  // neither idle nor waiting for I/O
  double all = 0;
};
// Nothing at the first reading of the host.
std::optional<HostTime> HostTimeUsed(const Snapshot& snapshot);

// Was the host read in this tick?
bool IsHostFresh(const Snapshot& snapshot);

// Time in which the machine was awake. The boot clock runs on while a machine is suspended, the
// counters of CPU time (idle included) do not: what is missing in them was slept.
// Threads: one.
class AwakeClock {
 public:
  // Takes the tick in `snapshot`; must see every tick. Where the host is not read, or its CPU time
  // stands still altogether, nothing is known and the machine counts as awake.
  void Update(const Snapshot& snapshot);

  // The boot clock of the last tick less everything slept since the first one.
  std::chrono::nanoseconds Now() const { return now_ - slept_; }
  // Time awake between the last two readings of the host, when the last was in this tick.
  std::chrono::nanoseconds Step() const { return step_; }
  // Everything slept since the first tick.
  std::chrono::nanoseconds Slept() const { return slept_; }

 private:
  std::chrono::nanoseconds now_{0};
  std::chrono::nanoseconds step_{0};
  std::chrono::nanoseconds slept_{0};
  double cpus_ = 1;  // CPU seconds that pass in a second
};

}  // namespace idlewatt
