#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "collector/frame.h"
#include "storage/flush_body.h"
#include "storage/sqlite.h"

namespace idlewatt {

// What the history keeps of a frame until it is flushed.
struct QueuedFrame {
  int64_t time_ms = 0;  // wall clock at the begin of the frame
  std::vector<Sample> samples;
};

struct StoreOptions {
  std::chrono::milliseconds raw_retention{std::chrono::hours(24 * 14)};
  std::string synchronous = "normal";  // off | normal | full
};

// The read-write connection: turns frames into rows, and rows that are too old into free pages.
// Errors:  kTransient when the disk is full or the database busy: nothing was written, try again.
//          A damaged database is no error: it is set aside and the frames go to a new one.
// Threads: one at a time.
// Owns:    the connection, its prepared statements, and the row id of each live series.
class HistoryStore {
 public:
  // `path` is the database file; its folder must be locked. `registry` must outlive this object.
  static Result<HistoryStore> Open(std::string path, StoreOptions options,
                                   const SeriesRegistry& registry);

  // Writes all frames in one transaction, or none.
  Result<void> Write(std::span<const QueuedFrame> frames);
  // Deletes up to 16 rows whose newest frame is more than the retention before `newest_ms`.
  Result<void> DeleteOld(int64_t newest_ms);

  // Damaged databases of this run, by their new names.
  const std::vector<std::string>& set_aside() const { return set_aside_; }
  int64_t FileBytes() const;
  // Time of the oldest row; nothing when there is none.
  Result<std::optional<int64_t>> OldestTime();
  uint64_t rows_written() const { return rows_written_; }

 private:
  struct Connection {
    Database db;
    Statement upsert_series, insert_frames, delete_old, oldest;
  };

  HistoryStore(std::string path, StoreOptions options, const SeriesRegistry& registry)
      : path_(std::move(path)), options_(std::move(options)), registry_(&registry) {}
  Result<void> Connect();
  Result<void> Replace(const Error& damage);
  Result<void> WriteRows(std::span<const QueuedFrame> frames);
  Result<void> WriteRow(std::span<const QueuedFrame> frames);
  Result<void> InsertAtFreeKey(int64_t time_ms, std::string_view body);
  Result<FlushTable> TableOf(std::span<const QueuedFrame> frames);
  Result<int64_t> SeriesRow(SeriesId id);
  void ForgetEndedSeries();

  std::string path_;
  StoreOptions options_;
  const SeriesRegistry* registry_;
  std::optional<Connection> connection_;  // empty only while a damaged one is replaced
  std::unordered_map<SeriesId, int64_t> series_rows_;
  FlushEncoder encoder_;
  std::vector<std::string> set_aside_;
  uint64_t rows_written_ = 0;
};

}  // namespace idlewatt
