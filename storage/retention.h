#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "storage/sqlite.h"

namespace idlewatt {

struct RetentionOptions {
  std::chrono::milliseconds raw{std::chrono::hours(24 * 14)};
  std::chrono::milliseconds rollups{std::chrono::hours(24 * 365 * 5)};  // and intervals, events
  int64_t max_bytes = int64_t{2} << 30;
};

// Deletes what is too old or too much, the oldest first and raw values before roll-ups, a few rows
// at each step: more than are added, so that it catches up, and few enough that a wall clock which
// was wrong for a minute costs a little history, not all.
// Errors:  as Database.
// Threads: one at a time.
class Retention {
 public:
  // `db` must outlive this object.
  static Result<Retention> Create(Database& db, RetentionOptions options);

  // Each statement is its own transaction. Gives back how many rows it deleted.
  Result<int64_t> Step(int64_t newest_ms);

 private:
  Retention(Database& db, RetentionOptions options) : db_(&db), options_(options) {}
  Result<int64_t> DeleteByAge(int64_t newest_ms);
  Result<int64_t> DeleteBySize();
  Result<void> GiveBackPages();
  Result<int64_t> Delete(Statement& statement, int64_t bound, int64_t limit);

  Database* db_;
  RetentionOptions options_;
  std::optional<Statement> frames_, chunks_, hours_, days_, intervals_, events_;
};

}  // namespace idlewatt
