#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "storage/history_reader.h"

namespace idlewatt {

struct SqlBlob {
  std::string_view bytes;
};
// NULL, INTEGER, REAL, TEXT, BLOB. A REAL is never NaN.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string_view, SqlBlob>;

// The rows of one statement that somebody wrote, over the tables of a history and `samples` (see
// storage/samples_table.h). It can only read: nothing is written, attached or set.
// Errors:  kInvalid for what is no single statement, does not only read, or is wrong SQL, with the
//          position in bytes (from 1) where SQLite knows it. Else as HistoryReader.
// Threads: one at a time.
// Owns:    a read transaction, from the first row to the last.
class SqlQuery {
 public:
  // `history` must outlive this object, and serve nobody else meanwhile.
  static Result<std::unique_ptr<SqlQuery>> Start(HistoryReader& history, std::string_view sql);
  ~SqlQuery();

  const std::vector<std::string>& columns() const { return columns_; }
  // False after the last row.
  Result<bool> Next();
  // Of the current row; bytes live until the next call of Next or Value of this column.
  SqlValue Value(size_t column) const;
  // How many damaged rows `samples` has skipped so far.
  Result<int64_t> DamagedRows();

 private:
  explicit SqlQuery(Database& db) : db_(db) {}
  Result<void> Prepare(std::string_view sql);
  Error ErrorOf(std::string_view sql) const;

  Database& db_;
  std::unique_ptr<sqlite3_stmt, detail::SqliteDeleter> statement_;
  std::vector<std::string> columns_;
};

}  // namespace idlewatt
