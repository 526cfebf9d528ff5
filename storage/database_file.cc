#include "storage/database_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace idlewatt {
namespace {

constexpr int64_t kApplicationId = 0x69647774;  // "idwt"

// Step n leads from user_version n to n + 1. Never change one that was released; append.
constexpr std::array kMigrations = {
    R"sql(
CREATE TABLE series(
  id INTEGER PRIMARY KEY,
  metric TEXT NOT NULL,
  labels TEXT NOT NULL,
  kind TEXT NOT NULL,
  unit TEXT NOT NULL,
  UNIQUE(metric, labels)) STRICT;
CREATE TABLE frames(
  time_ms INTEGER PRIMARY KEY,
  body BLOB NOT NULL) STRICT;
)sql",
    R"sql(
CREATE TABLE metric_family(
  name TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  unit TEXT NOT NULL,
  help TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE chunk_times(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uses INTEGER NOT NULL,
  body BLOB NOT NULL) STRICT;
CREATE TABLE chunks(
  id INTEGER PRIMARY KEY,
  series_id INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  count INTEGER NOT NULL,
  times_id INTEGER NOT NULL,
  body BLOB NOT NULL) STRICT;
CREATE INDEX chunks_by_series ON chunks(series_id, start_ms);
CREATE INDEX chunks_by_time ON chunks(start_ms);
CREATE TRIGGER chunk_comes AFTER INSERT ON chunks BEGIN
  UPDATE chunk_times SET uses = uses + 1 WHERE id = NEW.times_id;
END;
CREATE TRIGGER chunk_goes AFTER DELETE ON chunks BEGIN
  UPDATE chunk_times SET uses = uses - 1 WHERE id = OLD.times_id;
  DELETE FROM chunk_times WHERE id = OLD.times_id AND uses = 0;
END;
CREATE TABLE rollup_1h(
  id INTEGER PRIMARY KEY,
  series_id INTEGER AS (id & 16777215),
  hour_ms INTEGER AS ((id >> 24) * 3600000),
  count INTEGER NOT NULL,
  min REAL,
  max REAL,
  avg REAL,
  last REAL,
  increase REAL) STRICT;
CREATE TABLE rollup_1d(
  id INTEGER PRIMARY KEY,
  series_id INTEGER AS (id & 16777215),
  day_ms INTEGER AS ((id >> 24) * 86400000),
  count INTEGER NOT NULL,
  min REAL,
  max REAL,
  avg REAL,
  last REAL,
  increase REAL) STRICT;
CREATE TABLE idle_interval(
  id INTEGER PRIMARY KEY,
  service TEXT NOT NULL,
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  joules REAL,
  avg_watts REAL,
  cpu_seconds REAL,
  peak_rss_bytes INTEGER,
  reason TEXT NOT NULL) STRICT;
CREATE INDEX idle_interval_by_time ON idle_interval(start_ms);
CREATE TABLE event(
  id INTEGER PRIMARY KEY,
  time_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  service TEXT,
  detail_json TEXT NOT NULL) STRICT;
)sql",
    R"sql(
DELETE FROM idle_interval WHERE EXISTS (
  SELECT 1 FROM idle_interval AS other
  WHERE other.service = idle_interval.service AND other.start_ms = idle_interval.start_ms
    AND (other.end_ms, other.id) > (idle_interval.end_ms, idle_interval.id));
CREATE UNIQUE INDEX idle_interval_by_service ON idle_interval(service, start_ms);
CREATE INDEX idle_interval_open ON idle_interval(id) WHERE reason = 'open';
CREATE INDEX event_by_time ON event(time_ms);
)sql",
};
constexpr auto kVersion = static_cast<int64_t>(kMigrations.size());

// A database up to this size is checked whole when it is opened (about 0.1 s); damage in a larger
// one is found when it is met.
constexpr int64_t kMaxCheckedBytes = int64_t{32} << 20;

constexpr std::array kSuffixes = {"", "-wal", "-shm"};

// -1 when there is no such file.
int64_t SizeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : -1;
}

void RemoveAll(const std::string& path) {
  for (const char* suffix : kSuffixes) unlink((path + suffix).c_str());
  unlink((path + "-journal").c_str());
}

Result<void> Migrate(Database& db) {
  ASSIGN_OR_RETURN(int64_t version, db.QueryInt("PRAGMA user_version"));
  for (int64_t step = version; step < kVersion; ++step) {
    const std::string sql = std::string(kMigrations[static_cast<size_t>(step)]) +
                            "PRAGMA user_version = " + std::to_string(step + 1);
    RETURN_IF_ERROR(db.Transaction([&db, &sql] { return db.Execute(sql); }));
  }
  return {};
}

// Makes the file under another name first, so that it is never seen half made.
Result<void> Create(const std::string& path) {
  const std::string fresh = path + ".new";
  RemoveAll(fresh);
  {
    ASSIGN_OR_RETURN(Database db, Database::Open(fresh, Database::Mode::kCreate));
    RETURN_IF_ERROR(
        db.Execute("PRAGMA synchronous = OFF; PRAGMA auto_vacuum = INCREMENTAL;"
                   "PRAGMA application_id = " +
                   std::to_string(kApplicationId)));
    RETURN_IF_ERROR(Migrate(db));
    RETURN_IF_ERROR(db.Execute("PRAGMA journal_mode = WAL"));
  }
  // Once for all, instead of at each step: on a slow disk that is 0.1 s less at the first start.
  const UniqueFd file(open(fresh.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || fsync(file.get()) != 0) return ErrnoError(errno, fresh, "cannot create");
  // A -wal file without its database is of no use, and SQLite would apply it to the new one.
  RemoveAll(path);
  if (rename(fresh.c_str(), path.c_str()) != 0) return ErrnoError(errno, path, "cannot create");
  return SyncFolderOf(path);
}

// Looks at an existing file and changes nothing, not even by making a -wal or -shm file.
Result<void> Look(const std::string& path) {
  const std::string shm = path + "-shm";
  const bool has_wal = SizeOf(path + "-wal") > 0;
  const bool had_shm = SizeOf(shm) >= 0;
  Result<void> seen;
  {
    ASSIGN_OR_RETURN(Database db, Database::Open(path, has_wal ? Database::Mode::kReadOnly
                                                               : Database::Mode::kImmutable));
    seen = CheckIdentity(db, path);
  }
  if (has_wal && !had_shm) unlink(shm.c_str());
  return seen;
}

Result<void> CheckWhole(Database& db, const std::string& path) {
  if (FileBytes(path) > kMaxCheckedBytes) return {};
  ASSIGN_OR_RETURN(Statement check, db.Prepare("PRAGMA quick_check(1)"));
  ASSIGN_OR_RETURN(bool row, check.Step());
  if (row && check.Bytes(0) == "ok") return {};
  return Error{ErrorCode::kParse, path, 0, row ? std::string(check.Bytes(0)) : "no answer"};
}

Result<Database> OpenExisting(const std::string& path) {
  RETURN_IF_ERROR(Look(path));
  ASSIGN_OR_RETURN(Database db, Database::Open(path, Database::Mode::kReadWrite));
  // Short, because a flush that finds the database busy is tried again at the next one.
  RETURN_IF_ERROR(db.Execute("PRAGMA busy_timeout = 500; PRAGMA journal_mode = WAL"));
  RETURN_IF_ERROR(CheckWhole(db, path));
  RETURN_IF_ERROR(Migrate(db));
  return db;
}

}  // namespace

Result<void> CheckIdentity(Database& db, const std::string& path) {
  ASSIGN_OR_RETURN(int64_t application, db.QueryInt("PRAGMA application_id"));
  if (application != kApplicationId) {
    return Error{ErrorCode::kInvalid, path, 0,
                 "is a database of another program: choose another data folder or move it away"};
  }
  ASSIGN_OR_RETURN(int64_t version, db.QueryInt("PRAGMA user_version"));
  if (version > kVersion) {
    return Error{ErrorCode::kInvalid, path, 0,
                 "was written by a newer idlewatt (format " + std::to_string(version) +
                     ", this one knows " + std::to_string(kVersion) +
                     "): use that version, or move the file away to begin a new history"};
  }
  return {};
}

Result<void> CheckReadable(Database& db, const std::string& path) {
  RETURN_IF_ERROR(CheckIdentity(db, path));
  ASSIGN_OR_RETURN(int64_t version, db.QueryInt("PRAGMA user_version"));
  if (version == kVersion) return {};
  return Error{ErrorCode::kInvalid, path, 0,
               "was written by an older idlewatt (format " + std::to_string(version) +
                   ", this one reads " + std::to_string(kVersion) +
                   "): `idlewatt run` or `idlewatt import` upgrades it"};
}

Result<OpenedDatabase> OpenForWriting(const std::string& path) {
  std::optional<std::string> set_aside;
  if (SizeOf(path) > 0) {
    Result<Database> db = OpenExisting(path);
    if (db.ok()) return OpenedDatabase{std::move(*db), std::nullopt};
    if (!IsDamage(db.error())) return db.error();
    ASSIGN_OR_RETURN(set_aside, SetAside(path));
  }
  RETURN_IF_ERROR(Create(path));
  ASSIGN_OR_RETURN(Database db, OpenExisting(path));
  return OpenedDatabase{std::move(db), std::move(set_aside)};
}

Result<Database> OpenBeside(const std::string& path) {
  if (SizeOf(path) <= 0) RETURN_IF_ERROR(Create(path));
  return OpenExisting(path);
}

Result<std::string> SetAside(const std::string& path) {
  std::string stamp;
  for (const char c : FormatWallTime(RealClock().Now().wall)) {
    if (c == '.') break;  // "2026-11-21T03:56:12.123Z" becomes "20261121T035612Z"
    if (c != '-' && c != ':') stamp += c;
  }
  const std::string base = path + ".damaged-" + stamp + "Z";
  std::string target = base;
  for (int n = 2; SizeOf(target) >= 0; ++n) target = base + "-" + std::to_string(n);
  for (const char* suffix : kSuffixes) {
    if (rename((path + suffix).c_str(), (target + suffix).c_str()) == 0) continue;
    if (errno != ENOENT) return ErrnoError(errno, path, "is damaged and cannot be renamed");
  }
  return target;
}

Result<void> SyncFolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  const UniqueFd fd(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) return ErrnoError(errno, folder, "cannot make durable");
  return {};
}

int64_t FileBytes(const std::string& path) {
  int64_t bytes = 0;
  for (const char* suffix : kSuffixes) bytes += std::max<int64_t>(0, SizeOf(path + suffix));
  return bytes;
}

}  // namespace idlewatt
