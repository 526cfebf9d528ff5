#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "storage/sqlite.h"
#include "storage/stored_series.h"

namespace idlewatt {

// Reads rows of the table `chunks`, one series at a time.
// Errors:  as Database. A row whose body or times are damaged is skipped and counted.
// Threads: one at a time.
// Owns:    two statements, and the times of the last few chunks, which other series may share.
class ChunkReader {
 public:
  struct Chunk {
    int64_t id = 0;
    std::vector<Point> points;  // never falling
  };

  // `db` must outlive this object.
  static Result<ChunkReader> Create(Database& db);

  // From now on Next gives the chunks of this series that have a sample in [first_ms, last_ms],
  // both ends included, by time.
  void Start(int64_t series_id, int64_t first_ms, int64_t last_ms);
  // False after the last one.
  Result<bool> Next(Chunk& chunk);
  // When the first chunk from `from_ms` on starts, by the index alone, which damaged rows do not
  // hurt. Nothing when there is none.
  Result<std::optional<int64_t>> NextStart(int64_t series_id, int64_t from_ms);
  // Ends the reading before the last one.
  void Stop() { chunks_.Reset(); }
  size_t damaged_rows() const { return damaged_rows_; }
  // Must be called when rows were changed by another transaction.
  void Forget() { known_times_.clear(); }

 private:
  struct Times {
    int64_t id = 0;
    std::vector<int64_t> times_ms;
  };

  ChunkReader(Statement chunks, Statement times, Statement next_start)
      : chunks_(std::move(chunks)), times_(std::move(times)), next_start_(std::move(next_start)) {}
  Result<bool> Decode(Chunk& chunk);
  Result<const std::vector<int64_t>*> TimesOf(int64_t id);

  Statement chunks_, times_, next_start_;
  std::vector<Times> known_times_;  // the one used last at the end
  std::vector<double> values_;      // scratch
  size_t damaged_rows_ = 0;
};

}  // namespace idlewatt
