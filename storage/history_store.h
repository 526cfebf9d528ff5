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
#include "collector/idle_interval.h"
#include "storage/compactor.h"
#include "storage/flush_body.h"
#include "storage/retention.h"
#include "storage/sqlite.h"

namespace idlewatt {

// What the history keeps of a frame until it is flushed.
struct QueuedFrame {
  int64_t time_ms = 0;  // wall clock at the begin of the frame
  std::vector<Sample> samples;
};

// Something that happened: a row of the table `event`.
struct HistoryEvent {
  int64_t time_ms = 0;  // wall clock
  std::string kind;     // "alert", …
  std::string service;  // empty: of the whole machine
  std::string detail_json;
};

// What one flush writes.
struct FlushContent {
  std::vector<QueuedFrame> frames;
  std::vector<HistoryEvent> events;
  std::vector<IdleInterval> intervals;  // a later one of the same service and start counts

  bool empty() const { return frames.empty() && events.empty() && intervals.empty(); }
};

struct StoreOptions {
  RetentionOptions retention;
  std::string synchronous = "normal";  // off | normal | full
};

// The read-write connection: turns frames into rows, rows into chunks and roll-ups, and what is too
// old into free pages.
// Errors:  kTransient when the disk is full or the database busy: nothing was written, try again.
//          A damaged database is no error: it is set aside and the frames go to a new one.
// Threads: one at a time.
// Owns:    the connection, its prepared statements, and the row id of each live series.
class HistoryStore {
 public:
  // `path` is the database file; its folder must be locked. `registry` must outlive this object.
  static Result<HistoryStore> Open(std::string path, StoreOptions options,
                                   const SeriesRegistry& registry);

  // Writes all of it in one transaction, or nothing.
  Result<void> Write(const FlushContent& content);
  // Does a little of what is due when it is `newest_ms`: compaction, then retention.
  Result<void> Maintain(int64_t newest_ms);

  // Damaged databases of this run, by their new names.
  const std::vector<std::string>& set_aside() const { return set_aside_; }
  int64_t FileBytes() const;
  // Time of the oldest measured value; nothing when there is none.
  Result<std::optional<int64_t>> OldestTime();
  uint64_t rows_written() const { return rows_written_; }
  uint64_t rows_deleted() const { return rows_deleted_; }  // by retention

 private:
  struct Connection {
    explicit Connection(Database opened) : db(std::move(opened)) {}
    Database db;
    std::optional<Statement> upsert_series, upsert_family, insert_frames, insert_event,
        upsert_interval, oldest;
    std::optional<Compactor> compactor;
    std::optional<Retention> retention;
  };

  HistoryStore(std::string path, StoreOptions options, const SeriesRegistry& registry)
      : path_(std::move(path)), options_(std::move(options)), registry_(&registry) {}
  Result<void> Connect();
  Result<void> Prepare(Connection& made) const;
  Result<void> Replace(const Error& damage);
  Result<void> TellLostIntervals(Database& db);
  Result<void> WriteRows(const FlushContent& content);
  Result<void> WriteAllFrames(std::span<const QueuedFrame> frames);
  Result<void> WriteEvent(const HistoryEvent& event);
  Result<void> WriteInterval(const IdleInterval& interval);
  Result<void> WriteRow(std::span<const QueuedFrame> frames);
  Result<void> InsertAtFreeKey(int64_t time_ms, std::string_view body);
  Result<FlushTable> TableOf(std::span<const QueuedFrame> frames);
  Result<int64_t> SeriesRow(SeriesId id);
  Result<void> WriteFamily(const Metric& metric);
  Result<void> MaintainOnce(int64_t newest_ms);
  void ForgetEndedSeries();

  std::string path_;
  StoreOptions options_;
  const SeriesRegistry* registry_;
  std::unique_ptr<Connection> connection_;  // null only while a damaged one is replaced
  bool lost_intervals_told_ = false;
  std::unordered_map<SeriesId, int64_t> series_rows_;
  std::vector<std::string> set_aside_;
  uint64_t rows_written_ = 0;
  uint64_t rows_deleted_ = 0;
};

}  // namespace idlewatt
