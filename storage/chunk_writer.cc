#include "storage/chunk_writer.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "storage/calendar.h"
#include "storage/chunk_codec.h"

namespace idlewatt {
namespace {

constexpr size_t kMostTimesBytes = size_t{1} << 20;  // kept to find times that are stored already
constexpr size_t kMostWaitingBytes = size_t{1} << 20;

// How much of a page SQLite uses for a row of `chunks` whose body has this size: the rest of a long
// one goes to pages of its own. See "B-tree Cell Format" in SQLite's file format. Where pages have
// another size, rows only fill them less well.
constexpr size_t kPageRoom = 4096 - 8;
size_t RoomOf(size_t body_bytes) {
  constexpr size_t kRowOverhead = 34;  // keys, other columns, header and pointer of the cell
  constexpr size_t kUsable = 4096, kMostLocal = kUsable - 35;
  constexpr size_t kLeastLocal = (kUsable - 12) * 32 / 255 - 23;
  const size_t row = body_bytes + kRowOverhead;
  if (row <= kMostLocal) return row;
  const size_t local = kLeastLocal + (row - kLeastLocal) % (kUsable - 4);
  return local <= kMostLocal ? local : kLeastLocal;
}

// The points that lie before `end_ms`.
std::span<const Point> Before(std::span<const Point> points, int64_t end_ms) {
  const auto end = std::lower_bound(points.begin(), points.end(), Point{end_ms, 0}, IsEarlier);
  return points.first(static_cast<size_t>(end - points.begin()));
}

}  // namespace

Result<ChunkWriter> ChunkWriter::Create(Database& db) {
  ASSIGN_OR_RETURN(ChunkReader reader, ChunkReader::Create(db));
  ASSIGN_OR_RETURN(RollupWriter rollups, RollupWriter::Create(db));
  ChunkWriter writer(std::move(reader), std::move(rollups));
  ASSIGN_OR_RETURN(writer.insert_,
                   db.Prepare("INSERT INTO chunks(series_id, start_ms, end_ms, count, times_id,"
                              " body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"));
  ASSIGN_OR_RETURN(writer.delete_, db.Prepare("DELETE FROM chunks WHERE id = ?1"));
  ASSIGN_OR_RETURN(writer.insert_times_,
                   db.Prepare("INSERT INTO chunk_times(uses, body) VALUES(0, ?1) RETURNING id"));
  ASSIGN_OR_RETURN(writer.has_times_, db.Prepare("SELECT 1 FROM chunk_times WHERE id = ?1"));
  return writer;
}

// SQLite appends rows to the last page until one does not fit: the longest that fits comes next.
Result<void> ChunkWriter::Flush() {
  std::multimap<size_t, const Row*> by_room;
  for (const Row& row : waiting_) by_room.emplace(RoomOf(row.body.size()), &row);
  size_t room = 0;
  while (!by_room.empty()) {
    auto next = by_room.upper_bound(room);
    if (next == by_room.begin()) {  // none fits
      next = by_room.end();
      room = kPageRoom;
    }
    --next;
    room -= std::min(room, next->first);
    RETURN_IF_ERROR(InsertRow(*next->second));
    by_room.erase(next);
  }
  waiting_.clear();
  waiting_bytes_ = 0;
  return {};
}

void ChunkWriter::Forget() {
  waiting_.clear();
  waiting_bytes_ = 0;
  times_rows_.clear();
  times_bytes_ = 0;
  reader_.Forget();
}

Result<size_t> ChunkWriter::Add(int64_t series_id, MetricKind kind, std::span<const Point> points) {
  size_t added = 0;
  while (!points.empty()) {
    const int64_t day = FloorTo(points.front().time_ms, kDayMs);
    const std::span<const Point> of_day = Before(points, SaturatingAdd(day, kDayMs));
    ASSIGN_OR_RETURN(size_t count, AddToDay(series_id, kind, of_day));
    added += count;
    points = points.subspan(of_day.size());
  }
  return added;
}

// All chunks of the hours in question become one with what is new, so that an hour never stands in
// two of them; the hour after them too, because its increase begins where they end.
Result<size_t> ChunkWriter::AddToDay(int64_t series_id, MetricKind kind,
                                     std::span<const Point> points) {
  const int64_t day = FloorTo(points.front().time_ms, kDayMs);
  const int64_t first_hour = FloorTo(points.front().time_ms, kHourMs);
  const int64_t last_hour = FloorTo(points.back().time_ms, kHourMs);
  const int64_t end = std::min(SaturatingAdd(last_hour, 2 * kHourMs), SaturatingAdd(day, kDayMs));
  ASSIGN_OR_RETURN(Stored stored, Load(series_id, first_hour, end - 1));
  const size_t before = stored.points.size();
  const auto middle = stored.points.insert(stored.points.end(), points.begin(), points.end());
  std::inplace_merge(stored.points.begin(), middle, stored.points.end(), IsEarlier);
  DropRepeats(stored.points);
  const size_t added = stored.points.size() - before;
  if (added == 0) return added;
  RETURN_IF_ERROR(Delete(stored.ids));
  RETURN_IF_ERROR(Insert(series_id, stored.points));
  RETURN_IF_ERROR(WriteRollups(series_id, kind, stored.points, first_hour, end));
  return added;
}

Result<void> ChunkWriter::MergeDay(int64_t series_id, int64_t day_ms) {
  ASSIGN_OR_RETURN(Stored stored, Load(series_id, day_ms, SaturatingAdd(day_ms, kDayMs - 1)));
  if (stored.ids.size() < 2) return {};
  RETURN_IF_ERROR(Delete(stored.ids));
  return Insert(series_id, stored.points);
}

Result<ChunkWriter::Stored> ChunkWriter::Load(int64_t series_id, int64_t first_ms,
                                              int64_t last_ms) {
  for (const Row& row : waiting_) {
    const bool asked =
        row.series_id == series_id && row.start_ms <= last_ms && row.end_ms >= first_ms;
    if (!asked) continue;
    RETURN_IF_ERROR(Flush());
    break;
  }
  Stored stored;
  ChunkReader::Chunk chunk;
  reader_.Start(series_id, first_ms, last_ms);
  for (;;) {
    ASSIGN_OR_RETURN(bool more, reader_.Next(chunk));
    if (!more) return stored;
    stored.ids.push_back(chunk.id);
    stored.points.insert(stored.points.end(), chunk.points.begin(), chunk.points.end());
  }
}

Result<void> ChunkWriter::Delete(std::span<const int64_t> ids) {
  for (const int64_t id : ids) {
    delete_->Bind(1, id);
    RETURN_IF_ERROR(delete_->Run());
  }
  return {};
}

Result<void> ChunkWriter::Insert(int64_t series_id, std::span<const Point> points) {
  std::vector<double> values;
  while (!points.empty()) {
    const std::span<const Point> part = points.first(std::min(points.size(), kMostChunkSamples));
    values.clear();
    for (const Point& point : part) values.push_back(point.value);
    ASSIGN_OR_RETURN(int64_t times_id, TimesRow(part));
    waiting_.push_back({series_id, part.front().time_ms, part.back().time_ms,
                        static_cast<int64_t>(part.size()), times_id, EncodeChunkValues(values)});
    waiting_bytes_ += waiting_.back().body.size();
    points = points.subspan(part.size());
  }
  return waiting_bytes_ < kMostWaitingBytes ? Result<void>() : Flush();
}

Result<void> ChunkWriter::InsertRow(const Row& row) {
  insert_->Bind(1, row.series_id);
  insert_->Bind(2, row.start_ms);
  insert_->Bind(3, row.end_ms);
  insert_->Bind(4, row.count);
  insert_->Bind(5, row.times_id);
  insert_->BindBlob(6, row.body);
  return insert_->Run();
}

// The row of `chunk_times` with the times of these points. Series that are measured together share
// one.
Result<int64_t> ChunkWriter::TimesRow(std::span<const Point> points) {
  std::vector<int64_t> times;
  times.reserve(points.size());
  for (const Point& point : points) times.push_back(point.time_ms);
  std::string body = EncodeChunkTimes(times);
  if (const auto known = times_rows_.find(body); known != times_rows_.end()) {
    has_times_->Bind(1, known->second);
    ASSIGN_OR_RETURN(bool row, has_times_->Step());  // it goes with the last chunk that uses it
    has_times_->Reset();
    if (row) return known->second;
  }
  insert_times_->BindBlob(1, body);
  ASSIGN_OR_RETURN(bool row, insert_times_->Step());
  if (!row) return Error{ErrorCode::kInternal, "chunk_times", 0, "no row id"};
  const int64_t id = insert_times_->Int(0);
  insert_times_->Reset();
  if (times_bytes_ > kMostTimesBytes) {
    times_rows_.clear();
    times_bytes_ = 0;
  }
  times_bytes_ += body.size();
  times_rows_[std::move(body)] = id;
  return id;
}

// `stored` has all points of the series in [first_ms, end_ms), whole hours of one day.
Result<void> ChunkWriter::WriteRollups(int64_t series_id, MetricKind kind,
                                       std::span<const Point> stored, int64_t first_ms,
                                       int64_t end_ms) {
  std::span<const Point> rest = stored.subspan(Before(stored, first_ms).size());
  int64_t next_hour = first_ms;
  while (!rest.empty() && rest.front().time_ms < end_ms) {
    next_hour = SaturatingAdd(FloorTo(rest.front().time_ms, kHourMs), kHourMs);
    const std::span<const Point> hour = Before(rest, next_hour);
    RETURN_IF_ERROR(rollups_.WriteHour(series_id, kind, hour));
    rest = rest.subspan(hour.size());
  }
  const int64_t day = FloorTo(first_ms, kDayMs);
  RETURN_IF_ERROR(rollups_.WriteDay(series_id, day));
  if (kind != MetricKind::kCounter || next_hour != SaturatingAdd(day, kDayMs)) return {};
  return RefreshHour(series_id, kind, next_hour);
}

// The first hour of a day, after the last one of the day before has changed.
Result<void> ChunkWriter::RefreshHour(int64_t series_id, MetricKind kind, int64_t hour_ms) {
  ASSIGN_OR_RETURN(bool there, rollups_.HasHour(series_id, hour_ms));
  if (!there) return {};
  ASSIGN_OR_RETURN(Stored stored, Load(series_id, hour_ms, SaturatingAdd(hour_ms, kHourMs - 1)));
  const std::span<const Point> hour = Before(stored.points, SaturatingAdd(hour_ms, kHourMs));
  if (hour.empty()) return {};  // raw values are gone, so the row stays as it is
  RETURN_IF_ERROR(rollups_.WriteHour(series_id, kind, hour));
  return rollups_.WriteDay(series_id, hour_ms);
}

}  // namespace idlewatt
