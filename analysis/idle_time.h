#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "collector/idle_interval.h"

namespace idlewatt {

// What unloading a service would have saved, each time after it was idle for so long.
struct UnloadOutcome {
  int minutes = 0;
  double joules = 0;  // saved
  int64_t loads = 0;  // how often it would have been loaded again, because it was used
};

// Minutes of idleness after which unloading is tried.
inline constexpr std::array kUnloadMinutes{5, 10, 15, 30, 60, 120};

// What of the idle intervals of a service lies in a window. What an interval used is spread evenly
// over it.
struct IdleTime {
  int64_t intervals = 0;
  double seconds = 0;
  std::optional<double> longest_seconds;
  std::optional<double> joules, cpu_seconds;
  double cpu_known_seconds = 0;  // of `seconds`, those whose CPU time is known
  std::optional<int64_t> peak_bytes;
  std::array<UnloadOutcome, kUnloadMinutes.size()> unloads{};  // as kUnloadMinutes
};

// Sums the intervals of one service up, of which it keeps none.
class IdleTimeSum {
 public:
  // The window, wall clock.
  IdleTimeSum(int64_t since_ms, int64_t until_ms);

  // A whole one that overlaps the window; by start. One of no length adds no time. What was
  // unloaded when one was cut (by a gap, a suspend, the end of the daemon) stays so until an
  // interval ends by use, or because the service is stopped.
  void Add(const IdleInterval& interval);
  const IdleTime& time() const { return time_; }

 private:
  void AddTime(const IdleInterval& interval);
  void AddUnload(const IdleInterval& interval, size_t number);

  int64_t since_ms_, until_ms_;
  IdleTime time_;
  std::array<bool, kUnloadMinutes.size()> unloaded_{};  // at the end of the last interval
};

}  // namespace idlewatt
