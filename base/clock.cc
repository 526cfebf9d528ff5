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
  std::array<char, 48> buffer{};
  const size_t used = strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(buffer.data() + used, buffer.size() - used, ".%03dZ", millis);
  return buffer.data();
}

}  // namespace idlewatt
