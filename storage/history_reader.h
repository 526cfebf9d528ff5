#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "collector/selector.h"
#include "storage/chunk_reader.h"
#include "storage/flush_body.h"
#include "storage/sqlite.h"
#include "storage/stored_series.h"

namespace idlewatt {

// A read-only connection to a history: of a running daemon, or a file with no daemon, also in a
// folder that can't be written to. Cheap enough to open for each query; one that is kept goes on
// reading a database that was set aside.
// Errors:  kInvalid for a database that is not ours, older or newer; kParse when it is too damaged
//          to find its series. Damaged rows are skipped and counted.
// Threads: one at a time.
class HistoryReader {
 public:
  static Result<HistoryReader> Open(const std::string& path);

  // The series that `selector` means, all without one; by metric, then labels.
  Result<std::vector<StoredSeries>> FindSeries(const Selector* selector);
  Result<std::vector<MetricFamily>> Families();  // by name
  Database& db() { return db_; }
  // The folder can't be written to, so what only stands in the -wal file is not seen.
  bool misses_newest() const { return misses_newest_; }

 private:
  explicit HistoryReader(Database db) : db_(std::move(db)) {}

  Database db_;
  bool misses_newest_ = false;
};

// Points of series, one series after the other, each in the order of time.
// Errors:  as HistoryReader.
// Threads: one at a time.
// Owns:    a read transaction, unless the caller has one, so that all points are of one moment.
// Hold
//          it no longer than needed: the -wal file can't be begun anew meanwhile.
class PointReader {
 public:
  struct Request {
    int64_t series_id = 0;    // 0: not in the database, only `more`
    std::vector<Point> more;  // from elsewhere, in any order; what the database has too counts once
  };

  enum class Transaction {
    kOwn,       // the connection must hold none
    kOfCaller,  // one that outlives this object
  };

  // Both ends included. `db` must outlive this object.
  static Result<std::unique_ptr<PointReader>> Start(Database& db, std::vector<Request> requests,
                                                    int64_t since_ms, int64_t until_ms,
                                                    Transaction transaction = Transaction::kOwn);
  ~PointReader();

  // The next points, of the series `series()` of the requests; false when there are no more.
  // Several times for one series; never none. Points of one time stand in the order in which they
  // came.
  Result<bool> Next(std::vector<Point>& points);
  size_t series() const { return series_; }
  // Rows that were skipped so far because they are damaged; 1 for a stretch that can't be read.
  size_t damaged_rows() const;

 private:
  PointReader(Database& db, std::vector<Request> requests, int64_t since_ms, int64_t until_ms)
      : db_(db), requests_(std::move(requests)), since_ms_(since_ms), until_ms_(until_ms) {}
  Result<void> Prepare(Transaction transaction);
  Result<void> ReadFrames();
  bool TakeFrames(std::string_view body, const std::map<int64_t, size_t>& places);
  void StartSeries();
  Result<bool> NextOfSeries(std::vector<Point>& points);
  Result<bool> NextChunk();
  void Cut(std::vector<Point>& points) const;
  void MergeMore(std::vector<Point>& points, bool is_last);

  Database& db_;
  std::vector<Request> requests_;
  const int64_t since_ms_, until_ms_;
  std::optional<ChunkReader> chunks_;
  FlushDecoder decoder_;
  ChunkReader::Chunk chunk_;  // scratch
  size_t series_ = 0;
  size_t more_taken_ = 0;     // of the `more` of this series
  bool chunks_left_ = false;  // of this series
  bool begun_ = false;
  bool in_transaction_ = false;
  size_t damaged_frames_ = 0;
  size_t damaged_stretches_ = 0;
  int64_t resume_ms_ = 0;  // where to go on in this series after damaged pages
};

}  // namespace idlewatt
