#include "storage/sql_query.h"

#include <algorithm>
#include <array>

#include "storage/samples_table.h"
#include "storage/sqlite_api.h"

namespace idlewatt {
namespace {

constexpr std::array<std::string_view, 8> kInfoPragmas = {
    "index_info",  "index_list", "index_xinfo", "integrity_check",
    "quick_check", "table_info", "table_list",  "table_xinfo"};
// These change something when they are given a value.
constexpr std::array<std::string_view, 14> kSettingPragmas = {
    "application_id", "auto_vacuum", "cache_size",     "collation_list", "compile_options",
    "database_list",  "encoding",    "freelist_count", "function_list",  "journal_mode",
    "module_list",    "page_count",  "page_size",      "user_version"};

template <typename List>
bool Holds(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// A list of what is allowed: what a later SQLite can do is refused until somebody looked at it.
int Authorize(void*, int action, const char* name, const char* value, const char*,
              const char*) noexcept {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return std::string_view(value) == "load_extension" ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_UPDATE:
      // Asked when SQLite declares a table of its own, such as json_each. The statement UPDATE
      // sqlite_master itself is refused by SQLite, and Prepare would refuse it too.
      return std::string_view(name) == "sqlite_master" ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA: {
      const std::string_view pragma = name == nullptr ? "" : name;
      const bool asks =
          Holds(kInfoPragmas, pragma) || (value == nullptr && Holds(kSettingPragmas, pragma));
      return asks ? SQLITE_OK : SQLITE_DENY;
    }
    default:
      return SQLITE_DENY;
  }
}

Error Wrong(std::string text) { return {ErrorCode::kInvalid, "SQL", 0, std::move(text)}; }

}  // namespace

Result<std::unique_ptr<SqlQuery>> SqlQuery::Start(HistoryReader& history, std::string_view sql) {
  std::unique_ptr<SqlQuery> query(new SqlQuery(history.db()));
  RETURN_IF_ERROR(AddSamplesTable(query->db_.handle()));
  // Declares the table, which the authorizer would take for a change of the schema.
  ASSIGN_OR_RETURN(const Statement declared, query->db_.Prepare("SELECT 1 FROM samples"));
  sqlite3_set_authorizer(query->db_.handle(), Authorize, nullptr);
  RETURN_IF_ERROR(query->Prepare(sql));
  return query;
}

SqlQuery::~SqlQuery() { sqlite3_set_authorizer(db_.handle(), nullptr, nullptr); }

Result<void> SqlQuery::Prepare(std::string_view sql) {
  std::string_view rest = sql;
  while (!rest.empty()) {
    sqlite3_stmt* raw = nullptr;
    const char* tail = nullptr;
    const int code = sqlite3_prepare_v3(db_.handle(), rest.data(), static_cast<int>(rest.size()), 0,
                                        &raw, &tail);
    std::unique_ptr<sqlite3_stmt, detail::SqliteDeleter> statement(raw);
    if (statement_ && (statement || code != SQLITE_OK)) {
      return Wrong("there is more than one statement");
    }
    if (code != SQLITE_OK) return ErrorOf(rest);
    if (statement) statement_ = std::move(statement);
    rest.remove_prefix(static_cast<size_t>(tail - rest.data()));
  }
  if (!statement_) return Wrong("there is no statement");
  if (sqlite3_stmt_readonly(statement_.get()) == 0) return Wrong("it does not only read");
  const int count = sqlite3_column_count(statement_.get());
  for (int i = 0; i < count; ++i) columns_.emplace_back(sqlite3_column_name(statement_.get(), i));
  return {};
}

// Why `sql` was refused.
Error SqlQuery::ErrorOf(std::string_view sql) const {
  Error error = db_.LastError();
  const int code = sqlite3_errcode(db_.handle());
  if (code == SQLITE_AUTH) {
    return Wrong(
        "the history is only read here: SELECT, VALUES, WITH, EXPLAIN and PRAGMAs that ask are "
        "allowed, nothing that writes, attaches or sets");
  }
  if (code != SQLITE_ERROR && code != SQLITE_TOOBIG) return error;
  const int offset = sqlite3_error_offset(db_.handle());
  if (offset < 0 || static_cast<size_t>(offset) > sql.size()) return Wrong(error.text);
  return Wrong(error.text + " at position " + std::to_string(offset + 1));
}

Result<bool> SqlQuery::Next() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  Error error = db_.LastError();
  sqlite3_reset(statement_.get());
  return (code & 0xff) == SQLITE_ERROR ? Wrong(error.text) : error;
}

SqlValue SqlQuery::Value(size_t column) const {
  sqlite3_stmt* row = statement_.get();
  const int index = static_cast<int>(column);
  const auto bytes = [&]() -> std::string_view {
    const void* data = sqlite3_column_blob(row, index);
    const int size = sqlite3_column_bytes(row, index);
    if (data == nullptr) return {};
    return {static_cast<const char*>(data), static_cast<size_t>(size)};
  };
  switch (sqlite3_column_type(row, index)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(row, index);
    case SQLITE_FLOAT:
      return sqlite3_column_double(row, index);
    case SQLITE_TEXT:
      return bytes();
    case SQLITE_BLOB:
      return SqlBlob{bytes()};
    default:
      return std::monostate{};
  }
}

Result<int64_t> SqlQuery::DamagedRows() { return db_.QueryInt("SELECT idlewatt_damaged_rows()"); }

}  // namespace idlewatt
