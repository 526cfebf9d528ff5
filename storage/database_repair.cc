#include "storage/database_repair.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "storage/database_care.h"
#include "storage/database_file.h"
#include "storage/row_check.h"
#include "storage/row_salvage.h"

namespace idlewatt {
namespace {

// Copies what is sound of one database to another, table by table.
class Copier {
 public:
  Copier(Database& from, Database& to, RepairOutcome& outcome)
      : from_(from), to_(to), outcome_(outcome) {}

  Result<void> CopyAll() {
    for (const HistoryTable& table : kHistoryTables) RETURN_IF_ERROR(CopyTable(table));
    RETURN_IF_ERROR(DropOverlaps());
    RETURN_IF_ERROR(NameSeries());
    return to_.Execute("DELETE FROM chunk_times WHERE uses = 0");
  }

 private:
  Result<void> CopyTable(const HistoryTable& table) {
    const std::string name(table.name);
    // Triggers count the uses again.
    const std::string columns =
        table.name == "chunk_times" ? "id, 0 AS uses, body" : std::string(table.columns);
    const std::string key(table.columns.substr(0, table.columns.find(',')));
    RETURN_IF_ERROR(StartTable(table));
    if (table.name == "metric_family") return CopyInOrder(columns, name, key);
    Result<RowSalvage> salvage = RowSalvage::Create(from_, columns, name, key);
    if (!salvage.ok()) {
      Current().unreadable = 1;
      return {};
    }
    ASSIGN_OR_RETURN(Current().unreadable,
                     salvage->Run([this](const Statement& row) { return CopyRow(row); }));
    if (table.name == "series" && Current().unreadable > 0) return CopySeriesOfIndex();
    return {};
  }

  Result<void> StartTable(const HistoryTable& table) {
    table_ = &table;
    outcome_.tables.push_back({std::string(table.name)});
    std::string sql = "INSERT OR IGNORE INTO " + std::string(table.name) + "(" +
                      std::string(table.columns) + ") VALUES(";
    columns_ = static_cast<int>(1 + std::count(table.columns.begin(), table.columns.end(), ','));
    for (int i = 1; i <= columns_; ++i) sql += (i > 1 ? ", ?" : "?") + std::to_string(i);
    ASSIGN_OR_RETURN(insert_, to_.Prepare(sql + ")"));
    return {};
  }

  Result<void> CopyRow(const Statement& row) {
    if (rows_of_.Problem(*table_, row)) {
      ++Current().damaged;
      return {};
    }
    for (int i = 0; i < columns_; ++i) insert_->BindColumn(i + 1, row, i);
    Result<void> inserted = insert_->Run();
    // Anything but a full disk and the like: the row breaks a rule of the table.
    if (!inserted.ok() && inserted.error().code != ErrorCode::kInternal) return inserted;
    if (inserted.ok() && to_.rows_changed() > 0) {
      ++Current().kept;
    } else {
      ++Current().damaged;
    }
    return {};
  }

  // For a table whose key is no number.
  Result<void> CopyInOrder(const std::string& columns, const std::string& from,
                           const std::string& order) {
    const std::string select = "SELECT " + columns + " FROM " + from + " ORDER BY " + order;
    for (const bool backwards : {false, true}) {
      Result<Statement> rows = from_.Prepare(backwards ? select + " DESC" : select);
      Result<bool> row = rows.ok() ? rows->Step() : Result<bool>(rows.error());
      for (; row.ok() && *row; row = rows->Step()) {
        const uint64_t damaged_before = Current().damaged;
        RETURN_IF_ERROR(CopyRow(*rows));
        // Met a second time, from the other end.
        if (backwards) Current().damaged = damaged_before;
      }
      if (row.ok()) return {};
    }
    Current().unreadable = 1;
    return {};
  }

  // The index has the name of a series once more. Only its unit is lost, and its kind follows from
  // the name.
  Result<void> CopySeriesOfIndex() {
    const uint64_t unreadable = Current().unreadable;
    const uint64_t damaged = Current().damaged;
    RETURN_IF_ERROR(
        CopyInOrder("id, metric, labels, CASE WHEN substr(metric, -6) = '_total' THEN"
                    " 'counter' ELSE 'gauge' END, ''",
                    "series INDEXED BY sqlite_autoindex_series_1", "metric"));
    Current().unreadable = unreadable;
    Current().damaged = damaged;
    return {};
  }

  Result<void> DropOverlaps() {
    ASSIGN_OR_RETURN(Statement drop, to_.Prepare("DELETE FROM chunks WHERE id = ?1"));
    const auto chunks = std::find_if(outcome_.tables.begin(), outcome_.tables.end(),
                                     [](const auto& table) { return table.name == "chunks"; });
    for (const int64_t id : rows_of_.OverlappingChunks()) {
      drop.Bind(1, id);
      RETURN_IF_ERROR(drop.Run());
      --chunks->kept;
      ++chunks->damaged;
    }
    return {};
  }

  // So that no new series gets the number, and with it the samples, of a lost one.
  Result<void> NameSeries() {
    outcome_.nameless_series = rows_of_.NamelessSeries();
    ASSIGN_OR_RETURN(Statement insert,
                     to_.Prepare("INSERT INTO series VALUES(?1, 'idlewatt_lost_series',"
                                 " '{\"id\":\"' || ?1 || '\"}', 'gauge', '')"));
    for (const int64_t id : outcome_.nameless_series) {
      insert.Bind(1, id);
      RETURN_IF_ERROR(insert.Run());
    }
    return {};
  }

  RepairOutcome::Table& Current() { return outcome_.tables.back(); }

  Database& from_;
  Database& to_;
  RepairOutcome& outcome_;
  RowCheck rows_of_;
  const HistoryTable* table_ = nullptr;
  std::optional<Statement> insert_;
  int columns_ = 0;
};

// With the pragma, SQLite reads a file that is shorter than its first page says, too.
Result<Database> OpenDamaged(const std::string& path) {
  ASSIGN_OR_RETURN(Database db, Database::Open(path, Database::Mode::kReadOnly));
  RETURN_IF_ERROR(db.Execute("PRAGMA writable_schema = ON"));
  RETURN_IF_ERROR(CheckIdentity(db, path));
  return db;
}

Result<void> MakeRepaired(const std::string& path, const std::string& repaired,
                          RepairOutcome& outcome) {
  ASSIGN_OR_RETURN(Database damaged, OpenDamaged(path));
  ASSIGN_OR_RETURN(Database made, OpenBeside(repaired));
  RETURN_IF_ERROR(made.Execute("PRAGMA synchronous = NORMAL"));
  RETURN_IF_ERROR(made.Transaction([&] { return Copier(damaged, made, outcome).CopyAll(); }));
  // While `made` is open, whose end then takes away the files -wal and -shm.
  ASSIGN_OR_RETURN(const DatabaseCheck check, CheckDatabase(repaired));
  if (check.sound()) return {};
  return Error{ErrorCode::kInternal, repaired, 0, "is not sound either: " + check.problems.front()};
}

}  // namespace

Result<RepairOutcome> RepairDatabase(const DataDir& /*folder*/, const std::string& path) {
  const std::string repaired = path + ".repaired";
  struct stat info {};
  if (lstat(repaired.c_str(), &info) == 0) {
    return Error{ErrorCode::kInvalid, repaired, 0,
                 "is left of a repair that was cut short: move it away"};
  }
  RepairOutcome outcome;
  const Result<DatabaseCheck> check = CheckDatabase(path);
  if (check.ok() && check->sound()) return outcome;
  if (!check.ok() && !IsDamage(check.error())) return check.error();
  RETURN_IF_ERROR(MakeRepaired(path, repaired, outcome));
  ASSIGN_OR_RETURN(outcome.set_aside, SetAside(path));
  if (rename(repaired.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, repaired, "cannot be renamed to " + path);
  }
  RETURN_IF_ERROR(SyncFolderOf(path));
  return outcome;
}

}  // namespace idlewatt
