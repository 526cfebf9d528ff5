#pragma once

#include <prometheus/collectable.h>

#include <string>
#include <vector>

#include "base/slot.h"
#include "collector/snapshot.h"

namespace idlewatt {

inline constexpr Metric kBuildInfo{"idlewatt_build_info",
                                   MetricKind::kGauge,
                                   "",
                                   {{"version"}},
                                   "1, with the version of the daemon"};

// The last snapshot in prometheus-cpp's form. A scrape never samples.
// Threads: any. `slot` must outlive it.
class SnapshotCollectable final : public prometheus::Collectable {
 public:
  explicit SnapshotCollectable(const Slot<Snapshot>& slot) : slot_(slot) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Slot<Snapshot>& slot_;
};

// Text format 0.0.4.
std::string RenderMetrics(const prometheus::Collectable& collectable);

}  // namespace idlewatt
