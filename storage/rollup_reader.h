#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "storage/range_buckets.h"
#include "storage/sqlite.h"

namespace idlewatt {

// Reads the tables `rollup_1h` and `rollup_1d`, one series at a time.
// Errors:  as Database.
// Threads: one at a time.
class RollupReader {
 public:
  struct Bounds {
    int64_t begin_ms = 0, end_ms = 0;  // whole hours, the end not included
  };

  // `db` must outlive this object.
  static Result<RollupReader> Create(Database& db);

  // The hours of all series that are rolled up and whole: those that frames may still add to are
  // left out. Nothing when there are none.
  Result<std::optional<Bounds>> HourBounds();
  // When the first measured value is that is still there; the largest number when there is none.
  Result<int64_t> MeasuredFrom(int64_t series_id);

  // From now on Next gives what this series has in [begin_ms, end_ms), whole hours, by time: days
  // where `by_day` is set and they lie within, else hours.
  void Start(int64_t series_id, int64_t begin_ms, int64_t end_ms, bool by_day);
  Result<bool> Next(Rollup& rollup);

 private:
  RollupReader(Statement hour, Statement day, Statement hours, Statement frames, Statement chunks)
      : hour_(std::move(hour)),
        day_(std::move(day)),
        hours_(std::move(hours)),
        frames_(std::move(frames)),
        chunks_(std::move(chunks)) {}

  Statement hour_, day_, hours_, frames_, chunks_;
  int64_t series_id_ = 0, next_ms_ = 0, end_ms_ = 0;
  bool by_day_ = false;
};

}  // namespace idlewatt
