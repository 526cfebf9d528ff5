// SQLite as RAII types that give back Result. A Database and its statements belong to one thread
// at a time: the connections are opened without SQLite's own mutex.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace idlewatt {

namespace detail {
struct SqliteDeleter {
  bool borrowed = false;
  void operator()(sqlite3* db) const;
  void operator()(sqlite3_stmt* statement) const;
};
}  // namespace detail

// A prepared statement, kept and used again. It must not outlive its Database.
class Statement {
 public:
  // Parameters count from 1. The bytes are copied.
  void Bind(int parameter, int64_t value);
  void Bind(int parameter, double value);  // NaN becomes NULL
  void Bind(int parameter, std::string_view text);
  void BindNull(int parameter);
  void BindBlob(int parameter, std::string_view bytes);
  // What stands in a column of the current row of another statement, whatever its type.
  void BindColumn(int parameter, const Statement& row, int column);
  // True: there is a row. False: done, and the statement is reset. An error resets it as well.
  Result<bool> Step();
  // For a statement without rows.
  Result<void> Run();
  void Reset();

  // Columns of the current row, from 0. The bytes live until the next Step or Reset.
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string_view Bytes(int column) const;
  bool IsNull(int column) const;
  // For what SQLite can do and this class can't.
  sqlite3_stmt* handle() const { return statement_.get(); }

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, detail::SqliteDeleter> statement_;
};

// Errors:  kParse for a damaged file (see IsDamage); kTransient for a full disk, an I/O error or a
//          database that another process holds; kPermission when the file can't be opened.
class Database {
 public:
  enum class Mode {
    kCreate,     // read and write; made when missing
    kReadWrite,  // must exist
    kReadOnly,   // may make -wal and -shm files
    kImmutable,  // leaves no trace, sees nothing that is in the -wal file only
  };
  static Result<Database> Open(const std::string& path, Mode mode);
  // A connection of somebody else, who closes it after this object is gone.
  static Database Borrow(sqlite3* db) { return Database(db, true); }

  // One or more statements without parameters; rows are ignored.
  Result<void> Execute(const std::string& sql);
  Result<Statement> Prepare(std::string_view sql);
  // First column of the first row; 0 when there is none or it is NULL.
  Result<int64_t> QueryInt(std::string_view sql);
  // Commits when all of `body` worked, else rolls back.
  template <typename Body>
  Result<void> Transaction(Body body) {
    RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    Result<void> result = body();
    if (result.ok()) result = Execute("COMMIT");
    if (!result.ok()) (void)Execute("ROLLBACK");  // fails when SQLite has done so already
    return result;
  }
  int64_t rows_changed() const;  // by the last statement
  // Makes `target`, which must be empty, a copy of this database as of one moment, page by page
  // and while others write. Holds a read transaction meanwhile. `progress` may be empty; it is
  // told how many pages are done, of how many.
  Result<void> CopyTo(Database& target, const std::function<void(int64_t, int64_t)>& progress);
  // The error that was met last. After a call that worked it says nothing.
  Error LastError() const;
  // For what SQLite can do and this class can't.
  sqlite3* handle() const { return db_.get(); }

 private:
  explicit Database(sqlite3* db, bool borrowed = false) : db_(db, {borrowed}) {}
  std::unique_ptr<sqlite3, detail::SqliteDeleter> db_;
};

// Is the file itself broken, so that trying again won't help?
inline bool IsDamage(const Error& error) { return error.code == ErrorCode::kParse; }

}  // namespace idlewatt
