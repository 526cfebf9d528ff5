#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "storage/chunk_reader.h"
#include "storage/rollup_writer.h"
#include "storage/sqlite.h"
#include "storage/stored_series.h"

namespace idlewatt {

// Writes the table `chunks` and the roll-ups that follow from it, in the transaction of the caller.
// Chunks of one series never overlap: what comes late joins those that are there.
// Errors:  as Database; then the caller must roll back and call Forget. A chunk that is damaged
//          stays as it is.
// Threads: one at a time.
class ChunkWriter {
 public:
  // `db` must outlive this object.
  static Result<ChunkWriter> Create(Database& db);

  // Adds points, which must be in the order of time. Gives back how many of them were not there
  // yet: one of the same time and bits is the same point.
  Result<size_t> Add(int64_t series_id, MetricKind kind, std::span<const Point> points);
  // Makes one chunk of all those that the series has in the UTC day that begins at `day_ms`.
  Result<void> MergeDay(int64_t series_id, int64_t day_ms);
  // Must be called at the end of a transaction: rows wait until they fill pages well.
  Result<void> Flush();
  void Forget();

 private:
  // A row that waits.
  struct Row {
    int64_t series_id, start_ms, end_ms, count, times_id;
    std::string body;
  };
  struct Stored {
    std::vector<int64_t> ids;
    std::vector<Point> points;
  };

  ChunkWriter(ChunkReader reader, RollupWriter rollups)
      : reader_(std::move(reader)), rollups_(std::move(rollups)) {}
  Result<size_t> AddToDay(int64_t series_id, MetricKind kind, std::span<const Point> points);
  Result<Stored> Load(int64_t series_id, int64_t first_ms, int64_t last_ms);
  Result<void> Delete(std::span<const int64_t> ids);
  Result<void> Insert(int64_t series_id, std::span<const Point> points);
  Result<void> InsertRow(const Row& row);
  Result<int64_t> TimesRow(std::span<const Point> points);
  Result<void> WriteRollups(int64_t series_id, MetricKind kind, std::span<const Point> stored,
                            int64_t first_ms, int64_t last_ms);
  Result<void> RefreshHour(int64_t series_id, MetricKind kind, int64_t hour_ms);

  ChunkReader reader_;
  RollupWriter rollups_;
  std::optional<Statement> insert_, delete_, insert_times_, has_times_;
  std::unordered_map<std::string, int64_t> times_rows_;  // by body; those written of late
  size_t times_bytes_ = 0;
  std::vector<Row> waiting_;
  size_t waiting_bytes_ = 0;
};

}  // namespace idlewatt
