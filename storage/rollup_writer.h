#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "collector/metric.h"
#include "storage/sqlite.h"
#include "storage/stored_series.h"

namespace idlewatt {

// Rows have the number of the hour or day and the series in one key; see docs/storage-format.md.
inline constexpr int kRollupSeriesBits = 24;
inline constexpr int64_t kMostSeriesRows = int64_t{1} << kRollupSeriesBits;

// The key of a roll-up that starts at `start_ms`, a whole hour or day of `span_ms`.
constexpr int64_t RollupKey(int64_t start_ms, int64_t span_ms, int64_t series_id) {
  return start_ms / span_ms * kMostSeriesRows + series_id;
}

// How much a counter grew from one reading to the next: one that fell began anew at zero.
constexpr double CounterStep(double before, double now) {
  return now < before ? now : now - before;
}

// Writes the tables `rollup_1h` and `rollup_1d`, in the transaction of the caller.
// Errors:  as Database.
// Threads: one at a time.
class RollupWriter {
 public:
  // `db` must outlive this object.
  static Result<RollupWriter> Create(Database& db);

  // Makes anew the row of the hour that `points` begin in. They are all that the series has in that
  // hour, by time. What a counter grew since the hour before counts to this one.
  Result<void> WriteHour(int64_t series_id, MetricKind kind, std::span<const Point> points);
  Result<bool> HasHour(int64_t series_id, int64_t hour_ms);
  // Makes anew the row of a day from its hours.
  Result<void> WriteDay(int64_t series_id, int64_t day_ms);

 private:
  RollupWriter(Statement last, Statement hour, Statement day)
      : last_(std::move(last)), hour_(std::move(hour)), day_(std::move(day)) {}
  Result<std::optional<double>> LastOf(int64_t series_id, int64_t hour_ms);

  Statement last_, hour_, day_;
};

}  // namespace idlewatt
