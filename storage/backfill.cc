#include "storage/backfill.h"

#include <algorithm>
#include <tuple>

#include "storage/calendar.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

constexpr size_t kMostSamples = 1'000'000;
// Samples of one transaction, at least: some 0.2 s, which a daemon that records waits for. Fewer
// would fill pages less well.
constexpr size_t kSamplesOfTransaction = 1'000'000;

}  // namespace

Result<std::unique_ptr<Backfill>> Backfill::Open(const std::string& path) {
  const bool made_here = FileBytes(path) == 0;
  ASSIGN_OR_RETURN(Database db, OpenBeside(path));
  std::unique_ptr<Backfill> backfill(new Backfill(std::move(db), made_here));
  RETURN_IF_ERROR(backfill->Prepare());
  return backfill;
}

Result<void> Backfill::Prepare() {
  RETURN_IF_ERROR(db_.Execute(
      "PRAGMA busy_timeout = 10000; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192"));
  ASSIGN_OR_RETURN(writer_, ChunkWriter::Create(db_));
  ASSIGN_OR_RETURN(find_series_,
                   db_.Prepare("SELECT id, kind FROM series WHERE metric = ?1 AND labels = ?2"));
  ASSIGN_OR_RETURN(insert_series_, db_.Prepare("INSERT INTO series(metric, labels, kind, unit)"
                                               " VALUES(?1, ?2, ?3, ?4) RETURNING id, kind"));
  ASSIGN_OR_RETURN(insert_family_,
                   db_.Prepare("INSERT OR IGNORE INTO metric_family(name, type, unit, help)"
                               " VALUES(?1, ?2, ?3, ?4)"));
  return {};
}

size_t Backfill::AddSeries(SeriesName name, MetricKind kind, std::string unit) {
  series_.push_back({0, std::move(name), kind, std::move(unit)});
  return series_.size() - 1;
}

Result<void> Backfill::Add(size_t series, int64_t time_ms, double value) {
  if (!samples_.empty()) {
    const Sample& last = samples_.back();
    if (std::tie(series, time_ms) < std::tie(last.series, last.point.time_ms)) in_order_ = false;
  }
  samples_.push_back({series, {time_ms, value}});
  if (samples_.size() < kMostSamples) return {};
  return Write(false);
}

Result<Backfill::Counts> Backfill::Finish() {
  RETURN_IF_ERROR(Write(true));
  // Rows that came series by series do not lie well in tables that are ordered by time.
  RETURN_IF_ERROR(db_.Execute(made_here_ ? "VACUUM" : "PRAGMA incremental_vacuum"));
  // What a reader holds open stays in the -wal file: that is no error.
  (void)db_.Execute("PRAGMA wal_checkpoint(TRUNCATE)");
  return counts_;
}

// Samples that come series by series leave the last day of the last series to the next call, so
// that it becomes one chunk at once.
Result<void> Backfill::Write(bool all) {
  size_t kept = 0;
  if (in_order_ && !all) kept = LengthOfDay(samples_);
  if (kept > samples_.size() / 2) kept = 0;
  if (!in_order_) {
    std::stable_sort(samples_.begin(), samples_.end(), [](const Sample& a, const Sample& b) {
      return std::tie(a.series, a.point.time_ms) < std::tie(b.series, b.point.time_ms);
    });
  }
  std::span<const Sample> rest = std::span(samples_).first(samples_.size() - kept);
  RETURN_IF_ERROR(WriteFamilies());
  while (!rest.empty()) {
    size_t count = std::min(kSamplesOfTransaction, rest.size());
    while (count < rest.size() && rest[count].series == rest[count - 1].series) ++count;
    Result<void> written =
        db_.Transaction([this, part = rest.first(count)] { return WriteSamples(part); });
    if (!written.ok()) {
      writer_->Forget();
      return written;
    }
    rest = rest.subspan(count);
  }
  samples_.erase(samples_.begin(), samples_.end() - static_cast<ptrdiff_t>(kept));
  in_order_ = true;
  return {};
}

// How many of the last samples are of the last series' last day.
size_t Backfill::LengthOfDay(std::span<const Sample> samples) {
  if (samples.empty()) return 0;
  const Sample& last = samples.back();
  const int64_t day = FloorTo(last.point.time_ms, kDayMs);
  size_t length = 0;
  while (length < samples.size()) {
    const Sample& sample = samples[samples.size() - 1 - length];
    if (sample.series != last.series || sample.point.time_ms < day) break;
    ++length;
  }
  return length;
}

Result<void> Backfill::WriteSamples(std::span<const Sample> samples) {
  while (!samples.empty()) {
    size_t count = 1;
    while (count < samples.size() && samples[count].series == samples.front().series) ++count;
    RETURN_IF_ERROR(WriteOneSeries(samples.first(count)));
    samples = samples.subspan(count);
  }
  return writer_->Flush();
}

Result<void> Backfill::WriteOneSeries(std::span<const Sample> samples) {
  StoredSeries& series = series_[samples.front().series];
  if (series.id == 0) RETURN_IF_ERROR(FindRow(series));
  points_.clear();
  for (const Sample& sample : samples) points_.push_back(sample.point);
  ASSIGN_OR_RETURN(size_t added, writer_->Add(series.id, series.kind, points_));
  counts_.added += added;
  counts_.known += points_.size() - added;
  return {};
}

Result<void> Backfill::FindRow(StoredSeries& series) {
  const std::string labels = LabelsToJson(series.name.labels);
  Statement* statement = &*find_series_;
  statement->Bind(1, series.name.metric);
  statement->Bind(2, labels);
  ASSIGN_OR_RETURN(bool found, statement->Step());
  if (!found) {
    statement = &*insert_series_;
    statement->Bind(1, series.name.metric);
    statement->Bind(2, labels);
    statement->Bind(3, std::string_view(series.kind == MetricKind::kCounter ? "counter" : "gauge"));
    statement->Bind(4, series.unit);
    ASSIGN_OR_RETURN(found, statement->Step());
  }
  const int64_t id = found ? statement->Int(0) : 0;
  series.kind =
      found && statement->Bytes(1) == "counter" ? MetricKind::kCounter : MetricKind::kGauge;
  statement->Reset();
  if (id == 0) return Error{ErrorCode::kInternal, "series", 0, "no row id for a series"};
  if (id >= kMostSeriesRows) {
    return Error{ErrorCode::kInvalid, series.name.metric, 0,
                 "is one series too many: a history holds 16 million"};
  }
  series.id = id;
  return {};
}

Result<void> Backfill::WriteFamilies() {
  Result<void> written = db_.Transaction([this] {
    Result<void> row;
    for (const MetricFamily& family : families_) {
      insert_family_->Bind(1, family.name);
      insert_family_->Bind(2, family.type);
      insert_family_->Bind(3, family.unit);
      insert_family_->Bind(4, family.help);
      if (row = insert_family_->Run(); !row.ok()) break;
    }
    return row;
  });
  if (written.ok()) families_.clear();
  return written;
}

}  // namespace idlewatt
