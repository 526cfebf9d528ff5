#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "storage/flush_body.h"
#include "storage/range_collector.h"
#include "storage/selector.h"
#include "storage/sqlite.h"

namespace idlewatt {

// A read-only connection to a history: of a running daemon, or a file with no daemon, also in a
// folder that can't be written to. Cheap enough to open for each query; one that is kept goes on
// reading a database that was set aside.
// Errors:  kInvalid for a database that is not ours or newer; kParse when it is too damaged to
//          find its series. A damaged row is skipped and counted.
// Threads: one at a time.
class HistoryReader {
 public:
  static Result<HistoryReader> Open(const std::string& path);

  // Hands the points of every series that `selector` means to `collector`. Gives back the number
  // of rows that were damaged; 1 for a stretch of the table that can't be read at all.
  Result<size_t> Read(const Selector& selector, RangeCollector& collector);
  // The folder can't be written to, so what only stands in the -wal file is not seen.
  bool misses_newest() const { return misses_newest_; }

 private:
  using Handles = std::unordered_map<int64_t, size_t>;  // row of `series` to collector handle

  explicit HistoryReader(Database db) : db_(std::move(db)) {}
  Result<size_t> ReadAll(const Selector& selector, RangeCollector& collector);
  Result<Handles> FindSeries(const Selector& selector, RangeCollector& collector);
  Result<size_t> ScanRows(const Handles& handles, RangeCollector& collector);
  bool TakeBody(std::string_view body, const Handles& handles, RangeCollector& collector);

  Database db_;
  bool misses_newest_ = false;
  FlushDecoder decoder_;
  std::vector<double> values_;  // scratch
};

}  // namespace idlewatt
