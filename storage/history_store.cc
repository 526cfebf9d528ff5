#include "storage/history_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "collector/labels.h"
#include "storage/calendar.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

// Steps of compaction after one flush, so that a flush is never far away: an hour takes some 60 µs
// a series, a step of merged days some 30 ms.
constexpr int kMostCompactions = 4;

// How many of the first frames go into one row; see docs/storage-format.md.
size_t FramesOfRow(std::span<const QueuedFrame> frames) {
  std::unordered_set<SeriesId> series;
  size_t count = 0;
  for (; count < std::min(frames.size(), kMaxRowFrames); ++count) {
    const QueuedFrame& frame = frames[count];
    for (const Sample& sample : frame.samples) series.insert(sample.series);
    if (count == 0) continue;
    if (series.size() * (count + 1) > kMaxRowValues || frame.time_ms < frames[count - 1].time_ms ||
        frame.time_ms - frames.front().time_ms > kMaxRowSpanMs ||
        FloorTo(frame.time_ms, kHourMs) != FloorTo(frames.front().time_ms, kHourMs)) {
      break;
    }
  }
  return count;
}

}  // namespace

Result<HistoryStore> HistoryStore::Open(std::string path, StoreOptions options,
                                        const SeriesRegistry& registry) {
  if (options.synchronous != "off" && options.synchronous != "normal" &&
      options.synchronous != "full") {
    return Error{ErrorCode::kInvalid, "synchronous", 0, "must be off, normal or full"};
  }
  HistoryStore store(std::move(path), std::move(options), registry);
  RETURN_IF_ERROR(store.Connect());
  return store;
}

Result<void> HistoryStore::Connect() {
  ASSIGN_OR_RETURN(OpenedDatabase opened, OpenForWriting(path_));
  if (opened.set_aside) {
    spdlog::warn("history: {} was damaged and is now {}; a new one was begun", path_,
                 *opened.set_aside);
    set_aside_.push_back(*opened.set_aside);
  }
  Database& db = opened.db;
  RETURN_IF_ERROR(db.Execute("PRAGMA synchronous = " + options_.synchronous +
                             "; PRAGMA cache_size = -512; PRAGMA journal_size_limit = 4194304"));
  auto made = std::make_unique<Connection>(std::move(opened.db));
  RETURN_IF_ERROR(Prepare(*made));
  // A disk that is full now is no reason not to start: the first flush does it then.
  (void)TellLostIntervals(made->db);
  connection_ = std::move(made);
  return {};
}

// Intervals that go on belong to a daemon that was killed, until this one has written its own.
Result<void> HistoryStore::TellLostIntervals(Database& db) {
  if (lost_intervals_told_) return {};
  RETURN_IF_ERROR(db.Execute("UPDATE idle_interval SET reason = 'lost' WHERE reason = 'open'"));
  lost_intervals_told_ = true;
  return {};
}

Result<void> HistoryStore::Prepare(Connection& made) const {
  Database& db = made.db;
  ASSIGN_OR_RETURN(
      made.upsert_series,
      db.Prepare("INSERT INTO series(metric, labels, kind, unit) VALUES(?1, ?2, ?3, ?4)"
                 " ON CONFLICT(metric, labels) DO UPDATE SET kind = ?3, unit = ?4"
                 " RETURNING id"));
  ASSIGN_OR_RETURN(made.upsert_family,
                   db.Prepare("INSERT OR REPLACE INTO metric_family(name, type, unit, help)"
                              " VALUES(?1, ?2, ?3, ?4)"));
  ASSIGN_OR_RETURN(made.insert_frames,
                   db.Prepare("INSERT OR IGNORE INTO frames(time_ms, body) VALUES(?1, ?2)"));
  ASSIGN_OR_RETURN(made.insert_event,
                   db.Prepare("INSERT INTO event(time_ms, kind, service, detail_json)"
                              " VALUES(?1, ?2, nullif(?3, ''), ?4)"));
  ASSIGN_OR_RETURN(
      made.upsert_interval,
      db.Prepare("INSERT INTO idle_interval(service, start_ms, end_ms, joules, avg_watts,"
                 " cpu_seconds, peak_rss_bytes, reason) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                 " ON CONFLICT(service, start_ms) DO UPDATE SET end_ms = ?3, joules = ?4,"
                 " avg_watts = ?5, cpu_seconds = ?6, peak_rss_bytes = ?7, reason = ?8"));
  ASSIGN_OR_RETURN(made.oldest,
                   db.Prepare("SELECT min(oldest) FROM (SELECT min(start_ms) AS oldest FROM chunks"
                              " UNION ALL SELECT min(time_ms) FROM frames)"));
  ASSIGN_OR_RETURN(made.compactor, Compactor::Create(db));
  ASSIGN_OR_RETURN(made.retention, Retention::Create(db, options_.retention));
  return {};
}

Result<void> HistoryStore::Replace(const Error& damage) {
  connection_.reset();
  series_rows_.clear();
  ASSIGN_OR_RETURN(std::string name, SetAside(path_));
  spdlog::warn("history: {} is damaged ({}) and is now {}; a new one was begun", path_, damage.text,
               name);
  set_aside_.push_back(std::move(name));
  return Connect();
}

Result<void> HistoryStore::Write(const FlushContent& content) {
  if (!connection_) RETURN_IF_ERROR(Connect());  // a Replace failed half way, for want of space
  Result<void> written = WriteRows(content);
  if (!written.ok() && IsDamage(written.error())) {
    RETURN_IF_ERROR(Replace(written.error()));
    written = WriteRows(content);
  }
  return written;
}

Result<void> HistoryStore::WriteRows(const FlushContent& content) {
  RETURN_IF_ERROR(TellLostIntervals(connection_->db));
  const uint64_t rows_before = rows_written_;
  Result<void> written = connection_->db.Transaction([this, &content]() -> Result<void> {
    RETURN_IF_ERROR(WriteAllFrames(content.frames));
    for (const HistoryEvent& event : content.events) RETURN_IF_ERROR(WriteEvent(event));
    for (const IdleInterval& one : content.intervals) RETURN_IF_ERROR(WriteInterval(one));
    return {};
  });
  if (written.ok()) {
    ForgetEndedSeries();
  } else {
    series_rows_.clear();  // rows made in this transaction are gone again
    rows_written_ = rows_before;
  }
  return written;
}

Result<void> HistoryStore::WriteAllFrames(std::span<const QueuedFrame> frames) {
  while (!frames.empty()) {
    const size_t count = FramesOfRow(frames);
    RETURN_IF_ERROR(WriteRow(frames.first(count)));
    frames = frames.subspan(count);
  }
  return {};
}

Result<void> HistoryStore::WriteRow(std::span<const QueuedFrame> frames) {
  ASSIGN_OR_RETURN(FlushTable table, TableOf(frames));
  if (table.series_ids.empty()) return {};
  return InsertAtFreeKey(frames.front().time_ms, EncodeFlush(table));
}

Result<void> HistoryStore::WriteEvent(const HistoryEvent& event) {
  Statement& insert = *connection_->insert_event;
  insert.Bind(1, event.time_ms);
  insert.Bind(2, event.kind);
  insert.Bind(3, event.service);
  insert.Bind(4, event.detail_json);
  return insert.Run();
}

Result<void> HistoryStore::WriteInterval(const IdleInterval& interval) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();  // binds NULL
  Statement& upsert = *connection_->upsert_interval;
  upsert.Bind(1, interval.service);
  upsert.Bind(2, interval.start_ms);
  // The wall clock may have been set back meanwhile.
  upsert.Bind(3, std::max(interval.start_ms, interval.end_ms));
  upsert.Bind(4, interval.joules.value_or(kUnknown));
  upsert.Bind(5, interval.avg_watts.value_or(kUnknown));
  upsert.Bind(6, interval.cpu_seconds.value_or(kUnknown));
  if (interval.peak_rss_bytes) {
    upsert.Bind(7, *interval.peak_rss_bytes);
  } else {
    upsert.BindNull(7);
  }
  upsert.Bind(8, interval.reason);
  return upsert.Run();
}

// A key is taken only when the wall clock was set back; the next free millisecond will do, because
// the true times stand in the body.
Result<void> HistoryStore::InsertAtFreeKey(int64_t time_ms, std::string_view body) {
  Statement& insert = *connection_->insert_frames;
  insert.BindBlob(2, body);
  for (int64_t key = time_ms;; ++key) {
    insert.Bind(1, key);
    RETURN_IF_ERROR(insert.Run());
    if (connection_->db.rows_changed() == 0) continue;
    ++rows_written_;
    return {};
  }
}

Result<FlushTable> HistoryStore::TableOf(std::span<const QueuedFrame> frames) {
  std::unordered_map<SeriesId, int64_t> rows;  // 0: the series ended and was never written
  FlushTable table;
  for (const QueuedFrame& frame : frames) {
    table.times_ms.push_back(frame.time_ms);
    for (const Sample& sample : frame.samples) {
      if (std::isnan(sample.value) || rows.contains(sample.series)) continue;
      ASSIGN_OR_RETURN(int64_t row, SeriesRow(sample.series));
      rows.emplace(sample.series, row);
      if (row != 0) table.series_ids.push_back(row);
    }
  }
  // Two ids share a row when a series ended and came back between two frames.
  std::sort(table.series_ids.begin(), table.series_ids.end());
  table.series_ids.erase(std::unique(table.series_ids.begin(), table.series_ids.end()),
                         table.series_ids.end());
  const size_t count = frames.size();
  table.values.assign(table.series_ids.size() * count, std::numeric_limits<double>::quiet_NaN());
  std::unordered_map<SeriesId, size_t> column;
  for (const auto& [id, row] : rows) {
    if (row == 0) continue;
    const auto at = std::lower_bound(table.series_ids.begin(), table.series_ids.end(), row);
    column[id] = static_cast<size_t>(at - table.series_ids.begin());
  }
  for (size_t i = 0; i < count; ++i) {
    for (const Sample& sample : frames[i].samples) {
      const auto at = column.find(sample.series);
      if (at == column.end() || std::isnan(sample.value)) continue;
      table.values[at->second * count + i] = sample.value;
    }
  }
  return table;
}

Result<int64_t> HistoryStore::SeriesRow(SeriesId id) {
  if (const auto known = series_rows_.find(id); known != series_rows_.end()) return known->second;
  const std::shared_ptr<const Series> series = registry_->Find(id);
  if (series == nullptr) return 0;
  Statement& upsert = *connection_->upsert_series;
  upsert.Bind(1, series->metric->name);
  upsert.Bind(2, LabelsToJson(LabelsOf(*series)));
  upsert.Bind(3,
              std::string_view(series->metric->kind == MetricKind::kCounter ? "counter" : "gauge"));
  upsert.Bind(4, series->metric->unit);
  ASSIGN_OR_RETURN(bool row, upsert.Step());
  if (!row) return Error{ErrorCode::kInternal, path_, 0, "no row id for a series"};
  const int64_t row_id = upsert.Int(0);
  upsert.Reset();
  if (row_id >= kMostSeriesRows) {
    return Error{ErrorCode::kInternal, path_, 0, "has had more than 16 million series"};
  }
  RETURN_IF_ERROR(WriteFamily(*series->metric));
  series_rows_.emplace(id, row_id);
  return row_id;
}

Result<void> HistoryStore::WriteFamily(const Metric& metric) {
  Statement& upsert = *connection_->upsert_family;
  const bool counter = metric.kind == MetricKind::kCounter;
  std::string_view name = metric.name;
  std::string_view type = metric.untyped ? "unknown" : counter ? "counter" : "gauge";
  if (!metric.histogram.empty()) {
    if (!name.ends_with("_sum")) return {};  // of the parts it alone has the unit of the family
    name = metric.histogram;
    type = "histogram";
  } else if (counter && name.ends_with("_total")) {
    name.remove_suffix(6);
  }
  upsert.Bind(1, name);
  upsert.Bind(2, type);
  upsert.Bind(3, metric.unit);
  upsert.Bind(4, metric.help);
  return upsert.Run();
}

void HistoryStore::ForgetEndedSeries() {
  if (series_rows_.size() <= registry_->size()) return;
  std::erase_if(series_rows_,
                [this](const auto& entry) { return registry_->Find(entry.first) == nullptr; });
}

Result<void> HistoryStore::Maintain(int64_t newest_ms) {
  if (!connection_) return {};
  Result<void> done = MaintainOnce(newest_ms);
  if (!done.ok() && IsDamage(done.error())) return Replace(done.error());
  return done;
}

Result<void> HistoryStore::MaintainOnce(int64_t newest_ms) {
  bool more = true;
  for (int step = 0; more && step < kMostCompactions; ++step) {
    ASSIGN_OR_RETURN(more, connection_->compactor->Step(newest_ms));
  }
  ASSIGN_OR_RETURN(int64_t deleted, connection_->retention->Step(newest_ms));
  rows_deleted_ += static_cast<uint64_t>(deleted);
  return {};
}

int64_t HistoryStore::FileBytes() const { return idlewatt::FileBytes(path_); }

Result<std::optional<int64_t>> HistoryStore::OldestTime() {
  if (!connection_) return std::optional<int64_t>();
  Statement& oldest = *connection_->oldest;
  ASSIGN_OR_RETURN(bool row, oldest.Step());
  std::optional<int64_t> time;
  if (row && !oldest.IsNull(0)) time = oldest.Int(0);
  oldest.Reset();
  return time;
}

}  // namespace idlewatt
