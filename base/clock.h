// Time: the boot clock for durations (it counts suspend), the wall clock for display and storage.
#pragma once

#include <chrono>
#include <string>

namespace idlewatt {

// Tag of CLOCK_BOOTTIME: nanoseconds since boot, suspend included, never set by anybody.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

// Milliseconds since 1970-01-01 UTC. May jump in both directions.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

struct TimePoint {
  WallTime wall;
  BootTime boot;
};

inline double ToSeconds(std::chrono::nanoseconds d) {
  return std::chrono::duration<double>(d).count();
}

// RFC 3339 in UTC with milliseconds: "2026-11-21T03:37:00.000Z".
std::string FormatWallTime(WallTime t);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

// Threads: any.
class RealClock final : public Clock {
 public:
  TimePoint Now() const override;
};

// A clock that stands still until it is moved. Threads: one.
class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  void Advance(std::chrono::nanoseconds d) {
    now_.boot += d;
    now_.wall += std::chrono::duration_cast<std::chrono::milliseconds>(d);
  }
  // Sets the wall clock alone, as an administrator or NTP does.
  void SetWall(WallTime wall) { now_.wall = wall; }

 private:
  TimePoint now_{WallTime(std::chrono::milliseconds(1'700'000'000'000)),
                 BootTime(std::chrono::seconds(1000))};
};

}  // namespace idlewatt
