#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "storage/range_buckets.h"
#include "storage/sqlite.h"

namespace idlewatt {

// Reads rows of the tables `rollup_1h` and `rollup_1d`. Their keys have the time first: who wants
// several series asks for all of them at one time before the next.
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

  // What this series has of the hour or day, as `span_ms` says, that starts at `start_ms`. False
  // when that is nothing.
  Result<bool> Read(int64_t series_id, int64_t start_ms, int64_t span_ms, Rollup& rollup);

 private:
  RollupReader(Statement hour, Statement day, Statement hours, Statement frames, Statement chunks)
      : hour_(std::move(hour)),
        day_(std::move(day)),
        hours_(std::move(hours)),
        frames_(std::move(frames)),
        chunks_(std::move(chunks)) {}

  Statement hour_, day_, hours_, frames_, chunks_;
};

}  // namespace idlewatt
