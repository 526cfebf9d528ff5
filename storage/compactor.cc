#include "storage/compactor.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/clock.h"
#include "storage/calendar.h"
#include "storage/column_codec.h"

namespace idlewatt {
namespace {

// Series are taken in groups, so that the points of one group need at most 2 MiB; the rows of the
// hour are read once for each.
constexpr size_t kMostPoints = 131'072;
// Days of series that are merged in one transaction: some 0.1 s, and enough to fill pages well.
constexpr size_t kMostMerged = 64;

}  // namespace

Result<Compactor> Compactor::Create(Database& db) {
  ASSIGN_OR_RETURN(ChunkWriter writer, ChunkWriter::Create(db));
  Compactor compactor(db, std::move(writer));
  ASSIGN_OR_RETURN(compactor.oldest_, db.Prepare("SELECT min(time_ms) FROM frames"));
  ASSIGN_OR_RETURN(compactor.rows_, db.Prepare("SELECT body FROM frames WHERE time_ms >= ?1"
                                               " AND time_ms < ?2 ORDER BY time_ms"));
  ASSIGN_OR_RETURN(compactor.delete_rows_,
                   db.Prepare("DELETE FROM frames WHERE time_ms >= ?1 AND time_ms < ?2"));
  ASSIGN_OR_RETURN(compactor.kind_, db.Prepare("SELECT kind FROM series WHERE id = ?1"));
  return compactor;
}

Result<bool> Compactor::Step(int64_t newest_ms) {
  ASSIGN_OR_RETURN(bool compacted, CompactHour(newest_ms));
  if (compacted) return true;
  return MergeDays(newest_ms);
}

template <typename Body>
Result<void> Compactor::Transaction(Body body) {
  Result<void> done = db_->Transaction(std::move(body));
  if (!done.ok()) writer_.Forget();
  return done;
}

Result<bool> Compactor::CompactHour(int64_t newest_ms) {
  ASSIGN_OR_RETURN(const bool row, oldest_->Step());
  const bool is_empty = !row || oldest_->IsNull(0);
  const int64_t oldest = is_empty ? newest_ms : oldest_->Int(0);
  oldest_->Reset();
  if (oldest >= FloorTo(newest_ms, kHourMs)) return false;
  Hour hour{oldest, SaturatingAdd(FloorTo(oldest, kHourMs), kHourMs), {}, 0, 0};
  RETURN_IF_ERROR(Transaction([this, &hour] { return WriteHour(hour); }));
  if (hour.damaged_rows > 0) {
    lost_rows_ += hour.damaged_rows;
    spdlog::warn("history: {} damaged rows of the hour from {} are lost", hour.damaged_rows,
                 FormatWallTime(WallTime(std::chrono::milliseconds(hour.begin))));
  }
  return true;
}

Result<void> Compactor::WriteHour(Hour& hour) {
  RETURN_IF_ERROR(LookAt(hour));
  const size_t group = std::max<size_t>(1, kMostPoints / std::max<size_t>(1, hour.frames));
  for (size_t first = 0; first < hour.series_ids.size(); first += group) {
    const size_t count = std::min(group, hour.series_ids.size() - first);
    RETURN_IF_ERROR(WriteSeries(hour, std::span(hour.series_ids).subspan(first, count)));
  }
  RETURN_IF_ERROR(writer_.Flush());
  delete_rows_->Bind(1, hour.begin);
  delete_rows_->Bind(2, hour.end);
  return delete_rows_->Run();
}

// Finds the series of the hour, without reading their values.
Result<void> Compactor::LookAt(Hour& hour) {
  std::set<int64_t> ids;
  rows_->Bind(1, hour.begin);
  rows_->Bind(2, hour.end);
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows_->Step());
    if (!row) break;
    if (!decoder_.Open(rows_->Bytes(0)).ok()) {
      ++hour.damaged_rows;
      continue;
    }
    hour.frames += decoder_.times_ms().size();
    FlushDecoder::Column column;
    for (Result<bool> more = decoder_.Next(column); more.ok() && *more;
         more = decoder_.Next(column)) {
      ids.insert(column.series_id);
    }
  }
  hour.series_ids.assign(ids.begin(), ids.end());
  return {};
}

Result<void> Compactor::WriteSeries(const Hour& hour, std::span<const int64_t> series_ids) {
  std::vector<std::vector<Point>> points(series_ids.size());
  rows_->Bind(1, hour.begin);
  rows_->Bind(2, hour.end);
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows_->Step());
    if (!row) break;
    if (!decoder_.Open(rows_->Bytes(0)).ok()) continue;
    const std::vector<int64_t>& times = decoder_.times_ms();
    FlushDecoder::Column column;
    for (Result<bool> more = decoder_.Next(column); more.ok() && *more;
         more = decoder_.Next(column)) {
      const auto place = std::lower_bound(series_ids.begin(), series_ids.end(), column.series_id);
      if (place == series_ids.end() || *place != column.series_id) continue;
      if (!DecodeColumn(column.bytes, times.size(), values_).ok()) continue;
      std::vector<Point>& into = points[static_cast<size_t>(place - series_ids.begin())];
      for (size_t i = 0; i < times.size(); ++i) {
        if (!std::isnan(values_[i])) into.push_back({times[i], values_[i]});
      }
    }
  }
  for (size_t i = 0; i < series_ids.size(); ++i) {
    // They are in order already, unless the wall clock was set back.
    std::stable_sort(points[i].begin(), points[i].end(), IsEarlier);
    ASSIGN_OR_RETURN(const MetricKind kind, KindOf(series_ids[i]));
    RETURN_IF_ERROR(writer_.Add(series_ids[i], kind, points[i]));
  }
  return {};
}

Result<MetricKind> Compactor::KindOf(int64_t series_id) {
  if (const auto known = kinds_.find(series_id); known != kinds_.end()) return known->second;
  kind_->Bind(1, series_id);
  ASSIGN_OR_RETURN(bool row, kind_->Step());
  const bool counter = row && kind_->Bytes(0) == "counter";
  kind_->Reset();
  return kinds_[series_id] = counter ? MetricKind::kCounter : MetricKind::kGauge;
}

Result<bool> Compactor::MergeDays(int64_t newest_ms) {
  const int64_t today = FloorTo(newest_ms, kDayMs);
  if (listed_for_ != today) {
    RETURN_IF_ERROR(ListDays(today));
    listed_for_ = today;
  }
  if (days_.empty()) return false;
  const size_t count = std::min(days_.size(), kMostMerged);
  RETURN_IF_ERROR(Transaction([this, count] {
    Result<void> merged;
    for (size_t i = 0; i < count && merged.ok(); ++i) {
      merged = writer_.MergeDay(days_[i].series_id, days_[i].day_ms);
    }
    return merged.ok() ? writer_.Flush() : merged;
  }));
  days_.erase(days_.begin(), days_.begin() + static_cast<ptrdiff_t>(count));
  return true;
}

// Days before today in which a series has several chunks.
Result<void> Compactor::ListDays(int64_t today_ms) {
  days_.clear();
  kinds_.clear();  // once a day, so that series of long ago do not add up
  ASSIGN_OR_RETURN(Statement chunks,
                   db_->Prepare("SELECT series_id, start_ms FROM chunks INDEXED BY chunks_by_series"
                                " ORDER BY series_id, start_ms"));
  SeriesDay before{0, 0};
  bool listed = false;
  for (;;) {
    ASSIGN_OR_RETURN(bool row, chunks.Step());
    if (!row) return {};
    const SeriesDay here{chunks.Int(0), FloorTo(chunks.Int(1), kDayMs)};
    const bool again = here.series_id == before.series_id && here.day_ms == before.day_ms;
    if (again && !listed && here.day_ms < today_ms) days_.push_back(here);
    listed = again;
    before = here;
  }
}

}  // namespace idlewatt
