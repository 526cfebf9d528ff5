#include "base/clock.h"

#include <time.h>

#include <array>
#include <cstdio>

namespace idlewatt {

TimePoint RealClock::Now() const {
  auto read = [](clockid_t id) {
    timespec ts{};
    clock_gettime(id, &ts);
    return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
  };
  const std::chrono::nanoseconds wall = read(CLOCK_REALTIME);
  return {WallTime(std::chrono::floor<std::chrono::milliseconds>(wall)),
          BootTime(read(CLOCK_BOOTTIME))};
}

std::string FormatWallTime(WallTime t) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(t);
  const time_t unix_seconds = seconds.time_since_epoch().count();
  const auto millis = static_cast<int>((t - seconds).count());
  tm utc{};
  gmtime_r(&unix_seconds, &utc);
  std::array<char, 96> buffer{};
  // Not strftime: it writes the year 33 as "33".
  std::snprintf(buffer.data(), buffer.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                utc.tm_sec, millis);
  return buffer.data();
}

}  // namespace idlewatt
