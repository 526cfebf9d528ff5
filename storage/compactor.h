#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/chunk_writer.h"
#include "storage/flush_body.h"
#include "storage/sqlite.h"

namespace idlewatt {

// Turns what was written in the order of time into what is read by series: the frames of each hour
// that is over become chunks and roll-ups, the chunks of each UTC day that is over become one.
// Errors:  as Database; a step that fails has changed nothing and may be tried again.
// Threads: one at a time.
class Compactor {
 public:
  // `db` must outlive this object.
  static Result<Compactor> Create(Database& db);

  // Does one thing that is due when it is `newest_ms`, in one transaction: an hour, or the days of
  // a few series. False when nothing is due.
  Result<bool> Step(int64_t newest_ms);
  // Rows of `frames` that were damaged and are lost.
  uint64_t lost_rows() const { return lost_rows_; }

 private:
  struct SeriesDay {
    int64_t series_id;
    int64_t day_ms;
  };
  struct Hour {
    int64_t begin = 0, end = 0;       // keys of `frames`, begin included
    std::vector<int64_t> series_ids;  // ascending
    size_t frames = 0;
    size_t damaged_rows = 0;
  };

  Compactor(Database& db, ChunkWriter writer) : db_(&db), writer_(std::move(writer)) {}
  template <typename Body>
  Result<void> Transaction(Body body);
  Result<bool> CompactHour(int64_t newest_ms);
  Result<void> WriteHour(Hour& hour);
  Result<void> LookAt(Hour& hour);
  Result<void> WriteSeries(const Hour& hour, std::span<const int64_t> series_ids);
  Result<MetricKind> KindOf(int64_t series_id);
  Result<bool> MergeDays(int64_t newest_ms);
  Result<void> ListDays(int64_t today_ms);

  Database* db_;
  ChunkWriter writer_;
  std::optional<Statement> oldest_, rows_, delete_rows_, kind_;
  FlushDecoder decoder_;
  std::vector<double> values_;  // scratch
  std::unordered_map<int64_t, MetricKind> kinds_;
  std::deque<SeriesDay> days_;  // to be merged
  std::optional<int64_t> listed_for_;
  uint64_t lost_rows_ = 0;
};

}  // namespace idlewatt
