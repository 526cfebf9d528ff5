#include "supervisor/status.h"

#include <algorithm>

namespace idlewatt {

void StartDurations::Add(double seconds) {
  // A bound belongs to the bucket below it, as Prometheus has it.
  const auto bound = std::ranges::lower_bound(kBounds, seconds);
  ++counts[static_cast<size_t>(bound - kBounds.begin())];
  sum_seconds += seconds;
}

}  // namespace idlewatt
