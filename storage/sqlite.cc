#include "storage/sqlite.h"

#include "storage/sqlite_api.h"

namespace idlewatt {
namespace {

constexpr int kCopyPages = 256;  // 1 MiB between two calls of `progress`

ErrorCode CodeOf(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::kParse;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return ErrorCode::kTransient;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return ErrorCode::kPermission;
    default:
      return ErrorCode::kInternal;
  }
}

// The error the connection met last. `db` may be null (out of memory at open).
Error LastError(sqlite3* db) {
  const int code = sqlite3_extended_errcode(db);
  const char* path = db == nullptr ? nullptr : sqlite3_db_filename(db, "main");
  const ErrorCode kind = CodeOf(code);
  const bool by_system = kind == ErrorCode::kTransient || kind == ErrorCode::kPermission;
  return {kind, path == nullptr ? "" : path, by_system ? sqlite3_system_errno(db) : 0,
          sqlite3_errmsg(db)};
}

std::string ImmutableUri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%') {
      uri += "%25";
    } else if (c == '?') {
      uri += "%3f";
    } else if (c == '#') {
      uri += "%23";
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

void detail::SqliteDeleter::operator()(sqlite3* db) const {
  if (!borrowed) sqlite3_close_v2(db);
}

void detail::SqliteDeleter::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void Statement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
}

void Statement::Bind(int parameter, double value) {
  sqlite3_bind_double(statement_.get(), parameter, value);
}

void Statement::BindNull(int parameter) { sqlite3_bind_null(statement_.get(), parameter); }

void Statement::Bind(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter, text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

void Statement::BindBlob(int parameter, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), parameter, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
}

void Statement::BindColumn(int parameter, const Statement& row, int column) {
  sqlite3_bind_value(statement_.get(), parameter,
                     sqlite3_column_value(row.statement_.get(), column));
}

Result<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    Reset();
    return false;
  }
  Error error = LastError(sqlite3_db_handle(statement_.get()));
  Reset();
  return error;
}

Result<void> Statement::Run() {
  ASSIGN_OR_RETURN(bool row, Step());
  if (row) Reset();
  return {};
}

void Statement::Reset() { sqlite3_reset(statement_.get()); }

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

double Statement::Double(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string_view Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Database> Database::Open(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case Mode::kCreate:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      break;
    case Mode::kReadWrite:
      flags |= SQLITE_OPEN_READWRITE;
      break;
    case Mode::kReadOnly:
      flags |= SQLITE_OPEN_READONLY;
      break;
    case Mode::kImmutable:
      flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
      break;
  }
  const std::string name = mode == Mode::kImmutable ? ImmutableUri(path) : path;
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &db, flags, nullptr);
  Database database(db);  // also a connection that failed to open must be closed
  if (code != SQLITE_OK) {
    Error error = database.LastError();
    error.subject = path;
    return error;
  }
  return database;
}

Result<void> Database::Execute(const std::string& sql) {
  if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return LastError();
  }
  return {};
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return LastError();
  return Statement(statement);
}

Result<int64_t> Database::QueryInt(std::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

Error Database::LastError() const { return idlewatt::LastError(db_.get()); }

int64_t Database::rows_changed() const { return sqlite3_changes64(db_.get()); }

Result<void> Database::CopyTo(Database& target,
                              const std::function<void(int64_t, int64_t)>& progress) {
  // Without a transaction around all steps, each flush of a daemon would begin the copy anew.
  RETURN_IF_ERROR(Execute("BEGIN; SELECT 1 FROM sqlite_schema"));
  sqlite3_backup* backup = sqlite3_backup_init(target.db_.get(), "main", db_.get(), "main");
  int code = backup == nullptr ? SQLITE_ERROR : SQLITE_OK;
  while (code == SQLITE_OK) {
    code = sqlite3_backup_step(backup, kCopyPages);
    const int64_t all = sqlite3_backup_pagecount(backup);
    if (progress) progress(all - sqlite3_backup_remaining(backup), all);
  }
  if (backup != nullptr) sqlite3_backup_finish(backup);  // leaves its error with the target
  (void)Execute("ROLLBACK");
  if (code != SQLITE_DONE) return target.LastError();
  return {};
}

}  // namespace idlewatt
