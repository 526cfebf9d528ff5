#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

#include "base/clock.h"

namespace idlewatt {

// How the memory of a service grew over the last hour, as far as it was seen.
struct MemoryGrowth {
  double bytes_per_hour = 0;  // of the floor, by Theil and Sen
  // The same, of that half of the time in which it grew less.
  double slower_half_bytes_per_hour = 0;
  // Share of all pairs of floors that rise, at least half as fast as `bytes_per_hour` says; 0 to 1.
  // 1 is a straight line, 0.45 is noise.
  double rising_share = 0;
  double first_bytes = 0;  // the first and the last floor
  double last_bytes = 0;
  std::chrono::minutes span{0};  // from the first point to the last

  // Growth that goes on, as that of a leak does: in both halves of the time, and in most pairs.
  bool IsSteady() const;
};

// The growth of the memory of one service over the last hour, told from what only looks like it:
// a model that is loaded, a garbage collector, noise.
//
// A point is the mean of a minute. A floor is the least of ten points in a row: what a garbage
// collector leaves, if it runs every ten minutes or more often. The slope is that of Theil and Sen,
// the median of the slopes of all pairs of floors, which up to 29 % wild points do not move. Two
// more signs are needed, for one step lies between half of all pairs when it is in the middle of
// the hour, and then the median is a slope that was never there:
// - the share of pairs that rise (Kendall's tau, counted from 0 to 1), here only of those that rise
//   half as fast as the slope says. A line has nearly all pairs. A step has 51 % at most, however
//   high it is: two floors on the same level do not rise as fast. So have slow sawteeth;
// - the slower half. After a step, and when caches are full, nothing grows any more.
// What no hour can tell: a collector that runs less often than every half hour, until it ran.
//
// Errors:  what is not a number, below 0 or older than what was observed before is not looked at.
// Threads: one.
// Owns:    1.1 kB, and never allocates.
class MemoryTrend {
 public:
  // At every tick. Points of history come first, in the order of time. `bytes` is what the service
  // uses now. At the first tick of a minute the growth is computed anew.
  void Observe(BootTime now, double bytes);
  // The service was started anew: what it was before says nothing.
  void Reset();
  // As of the last full minute. Nothing before 30 minutes of the last hour were seen. What was not
  // seen (the daemon was down, the machine slept) is left out.
  const std::optional<MemoryGrowth>& Growth() const { return growth_; }

 private:
  static constexpr size_t kPoints = 60;
  static constexpr size_t kFloorPoints = 10;
  static constexpr size_t kMostFloors = kPoints - kFloorPoints + 1;

  struct Point {
    std::chrono::minutes minute{0};  // of the boot clock
    double bytes = 0;
  };

  void EndMinute();
  std::optional<MemoryGrowth> Compute() const;

  std::array<Point, kPoints> points_;  // the first `count_`, by time
  size_t count_ = 0;
  std::optional<BootTime> last_;  // observed
  double sum_ = 0;                // of the minute of `last_`
  size_t observed_ = 0;           // in it
  std::optional<MemoryGrowth> growth_;
};

}  // namespace idlewatt
