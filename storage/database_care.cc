#include "storage/database_care.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>

#include "base/unique_fd.h"
#include "storage/database_file.h"
#include "storage/flush_body.h"
#include "storage/history_reader.h"
#include "storage/row_check.h"

namespace idlewatt {
namespace {

constexpr size_t kMostProblems = 100;

int64_t SizeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

// A transaction of a reader: all that is read is of one moment.
template <typename Body>
Result<void> AtOneMoment(Database& db, Body body) {
  RETURN_IF_ERROR(db.Execute("BEGIN"));
  Result<void> done = body();
  (void)db.Execute("ROLLBACK");
  return done;
}

Result<void> CountRows(Database& db, DatabaseStats& stats) {
  const std::pair<const char*, int64_t*> counts[] = {
      {"PRAGMA page_size", &stats.page_bytes},
      {"PRAGMA page_count", &stats.pages},
      {"PRAGMA freelist_count", &stats.free_pages},
      {"SELECT count(*) FROM series", &stats.series},
      {"SELECT count(*) FROM frames", &stats.frame_rows},
      {"SELECT count(*) FROM chunks", &stats.chunks},
      {"SELECT sum(count) FROM chunks", &stats.chunk_samples},
      {"SELECT count(*) FROM rollup_1h", &stats.hourly_rollups},
      {"SELECT count(*) FROM rollup_1d", &stats.daily_rollups},
      {"SELECT count(*) FROM idle_interval", &stats.idle_intervals},
      {"SELECT count(*) FROM event", &stats.events}};
  for (const auto& [sql, count] : counts) {
    ASSIGN_OR_RETURN(*count, db.QueryInt(sql));
  }
  return {};
}

void Widen(DatabaseStats& stats, int64_t first_ms, int64_t last_ms) {
  const WallTime first{std::chrono::milliseconds(first_ms)};
  const WallTime last{std::chrono::milliseconds(last_ms)};
  stats.oldest = std::min(stats.oldest.value_or(first), first);
  stats.newest = std::max(stats.newest.value_or(last), last);
}

// False when the body is damaged.
bool CountFrameSamples(FlushDecoder& decoder, std::string_view body, DatabaseStats& stats) {
  const auto count = [&stats](int64_t /*series_id*/, const std::vector<double>& values) {
    stats.frame_samples +=
        std::count_if(values.begin(), values.end(), [](double v) { return !std::isnan(v); });
  };
  const auto every = [](int64_t series_id) { return std::optional(series_id); };
  if (!decoder.Read(body, every, count).ok()) return false;
  Widen(stats, decoder.times_ms().front(), decoder.times_ms().back());
  return true;
}

Result<void> ReadTimes(Database& db, DatabaseStats& stats) {
  if (stats.chunks > 0) {
    ASSIGN_OR_RETURN(int64_t first, db.QueryInt("SELECT min(start_ms) FROM chunks"));
    ASSIGN_OR_RETURN(int64_t last, db.QueryInt("SELECT max(end_ms) FROM chunks"));
    Widen(stats, first, last);
  }
  FlushDecoder decoder;
  ASSIGN_OR_RETURN(Statement rows, db.Prepare("SELECT body FROM frames"));
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return {};
    if (!CountFrameSamples(decoder, rows.Bytes(0), stats)) ++stats.damaged_rows;
  }
}

// dbstat is an option of SQLite's build, so its absence is no error.
Result<void> ReadTableBytes(Database& db, DatabaseStats& stats) {
  Result<Statement> rows = db.Prepare(
      "SELECT coalesce(s.tbl_name, d.name), sum(d.pgsize) AS bytes FROM dbstat('main', 1) d"
      " LEFT JOIN sqlite_schema s ON s.name = d.name GROUP BY 1 ORDER BY bytes DESC");
  if (!rows.ok()) return {};
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows->Step());
    if (!row) return {};
    stats.bytes_by_table.emplace_back(std::string(rows->Bytes(0)), rows->Int(1));
  }
}

Result<void> ReadAll(Database& db, DatabaseStats& stats) {
  RETURN_IF_ERROR(CountRows(db, stats));
  RETURN_IF_ERROR(ReadTimes(db, stats));
  return ReadTableBytes(db, stats);
}

class Findings {
 public:
  explicit Findings(DatabaseCheck& check) : check_(check) {}
  void Add(std::string problem) {
    if (check_.problems.size() < kMostProblems) {
      check_.problems.push_back(std::move(problem));
    } else {
      ++check_.more_problems;
    }
  }
  void AddRow(std::string_view table, std::string_view key, const std::string& problem) {
    Add(std::string(table) + ", row " + std::string(key) + ": " + problem);
  }

 private:
  DatabaseCheck& check_;
};

// Damage ends what it is met in; what comes after is checked all the same.
Result<void> Unless(Result<void> done, std::string_view where, Findings& findings) {
  if (done.ok()) return done;
  if (!IsDamage(done.error())) return done;
  findings.Add(std::string(where) + ": " + done.error().text);
  return {};
}

Result<void> CheckStructure(Database& db, Findings& findings) {
  ASSIGN_OR_RETURN(Statement rows, db.Prepare("PRAGMA integrity_check"));
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return {};
    if (rows.Bytes(0) != "ok") findings.Add("SQLite: " + std::string(rows.Bytes(0)));
  }
}

Result<void> CheckTable(Database& db, const HistoryTable& table, RowCheck& rows_of,
                        DatabaseCheck& check, Findings& findings) {
  ASSIGN_OR_RETURN(Statement rows, db.Prepare("SELECT " + std::string(table.columns) + " FROM " +
                                              std::string(table.name) + " NOT INDEXED"));
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return {};
    ++check.rows;
    if (const auto problem = rows_of.Problem(table, rows)) {
      findings.AddRow(table.name, rows.Bytes(0), *problem);
    }
  }
}

Result<void> CheckUses(Database& db, const RowCheck& rows_of, Findings& findings) {
  ASSIGN_OR_RETURN(Statement rows, db.Prepare("SELECT id, uses FROM chunk_times"));
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return {};
    const auto uses = rows_of.uses_of_times().find(rows.Int(0));
    const int64_t used = uses == rows_of.uses_of_times().end() ? 0 : uses->second;
    if (used == rows.Int(1)) continue;
    findings.AddRow(
        "chunk_times", std::to_string(rows.Int(0)),
        "it counts " + std::to_string(rows.Int(1)) + " uses and has " + std::to_string(used));
  }
}

Result<void> CheckAll(Database& db, DatabaseCheck& check) {
  Findings findings(check);
  RETURN_IF_ERROR(Unless(CheckStructure(db, findings), "SQLite", findings));
  RowCheck rows_of;
  for (const HistoryTable& table : kHistoryTables) {
    RETURN_IF_ERROR(Unless(CheckTable(db, table, rows_of, check, findings), table.name, findings));
  }
  for (const int64_t id : rows_of.OverlappingChunks()) {
    findings.AddRow("chunks", std::to_string(id), "it begins before the one before it ends");
  }
  for (const int64_t id : rows_of.NamelessSeries()) {
    findings.AddRow("series", std::to_string(id), "it is missing, but has samples");
  }
  // A chunk that could not be read would be missed here.
  if (check.sound()) {
    RETURN_IF_ERROR(Unless(CheckUses(db, rows_of, findings), "chunk_times", findings));
  }
  return {};
}

Result<void> Sync(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || fsync(file.get()) != 0) return ErrnoError(errno, path, "cannot write");
  return {};
}

Result<void> MakeCopy(Database& db, const std::string& copy,
                      const std::function<void(int64_t, int64_t)>& progress) {
  {
    ASSIGN_OR_RETURN(Database target, Database::Open(copy, Database::Mode::kCreate));
    RETURN_IF_ERROR(target.Execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF"));
    RETURN_IF_ERROR(db.CopyTo(target, progress));
  }
  RETURN_IF_ERROR(Sync(copy));
  ASSIGN_OR_RETURN(Database made, Database::Open(copy, Database::Mode::kImmutable));
  RETURN_IF_ERROR(CheckIdentity(made, copy));
  return made.Execute("SELECT count(*) FROM series");
}

// Never over a file that came meanwhile, where the file system can tell.
bool RenameNew(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  return (errno == EINVAL || errno == ENOSYS) && rename(from.c_str(), to.c_str()) == 0;
}

// Commands do not upgrade a file, for that is the daemon's.
Result<HistoryReader> OpenOfThisVersion(const std::string& path) {
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(path));
  ASSIGN_OR_RETURN(int64_t version, reader.db().QueryInt("PRAGMA user_version"));
  if (version > 1) return reader;
  return Error{ErrorCode::kInvalid, path, 0,
               "was written by an older idlewatt: `idlewatt run` upgrades it when it starts"};
}

}  // namespace

std::optional<double> DatabaseStats::BytesPerSample() const {
  if (samples() == 0) return std::nullopt;
  return static_cast<double>(page_bytes * pages) / static_cast<double>(samples());
}

Result<DatabaseStats> ReadDatabaseStats(const std::string& path) {
  ASSIGN_OR_RETURN(HistoryReader reader, OpenOfThisVersion(path));
  DatabaseStats stats;
  stats.file_bytes = SizeOf(path);
  stats.wal_bytes = SizeOf(path + "-wal");
  Database& db = reader.db();
  RETURN_IF_ERROR(AtOneMoment(db, [&db, &stats] { return ReadAll(db, stats); }));
  return stats;
}

Result<DatabaseCheck> CheckDatabase(const std::string& path) {
  ASSIGN_OR_RETURN(HistoryReader reader, OpenOfThisVersion(path));
  DatabaseCheck check;
  Database& db = reader.db();
  RETURN_IF_ERROR(AtOneMoment(db, [&db, &check] { return CheckAll(db, check); }));
  return check;
}

Result<VacuumOutcome> VacuumDatabase(const std::string& path) {
  RETURN_IF_ERROR(HistoryReader::Open(path));  // before another program's file is opened to write
  VacuumOutcome outcome{FileBytes(path), 0};
  {
    ASSIGN_OR_RETURN(Database db, Database::Open(path, Database::Mode::kReadWrite));
    RETURN_IF_ERROR(db.Execute("PRAGMA busy_timeout = 10000; PRAGMA synchronous = NORMAL"));
    RETURN_IF_ERROR(db.Execute("VACUUM"));
    // Best effort: while somebody reads, the -wal file stays until the next checkpoint.
    (void)db.Execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  outcome.bytes_after = FileBytes(path);
  return outcome;
}

Result<void> BackUpDatabase(const std::string& path, const std::string& target,
                            const std::function<void(int64_t, int64_t)>& progress) {
  const std::string copy = target + ".new";
  for (const std::string& name : {target, copy}) {
    struct stat info {};
    if (lstat(name.c_str(), &info) == 0) {
      return Error{ErrorCode::kInvalid, name, 0,
                   "exists already: move it away or choose another name"};
    }
  }
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(path));
  Result<void> made = MakeCopy(reader.db(), copy, progress);
  if (made.ok() && !RenameNew(copy, target)) made = ErrnoError(errno, target, "cannot be made");
  if (made.ok()) return SyncFolderOf(target);
  unlink(copy.c_str());
  return made;
}

}  // namespace idlewatt
