// What storage knows of one measured value, and how such values are put in order.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace idlewatt {

struct Point {
  int64_t time_ms = 0;  // wall clock
  double value = 0;
};

inline bool IsEarlier(const Point& a, const Point& b) { return a.time_ms < b.time_ms; }

// The same time and the same bits: measured once, told twice.
inline bool IsSame(const Point& a, const Point& b) {
  return a.time_ms == b.time_ms &&
         std::bit_cast<uint64_t>(a.value) == std::bit_cast<uint64_t>(b.value);
}

// Leaves out each point that stands at its time already. `points` must be in the order of time,
// which stays.
inline void DropRepeats(std::vector<Point>& points) {
  // Of more values than these at one time, which no honest clock gives, only these are compared.
  constexpr size_t kMostCompared = 16;
  size_t kept = 0;
  for (const Point& point : points) {
    bool repeated = false;
    for (size_t back = 1; back <= std::min(kept, kMostCompared) && !repeated; ++back) {
      if (points[kept - back].time_ms != point.time_ms) break;
      repeated = IsSame(points[kept - back], point);
    }
    if (!repeated) points[kept++] = point;
  }
  points.resize(kept);
}

}  // namespace idlewatt
