#pragma once

#include "base/result.h"

struct sqlite3;

namespace idlewatt {

// Gives an open connection, for as long as it is open:
// - the table `samples(metric TEXT, labels TEXT, time_ms INTEGER, value REAL)`, read-only: every
//   measured sample of the history that is the main database of the connection. Labels are JSON, as
//   in the table `series`. A value that is not a number reads as NULL. Rows come by metric, labels
//   and time.
// - the function `idlewatt_damaged_rows()`: how many damaged rows queries of `samples` have skipped
//   on this connection so far.
// A query holds the samples of one chunk, and what frames hold of up to 256 series. Only the series
// and times are read that these ask for: metric and labels with =, LIKE and GLOB; time_ms with =,
// <,
// <=, > and >=. A query of a database that is not a history fails with a sentence.
Result<void> AddSamplesTable(sqlite3* db);

}  // namespace idlewatt
