#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/clock.h"

namespace idlewatt {

// The lowest power a domain drew while it was unused, over the last hour (to the minute).
// Threads: one.
class FloorEstimator {
 public:
  // Power of 0 W is a counter that stood still, not a floor.
  void Observe(BootTime now, double watts, bool unused);
  // As of the last observation; nothing until the domain has been seen unused.
  std::optional<double> Watts() const { return floor_; }

 private:
  static constexpr size_t kBuckets = 60;  // of one minute
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  std::array<double, kBuckets> lowest_{};
  int64_t minute_ = -1;  // of the newest bucket; -1 before the first observation
  std::optional<double> floor_;
};

}  // namespace idlewatt
