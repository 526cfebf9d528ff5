// What people do with the file of a history besides recording and reading: look at it, check it,
// make it smaller, copy it. To mend it: database_repair.h.
// Errors: kInvalid for a file that is not a history, or of another version; kPermission,
//         kTransient and kParse as Database.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace idlewatt {

struct DatabaseStats {
  int64_t file_bytes = 0;  // of the database itself
  int64_t wal_bytes = 0;
  int64_t page_bytes = 0, pages = 0, free_pages = 0;  // as readers see it, -wal included
  int64_t series = 0;
  int64_t frame_rows = 0, frame_samples = 0;
  int64_t chunks = 0, chunk_samples = 0;
  int64_t hourly_rollups = 0, daily_rollups = 0;
  int64_t idle_intervals = 0, events = 0;
  int64_t damaged_rows = 0;                // of frames; db check says which
  std::optional<WallTime> oldest, newest;  // samples
  // Each table with its indexes, the largest first; empty where SQLite was built without dbstat.
  std::vector<std::pair<std::string, int64_t>> bytes_by_table;

  int64_t samples() const { return frame_samples + chunk_samples; }
  // The whole database over its samples; nothing when there are none.
  std::optional<double> BytesPerSample() const;
};
// Reads every page once; a running daemon goes on.
Result<DatabaseStats> ReadDatabaseStats(const std::string& path);

struct DatabaseCheck {
  uint64_t rows = 0;                  // that were read
  std::vector<std::string> problems;  // "chunks, row 17: …"; at most 100
  uint64_t more_problems = 0;
  bool sound() const { return problems.empty(); }
};
// Checks SQLite's structure and every row. A running daemon goes on.
Result<DatabaseCheck> CheckDatabase(const std::string& path);

struct VacuumOutcome {
  int64_t bytes_before = 0, bytes_after = 0;  // database and -wal
};
// Writes the database anew without its free pages, also while a daemon records: what that flushes
// meanwhile waits in its queue. kTransient when somebody else writes for ten seconds. Needs as much
// room as the database has, twice: beside it and in the folder for temporary files.
Result<VacuumOutcome> VacuumDatabase(const std::string& path);

// Copies the database to a new file `target`, as of the moment of the call and while a daemon
// records. kInvalid when there is a file `target`, which stays as it is. `progress` may be empty;
// it is told how many pages are done, of how many. The copy is made as `target`.new.
Result<void> BackUpDatabase(const std::string& path, const std::string& target,
                            const std::function<void(int64_t, int64_t)>& progress);

}  // namespace idlewatt
