#include "storage/history_reader.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>

#include "storage/calendar.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

// A key that was taken moved up by a few milliseconds; see docs/storage-format.md.
constexpr int64_t kMaxKeyShiftMs = 1000;

bool HasContent(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && info.st_size > 0;
}

Result<Database> OpenChecked(const std::string& path, Database::Mode mode) {
  ASSIGN_OR_RETURN(Database db, Database::Open(path, mode));
  RETURN_IF_ERROR(db.Execute("PRAGMA busy_timeout = 2000; PRAGMA cache_size = -256"));
  RETURN_IF_ERROR(CheckReadable(db, path));
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

Result<std::vector<StoredSeries>> HistoryReader::FindSeries(const Selector* selector) {
  const std::string where = selector == nullptr ? "" : " WHERE metric = ?1";
  ASSIGN_OR_RETURN(Statement rows,
                   db_.Prepare("SELECT id, metric, labels, kind, unit FROM series" + where));
  if (selector != nullptr) rows.Bind(1, selector->metric());
  std::vector<StoredSeries> found;
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) break;
    Result<Labels> labels = LabelsFromJson(rows.Bytes(2));
    if (!labels.ok() || (selector != nullptr && !selector->MatchesLabels(*labels))) continue;
    const MetricKind kind = rows.Bytes(3) == "counter" ? MetricKind::kCounter : MetricKind::kGauge;
    found.push_back({rows.Int(0),
                     {std::string(rows.Bytes(1)), std::move(*labels)},
                     kind,
                     std::string(rows.Bytes(4))});
  }
  std::sort(found.begin(), found.end(),
            [](const StoredSeries& a, const StoredSeries& b) { return a.name < b.name; });
  return found;
}

Result<std::vector<MetricFamily>> HistoryReader::Families() {
  ASSIGN_OR_RETURN(Statement rows,
                   db_.Prepare("SELECT name, type, unit, help FROM metric_family ORDER BY name"));
  std::vector<MetricFamily> families;
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return families;
    families.push_back({std::string(rows.Bytes(0)), std::string(rows.Bytes(1)),
                        std::string(rows.Bytes(2)), std::string(rows.Bytes(3))});
  }
}

Result<std::unique_ptr<PointReader>> PointReader::Start(Database& db, std::vector<Request> requests,
                                                        int64_t since_ms, int64_t until_ms,
                                                        Transaction transaction) {
  std::unique_ptr<PointReader> reader(new PointReader(db, std::move(requests), since_ms, until_ms));
  RETURN_IF_ERROR(reader->Prepare(transaction));
  return reader;
}

PointReader::~PointReader() {
  if (chunks_) chunks_->Stop();
  if (in_transaction_) (void)db_.Execute("ROLLBACK");
}

Result<void> PointReader::Prepare(Transaction transaction) {
  if (transaction == Transaction::kOwn) {
    RETURN_IF_ERROR(db_.Execute("BEGIN"));  // chunks and frames of one moment
    in_transaction_ = true;
  }
  ASSIGN_OR_RETURN(chunks_, ChunkReader::Create(db_));
  RETURN_IF_ERROR(ReadFrames());
  for (Request& request : requests_) {
    Cut(request.more);
    std::stable_sort(request.more.begin(), request.more.end(), IsEarlier);
    DropRepeats(request.more);
  }
  return {};
}

Result<void> PointReader::ReadFrames() {
  std::map<int64_t, size_t> places;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i].series_id != 0) places.emplace(requests_[i].series_id, i);
  }
  if (places.empty()) return {};
  int64_t first = SaturatingAdd(since_ms_, -kMaxRowSpanMs);
  const int64_t last = SaturatingAdd(until_ms_, kMaxKeyShiftMs);
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
      if (!*row) return {};
      if (order == "ASC") first = SaturatingAdd(rows.Int(0), 1);
      if (!TakeFrames(rows.Bytes(1), places)) ++damaged_frames_;
    }
    if (order == "ASC") ++damaged_frames_;
  }
  return {};
}

// False when the body is damaged; what was read before the damage is kept.
bool PointReader::TakeFrames(std::string_view body, const std::map<int64_t, size_t>& places) {
  const auto find = [this, &places](int64_t series_id) {
    const auto place = places.find(series_id);
    return place == places.end() ? nullptr : &requests_[place->second].more;
  };
  const auto take = [this](std::vector<Point>& into, const std::vector<double>& values) {
    const std::vector<int64_t>& times = decoder_.times_ms();
    for (size_t i = 0; i < times.size(); ++i) {
      if (!std::isnan(values[i])) into.push_back({times[i], values[i]});
    }
  };
  return decoder_.Read(body, find, take).ok();
}

Result<bool> PointReader::Next(std::vector<Point>& points) {
  points.clear();
  if (!begun_) {
    begun_ = true;
    series_ = 0;
    if (requests_.empty()) return false;
    StartSeries();
  }
  for (;;) {
    ASSIGN_OR_RETURN(bool more, NextOfSeries(points));
    if (more) return true;
    if (series_ + 1 >= requests_.size()) return false;
    ++series_;
    StartSeries();
  }
}

void PointReader::StartSeries() {
  more_taken_ = 0;
  chunks_left_ = requests_[series_].series_id != 0;
  resume_ms_ = since_ms_;
  if (chunks_left_) chunks_->Start(requests_[series_].series_id, since_ms_, until_ms_);
}

// Where pages are damaged, reading goes on at the next day.
Result<bool> PointReader::NextChunk() {
  for (;;) {
    Result<bool> more = chunks_->Next(chunk_);
    if (more.ok() && *more) resume_ms_ = std::max(resume_ms_, chunk_.points.back().time_ms);
    if (more.ok() || !IsDamage(more.error())) return more;
    ++damaged_stretches_;
    const int64_t series_id = requests_[series_].series_id;
    ASSIGN_OR_RETURN(const std::optional<int64_t> start,
                     chunks_->NextStart(series_id, FloorTo(resume_ms_, kDayMs)));
    if (!start) return false;
    resume_ms_ = SaturatingAdd(FloorTo(*start, kDayMs), kDayMs);
    if (resume_ms_ > until_ms_) return false;
    chunks_->Start(series_id, resume_ms_, until_ms_);
  }
}

Result<bool> PointReader::NextOfSeries(std::vector<Point>& points) {
  while (points.empty() && chunks_left_) {
    ASSIGN_OR_RETURN(chunks_left_, NextChunk());
    if (!chunks_left_) break;
    points.swap(chunk_.points);
    Cut(points);
    if (!points.empty()) MergeMore(points, false);
  }
  if (points.empty()) MergeMore(points, true);
  return !points.empty();
}

void PointReader::Cut(std::vector<Point>& points) const {
  std::erase_if(points, [this](const Point& point) {
    return point.time_ms < since_ms_ || point.time_ms > until_ms_;
  });
}

// Adds what stands elsewhere and belongs before the last of `points`, or all that is left.
void PointReader::MergeMore(std::vector<Point>& points, bool is_last) {
  std::vector<Point>& more = requests_[series_].more;
  const auto begin = more.begin() + static_cast<ptrdiff_t>(more_taken_);
  const auto end =
      is_last ? more.end() : std::upper_bound(begin, more.end(), points.back(), IsEarlier);
  if (begin == end) return;
  const auto middle = points.insert(points.end(), begin, end);
  std::inplace_merge(points.begin(), middle, points.end(), IsEarlier);
  DropRepeats(points);
  more_taken_ = static_cast<size_t>(end - more.begin());
}

size_t PointReader::damaged_rows() const {
  return damaged_frames_ + damaged_stretches_ + (chunks_ ? chunks_->damaged_rows() : 0);
}

}  // namespace idlewatt
