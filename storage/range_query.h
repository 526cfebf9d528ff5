#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "collector/selector.h"
#include "storage/history_reader.h"
#include "storage/range_buckets.h"
#include "storage/ring.h"

namespace idlewatt {

struct SeriesPoints {
  std::string metric;
  Labels labels;
  MetricKind kind = MetricKind::kGauge;
  std::string unit;
  std::vector<Point> points;  // by time; two of one time only if the wall clock was set back
};

struct RangeOutcome {
  size_t damaged_rows = 0;  // of the history, skipped
  bool rolled_up = false;   // some points are of roll-ups, because a step is whole hours or because
                            // what was measured has been deleted
};

struct RangeAnswer : RangeOutcome {
  std::vector<SeriesPoints> series;  // with at least one point; by metric and labels
};

// Takes series with at least one point, by metric and labels. An error ends the query.
using SeriesSink = std::function<Result<void>(SeriesPoints)>;

// The points that `selector` and `window` mean, from the history and, where frames are not flushed
// yet, from the ring; no point twice. Either source may be null. Holds the points of one series at
// a time. Steps of whole hours and days are made from roll-ups where those have what is asked for;
// where the measured values were deleted, roll-ups stand in for them.
// kInvalid for a window that ends before it begins, a negative step, increase or rate of a gauge,
// or more than `window.max_points` points; the latter names a step that fits, and may come after
// some series were given.
Result<RangeOutcome> StreamRange(const Selector& selector, const RangeWindow& window,
                                 const Ring* ring, HistoryReader* history, const SeriesSink& sink);

// The same, gathered: of all series that any of `selectors` means, each once. One query is faster
// than one for each selector, and what it reads of measured values is of one moment.
Result<RangeAnswer> QueryRange(std::span<const Selector> selectors, const RangeWindow& window,
                               const Ring* ring, HistoryReader* history);
Result<RangeAnswer> QueryRange(const Selector& selector, const RangeWindow& window,
                               const Ring* ring, HistoryReader* history);

}  // namespace idlewatt
