#include "analysis/floor_estimator.h"

#include <algorithm>
#include <chrono>

namespace idlewatt {

void FloorEstimator::Observe(BootTime now, double watts, bool unused) {
  constexpr auto kSpan = static_cast<int64_t>(kBuckets);
  const int64_t minute = std::chrono::floor<std::chrono::minutes>(now.time_since_epoch()).count();
  if (minute_ < 0 || minute - minute_ >= kSpan) {
    lowest_.fill(kNone);
    minute_ = minute;
  }
  while (minute_ < minute) lowest_[static_cast<size_t>(++minute_) % kBuckets] = kNone;
  if (unused && watts > 0) {
    double& lowest = lowest_[static_cast<size_t>(minute_) % kBuckets];
    lowest = std::min(lowest, watts);
  }
  const double floor = *std::min_element(lowest_.begin(), lowest_.end());
  floor_ = floor == kNone ? std::nullopt : std::optional(floor);
}

}  // namespace idlewatt
