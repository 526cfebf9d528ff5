// Hours and days of UTC, in milliseconds since 1970.
#pragma once

#include <cstdint>
#include <limits>

namespace idlewatt {

inline constexpr int64_t kHourMs = 3'600'000;
inline constexpr int64_t kDayMs = 24 * kHourMs;

// The last multiple of `step_ms` that is not after `time_ms`, also before 1970.
inline int64_t FloorTo(int64_t time_ms, int64_t step_ms) {
  int64_t remainder = time_ms % step_ms;
  if (remainder < 0) remainder += step_ms;
  if (time_ms < std::numeric_limits<int64_t>::min() + remainder) return time_ms;
  return time_ms - remainder;
}

// a + b, or the nearest number that there is.
inline int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

}  // namespace idlewatt
