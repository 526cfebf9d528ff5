#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "collector/selector.h"
#include "storage/history_reader.h"
#include "storage/stored_series.h"

namespace idlewatt {

// A series of a history and what is there of it as it was measured; roll-ups don't count.
struct SeriesSummary {
  StoredSeries series;
  int64_t samples = 0;
  std::optional<int64_t> first_ms, last_ms;  // nothing without samples
};

struct SeriesAnswer {
  std::vector<SeriesSummary> series;  // by metric, then labels
  size_t damaged_rows = 0;            // not counted in; 1 for a stretch that can't be read
};

// The series that `selector` means, all without one. Reads no values but those of the frames, so a
// sample of a chunk whose body is damaged counts.
Result<SeriesAnswer> QuerySeries(HistoryReader& history, const Selector* selector);

}  // namespace idlewatt
