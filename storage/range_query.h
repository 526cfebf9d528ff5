#pragma once

#include <vector>

#include "base/result.h"
#include "storage/history_reader.h"
#include "storage/range_collector.h"
#include "storage/ring.h"
#include "storage/selector.h"

namespace idlewatt {

struct RangeAnswer {
  std::vector<SeriesPoints> series;  // with at least one point; by metric and labels
  size_t damaged_rows = 0;           // of the history, skipped
};

// The points that `selector` and `window` mean, from the history and, where frames are not flushed
// yet, from the ring; no point twice. Either source may be null.
// kInvalid for a window that ends before it begins, a negative step, or more than
// `window.max_points` points; the latter names a step that fits.
Result<RangeAnswer> QueryRange(const Selector& selector, const RangeWindow& window,
                               const Ring* ring, HistoryReader* history);

}  // namespace idlewatt
