#include "storage/history_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "storage/column_codec.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

// A key that was taken moved up by a few milliseconds; see docs/storage-format.md.
constexpr int64_t kMaxKeyShiftMs = 1000;

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

bool HasContent(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && info.st_size > 0;
}

Result<Database> OpenChecked(const std::string& path, Database::Mode mode) {
  ASSIGN_OR_RETURN(Database db, Database::Open(path, mode));
  RETURN_IF_ERROR(db.Execute("PRAGMA busy_timeout = 2000; PRAGMA cache_size = -256"));
  RETURN_IF_ERROR(CheckIdentity(db, path));
  return db;
}

}  // namespace

Result<HistoryReader> HistoryReader::Open(const std::string& path) {
  Result<Database> db = OpenChecked(path, Database::Mode::kReadOnly);
  if (db.ok()) return HistoryReader(std::move(*db));
  // A read-only folder has no room for the -shm file that WAL needs.
  if (db.error().code != ErrorCode::kPermission) return db.error();
  Result<Database> frozen = OpenChecked(path, Database::Mode::kImmutable);
  if (!frozen.ok()) return frozen.error();
  HistoryReader reader(std::move(*frozen));
  reader.misses_newest_ = HasContent(path + "-wal");
  return reader;
}

Result<size_t> HistoryReader::Read(const Selector& selector, RangeCollector& collector) {
  RETURN_IF_ERROR(db_.Execute("BEGIN"));  // series and rows of one moment
  Result<size_t> damaged = ReadAll(selector, collector);
  (void)db_.Execute("ROLLBACK");
  return damaged;
}

Result<size_t> HistoryReader::ReadAll(const Selector& selector, RangeCollector& collector) {
  ASSIGN_OR_RETURN(Handles handles, FindSeries(selector, collector));
  if (handles.empty()) return 0;
  return ScanRows(handles, collector);
}

Result<HistoryReader::Handles> HistoryReader::FindSeries(const Selector& selector,
                                                         RangeCollector& collector) {
  ASSIGN_OR_RETURN(Statement rows,
                   db_.Prepare("SELECT id, labels, kind, unit FROM series WHERE metric = ?1"));
  rows.Bind(1, selector.metric());
  Handles handles;
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return handles;
    const Result<Labels> labels = LabelsFromJson(rows.Bytes(1));
    if (!labels.ok() || !selector.MatchesLabels(*labels)) continue;
    const MetricKind kind = rows.Bytes(2) == "counter" ? MetricKind::kCounter : MetricKind::kGauge;
    handles.emplace(rows.Int(0),
                    collector.AddSeries(selector.metric(), *labels, kind, rows.Bytes(3)));
  }
}

Result<size_t> HistoryReader::ScanRows(const Handles& handles, RangeCollector& collector) {
  const RangeWindow& window = collector.window();
  int64_t first = SaturatingAdd(window.since.time_since_epoch().count(), -kMaxRowSpanMs);
  const int64_t last = SaturatingAdd(window.until.time_since_epoch().count(), kMaxKeyShiftMs);
  size_t damaged = 0;
  // Upwards; where a damaged page ends that, downwards from the far end to the same place.
  for (const std::string order : {"ASC", "DESC"}) {
    ASSIGN_OR_RETURN(Statement rows,
                     db_.Prepare("SELECT time_ms, body FROM frames WHERE time_ms BETWEEN ?1 AND ?2"
                                 " ORDER BY time_ms " +
                                 order));
    rows.Bind(1, first);
    rows.Bind(2, last);
    for (;;) {
      const Result<bool> row = rows.Step();
      if (!row.ok() && !IsDamage(row.error())) return row.error();
      if (!row.ok()) break;
      if (!*row) return damaged;
      if (order == "ASC") first = SaturatingAdd(rows.Int(0), 1);
      if (!TakeBody(rows.Bytes(1), handles, collector)) ++damaged;
    }
    if (order == "ASC") ++damaged;
  }
  return damaged;
}

// False when the body is damaged; what was read before the damage is kept.
bool HistoryReader::TakeBody(std::string_view body, const Handles& handles,
                             RangeCollector& collector) {
  if (!decoder_.Open(body).ok()) return false;
  const std::vector<int64_t>& times = decoder_.times_ms();
  FlushDecoder::Column column;
  for (;;) {
    const Result<bool> more = decoder_.Next(column);
    if (!more.ok()) return false;
    if (!*more) return true;
    const auto handle = handles.find(column.series_id);
    if (handle == handles.end()) continue;
    if (!DecodeColumn(column.bytes, times.size(), values_).ok()) return false;
    for (size_t i = 0; i < times.size(); ++i) {
      if (!std::isnan(values_[i])) collector.Add(handle->second, times[i], values_[i]);
    }
  }
}

}  // namespace idlewatt
