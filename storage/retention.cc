#include "storage/retention.h"

#include <limits>

#include "storage/calendar.h"
#include "storage/flush_body.h"
#include "storage/rollup_writer.h"

namespace idlewatt {
namespace {

constexpr int64_t kMostFrames = 16;
constexpr int64_t kMostChunks = 64;
constexpr int64_t kMostRows = 256;       // of roll-ups, intervals and events
constexpr int64_t kMaxFreePages = 1024;  // 4 MiB are kept for reuse

}  // namespace

Result<Retention> Retention::Create(Database& db, RetentionOptions options) {
  Retention retention(db, options);
  const auto prepare = [&db](const std::string& table, const std::string& key,
                             const std::string& old) {
    return db.Prepare("DELETE FROM " + table + " WHERE " + key + " IN (SELECT " + key + " FROM " +
                      table + " WHERE " + old + " LIMIT ?2)");
  };
  ASSIGN_OR_RETURN(retention.frames_,
                   prepare("frames", "time_ms", "time_ms < ?1 ORDER BY time_ms"));
  ASSIGN_OR_RETURN(retention.chunks_,
                   prepare("chunks", "id", "start_ms < ?1 AND end_ms < ?1 ORDER BY start_ms"));
  ASSIGN_OR_RETURN(retention.hours_, prepare("rollup_1h", "id", "id < ?1 ORDER BY id"));
  ASSIGN_OR_RETURN(retention.days_, prepare("rollup_1d", "id", "id < ?1 ORDER BY id"));
  ASSIGN_OR_RETURN(
      retention.intervals_,
      prepare("idle_interval", "id", "start_ms < ?1 AND end_ms < ?1 ORDER BY start_ms"));
  ASSIGN_OR_RETURN(
      retention.events_,
      prepare("event", "id", "id IN (SELECT id FROM event ORDER BY id LIMIT ?2) AND time_ms < ?1"));
  return retention;
}

Result<int64_t> Retention::Step(int64_t newest_ms) {
  ASSIGN_OR_RETURN(int64_t deleted, DeleteByAge(newest_ms));
  if (deleted == 0) {
    ASSIGN_OR_RETURN(deleted, DeleteBySize());
  }
  RETURN_IF_ERROR(GiveBackPages());
  return deleted;
}

Result<int64_t> Retention::DeleteByAge(int64_t newest_ms) {
  const int64_t raw = SaturatingAdd(newest_ms, -options_.raw.count());
  const int64_t rolled = SaturatingAdd(newest_ms, -options_.rollups.count());
  // The key of `frames` is the first time of the row, and the last may be kMaxRowSpanMs younger.
  ASSIGN_OR_RETURN(int64_t frames,
                   Delete(*frames_, SaturatingAdd(raw, -kMaxRowSpanMs), kMostFrames));
  ASSIGN_OR_RETURN(int64_t chunks, Delete(*chunks_, raw, kMostChunks));
  const int64_t hour = FloorTo(rolled, kHourMs);
  const int64_t day = FloorTo(rolled, kDayMs);
  ASSIGN_OR_RETURN(int64_t hours, Delete(*hours_, RollupKey(hour, kHourMs, 0), kMostRows));
  ASSIGN_OR_RETURN(int64_t days, Delete(*days_, RollupKey(day, kDayMs, 0), kMostRows));
  ASSIGN_OR_RETURN(int64_t intervals, Delete(*intervals_, rolled, kMostRows));
  ASSIGN_OR_RETURN(int64_t events, Delete(*events_, rolled, kMostRows));
  return frames + chunks + hours + days + intervals + events;
}

// The newest chunks and roll-ups are as safe as the oldest here: a file that is too small for a day
// keeps what fits.
Result<int64_t> Retention::DeleteBySize() {
  ASSIGN_OR_RETURN(int64_t pages, db_->QueryInt("PRAGMA page_count"));
  ASSIGN_OR_RETURN(int64_t free_pages, db_->QueryInt("PRAGMA freelist_count"));
  ASSIGN_OR_RETURN(int64_t page_bytes, db_->QueryInt("PRAGMA page_size"));
  const int64_t kept_free = kMaxFreePages * page_bytes;  // so that the file itself stays below
  if ((pages - free_pages) * page_bytes + kept_free <= options_.max_bytes) return 0;
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  ASSIGN_OR_RETURN(int64_t chunks, Delete(*chunks_, kAny, kMostChunks));
  if (chunks > 0) return chunks;
  return Delete(*hours_, kAny, kMostRows);
}

Result<void> Retention::GiveBackPages() {
  ASSIGN_OR_RETURN(int64_t free_pages, db_->QueryInt("PRAGMA freelist_count"));
  if (free_pages <= kMaxFreePages) return {};
  return db_->Execute("PRAGMA incremental_vacuum(256)");
}

Result<int64_t> Retention::Delete(Statement& statement, int64_t bound, int64_t limit) {
  statement.Bind(1, bound);
  statement.Bind(2, limit);
  RETURN_IF_ERROR(statement.Run());
  return db_->rows_changed();
}

}  // namespace idlewatt
