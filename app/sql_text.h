#pragma once

#include <cstdio>
#include <string>

#include "base/result.h"
#include "storage/sql_query.h"

namespace idlewatt {

// Prints the rows of `query` while they come:
// - "json": an array of objects, one a line; a column whose name was there before is NAME#2. NULL
//   is null, an infinity "+Inf" or "-Inf", a BLOB a text of hex digits.
// - "csv": a head, then the rows; NULL is empty, a BLOB as above.
// - "table": aligned for each 1,000 rows, under a head of their own; NULL is "-", bytes that would
//   steer a terminal are "?".
// kTransient when `out` takes no more.
Result<void> PrintRows(SqlQuery& query, const std::string& format, std::FILE* out);

}  // namespace idlewatt
