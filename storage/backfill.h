#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/chunk_writer.h"
#include "storage/sqlite.h"
#include "storage/stored_series.h"

namespace idlewatt {

// Adds samples of any time and in any order to a history, also while a daemon records to it.
// Errors:  as Database. What was written before an error stays.
// Threads: one at a time.
// Owns:    a connection, and up to 1,000,000 samples that are not written yet (24 MiB).
class Backfill {
 public:
  struct Counts {
    uint64_t added = 0;
    uint64_t known = 0;  // the history had this value of this series at this time already
  };

  // Makes the database when there is none at `path`. kInvalid for a file that is not ours; kParse
  // for one that is damaged, which stays as it is.
  static Result<std::unique_ptr<Backfill>> Open(const std::string& path);

  // A handle for Add. A series that the history knows keeps its kind and unit.
  size_t AddSeries(SeriesName name, MetricKind kind, std::string unit);
  // A family that the history knows stays as it is.
  void AddFamily(MetricFamily family) { families_.push_back(std::move(family)); }
  // Any double. Writes when enough samples have come together.
  Result<void> Add(size_t series, int64_t time_ms, double value);
  // Writes the rest, without which it is lost, and gives back free pages.
  Result<Counts> Finish();

 private:
  struct Sample {
    size_t series;
    Point point;
  };

  Backfill(Database db, bool made_here) : db_(std::move(db)), made_here_(made_here) {}
  Result<void> Prepare();
  Result<void> Write(bool all);
  Result<void> WriteSamples(std::span<const Sample> samples);
  Result<void> WriteOneSeries(std::span<const Sample> samples);
  Result<void> WriteFamilies();
  Result<void> FindRow(StoredSeries& series);
  static size_t LengthOfDay(std::span<const Sample> samples);

  Database db_;
  const bool made_here_;  // the database is new, and nobody else's yet
  std::optional<ChunkWriter> writer_;
  std::optional<Statement> find_series_, insert_series_, insert_family_;
  std::vector<StoredSeries> series_;    // by handle; an id of 0: not looked for yet
  std::vector<MetricFamily> families_;  // not written yet
  std::vector<Sample> samples_;         // not written yet
  std::vector<Point> points_;           // scratch
  bool in_order_ = true;                // of `samples_`: by series, then time
  Counts counts_;
};

}  // namespace idlewatt
