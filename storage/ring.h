#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "collector/frame.h"
#include "collector/selector.h"
#include "collector/series.h"
#include "storage/point.h"
#include "storage/stored_series.h"

namespace idlewatt {

struct RingStats {
  size_t series = 0;
  size_t bytes = 0;
  uint64_t refused_samples = 0;  // of series that found no room, since the start
};

// What the ring has of one series.
struct RingSeries {
  SeriesName name;
  MetricKind kind = MetricKind::kGauge;
  std::string unit;
  std::vector<Point> points;  // in the order of the frames
};

// The newest frames in memory: a column of doubles for each series, NaN where absent, and one row
// of times that all columns share.
// Shape:   window / interval + 1 frames; the oldest is overwritten. A column lives from the first
//          value of its series until all its frames are absent.
// Bound:   `max_bytes`, our own memory included; a series that does not fit is refused, its
//          samples are counted, and it is tried again at every frame.
// Threads: any. A reader holds the mutex for one column at a time, so that it can't delay a tick.
class Ring {
 public:
  // `registry` must outlive this object. `interval` must be positive.
  Ring(std::chrono::milliseconds window, std::chrono::milliseconds interval, size_t max_bytes,
       const SeriesRegistry& registry);

  // A frame of the same boot time as the one before adds to it: derived samples of one tick.
  void Append(const Frame& frame);
  // The series that `selector` means. Two may have one name, when a series ended and came back.
  std::vector<RingSeries> Read(const Selector& selector) const;
  // Wall time of the oldest frame; nothing when there is none.
  std::optional<WallTime> Oldest() const;
  RingStats Stats() const;

 private:
  struct Column {
    std::shared_ptr<const Series> series;
    std::vector<double> values;  // by slot
    uint64_t last_present = 0;   // number of the frame
  };

  void StartFrame(const TimePoint& begin) REQUIRES(mutex_);
  Column* ColumnFor(SeriesId id) REQUIRES(mutex_);
  std::vector<Point> PointsOf(SeriesId id) const;
  size_t BytesUsed() const REQUIRES(mutex_);

  const size_t slots_;
  const size_t max_bytes_;
  const SeriesRegistry& registry_;

  mutable Mutex mutex_;
  std::vector<int64_t> times_ms_ GUARDED_BY(mutex_);  // by slot
  BootTime last_boot_ GUARDED_BY(mutex_);
  uint64_t frames_ GUARDED_BY(mutex_) = 0;  // ever; frame n (from 1) is in slot (n - 1) % slots_
  std::unordered_map<SeriesId, Column> columns_ GUARDED_BY(mutex_);
  uint64_t refused_samples_ GUARDED_BY(mutex_) = 0;
};

}  // namespace idlewatt
