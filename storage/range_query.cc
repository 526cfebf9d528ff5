#include "storage/range_query.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

#include "base/duration.h"
#include "storage/calendar.h"
#include "storage/rollup_reader.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// Steps that people would choose, for advice.
constexpr std::array<milliseconds, 19> kNiceSteps = {
    seconds(1),  seconds(5),  seconds(10), seconds(15), seconds(30),    minutes(1), minutes(5),
    minutes(10), minutes(15), minutes(30), hours(1),    hours(3),       hours(6),   hours(12),
    hours(24),   hours(72),   hours(168),  hours(720),  hours(24 * 365)};

bool IsOfPairs(const RangeWindow& window) {
  return window.function == RangeFunction::kIncrease || window.function == RangeFunction::kRate;
}

Result<void> Check(const RangeWindow& window) {
  if (window.until < window.since) {
    return Error{ErrorCode::kInvalid, "range", 0, "ends before it begins"};
  }
  if (window.step.count() < 0) return Error{ErrorCode::kInvalid, "step", 0, "is negative"};
  return {};
}

struct Wanted {
  StoredSeries series;      // id 0: only in the ring
  std::vector<Point> ring;  // what the ring has of it
};

// Counts what is given, and knows what to advise once it is too much.
class PointLimit {
 public:
  explicit PointLimit(const RangeWindow& window) : window_(window) {}

  bool Allows(size_t points) {
    total_ += points;
    return total_ <= window_.max_points;
  }
  void Saw(const std::vector<Point>& points) {
    if (points.empty()) return;
    if (series_++ == 0) first_ms_ = points.front().time_ms;
    first_ms_ = std::min(first_ms_, points.front().time_ms);
    last_ms_ = std::max(last_ms_, points.back().time_ms);
  }
  Result<void> Verdict() const {
    if (total_ <= window_.max_points) return {};
    const std::string text = "more than " + std::to_string(window_.max_points) + " points in " +
                             std::to_string(series_) + " series: ";
    for (const milliseconds step : kNiceSteps) {
      // Two more than the whole steps in the span: the buckets that its ends cut.
      const auto buckets = static_cast<size_t>((last_ms_ - first_ms_) / step.count()) + 2;
      if (step > window_.step && buckets * series_ <= window_.max_points) {
        return Error{ErrorCode::kInvalid, "range", 0,
                     text + "ask for a step of " + FormatDuration(step) + " or a shorter time"};
      }
    }
    return Error{ErrorCode::kInvalid, "range", 0, text + "select fewer series"};
  }

 private:
  const RangeWindow& window_;
  size_t total_ = 0;
  size_t series_ = 0;
  int64_t first_ms_ = 0;
  int64_t last_ms_ = std::numeric_limits<int64_t>::min();
};

// One query. Every step adds to the buckets of all series, in the order of time.
class RangeRun {
 public:
  RangeRun(const RangeWindow& window, HistoryReader* history)
      : window_(window),
        history_(history),
        since_ms_(window.since.time_since_epoch().count()),
        until_ms_(window.until.time_since_epoch().count()),
        limit_(window) {}

  Result<void> Find(std::span<const Selector> selectors, const Ring* ring);
  Result<void> Read(const SeriesSink& sink);
  RangeOutcome outcome() const { return outcome_; }

 private:
  using Found = std::map<SeriesName, Wanted>;
  struct Span {
    int64_t begin_ms = 0, end_ms = 0;  // whole ones
  };

  Result<void> Find(const Selector& selector, const Ring* ring, Found& found);
  bool RollupsAnswer() const;
  Result<Span> HoursOfRollups();
  Result<void> StandInForDeleted();
  Result<void> AddRollups(size_t begin, size_t end, Span rolled);
  Result<void> AddMeasured(int64_t from_ms, int64_t to_ms, const SeriesSink* sink);
  Result<void> Give(size_t series, const SeriesSink& sink);

  const RangeWindow& window_;
  HistoryReader* history_;
  const int64_t since_ms_, until_ms_;
  PointLimit limit_;
  std::vector<Wanted> wanted_;
  std::vector<RangeBuckets> buckets_;
  std::optional<RollupReader> rollups_;
  RangeOutcome outcome_;
};

Result<void> RangeRun::Find(const Selector& selector, const Ring* ring, Found& found) {
  // The ring first: a frame that is flushed in between is then found twice rather than never.
  if (ring != nullptr) {
    for (RingSeries& series : ring->Read(selector)) {
      Wanted& wanted = found[series.name];
      if (wanted.series.id == 0) wanted.series = {0, series.name, series.kind, series.unit};
      wanted.ring.insert(wanted.ring.end(), series.points.begin(), series.points.end());
    }
  }
  if (history_ != nullptr) {
    ASSIGN_OR_RETURN(std::vector<StoredSeries> stored, history_->FindSeries(&selector));
    for (StoredSeries& series : stored) found[series.name].series = series;
  }
  return {};
}

Result<void> RangeRun::Find(std::span<const Selector> selectors, const Ring* ring) {
  Found found;
  for (const Selector& selector : selectors) RETURN_IF_ERROR(Find(selector, ring, found));
  for (auto& [name, wanted] : found) {
    if (IsOfPairs(window_) && wanted.series.kind == MetricKind::kGauge) {
      return Error{ErrorCode::kInvalid, name.metric, 0,
                   "is a gauge: increase and rate are of counters"};
    }
    buckets_.emplace_back(window_, wanted.series.kind);
    wanted_.push_back(std::move(wanted));
  }
  return {};
}

// What is read of the history is of one moment, and SQLite locks its file once.
class ReadTransaction {
 public:
  static Result<ReadTransaction> Begin(Database& db) {
    RETURN_IF_ERROR(db.Execute("BEGIN"));
    return ReadTransaction(db);
  }
  ReadTransaction(ReadTransaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  ReadTransaction& operator=(ReadTransaction&&) = delete;
  ~ReadTransaction() {
    if (db_ != nullptr) (void)db_->Execute("ROLLBACK");
  }

 private:
  explicit ReadTransaction(Database& db) : db_(&db) {}
  Database* db_;
};

Result<void> RangeRun::Read(const SeriesSink& sink) {
  std::optional<ReadTransaction> transaction;
  if (history_ != nullptr) {
    ASSIGN_OR_RETURN(ReadTransaction begun, ReadTransaction::Begin(history_->db()));
    transaction.emplace(std::move(begun));
  }
  int64_t rest_from = since_ms_;
  if (history_ != nullptr && !wanted_.empty()) {
    ASSIGN_OR_RETURN(rollups_, RollupReader::Create(history_->db()));
    ASSIGN_OR_RETURN(const Span rolled, HoursOfRollups());
    if (rolled.begin_ms < rolled.end_ms) {
      if (since_ms_ < rolled.begin_ms) {
        RETURN_IF_ERROR(AddMeasured(since_ms_, rolled.begin_ms - 1, nullptr));
      }
      RETURN_IF_ERROR(AddRollups(0, wanted_.size(), rolled));
      rest_from = rolled.end_ms;
    } else {
      RETURN_IF_ERROR(StandInForDeleted());
    }
  }
  RETURN_IF_ERROR(AddMeasured(rest_from, until_ms_, &sink));
  return limit_.Verdict();
}

// Do roll-ups say all that is asked for? They have no least, greatest and mean value of a counter.
bool RangeRun::RollupsAnswer() const {
  if (window_.step.count() == 0 || window_.step.count() % kHourMs != 0) return false;
  const bool of_values = window_.function == RangeFunction::kAverage ||
                         window_.function == RangeFunction::kMin ||
                         window_.function == RangeFunction::kMax;
  return !of_values || std::none_of(wanted_.begin(), wanted_.end(), [](const Wanted& wanted) {
    return wanted.series.kind == MetricKind::kCounter;
  });
}

// The hours of the window that roll-ups stand for in full; none when measured points are needed.
Result<RangeRun::Span> RangeRun::HoursOfRollups() {
  if (!RollupsAnswer()) return Span{};
  ASSIGN_OR_RETURN(const std::optional<RollupReader::Bounds> bounds, rollups_->HourBounds());
  if (!bounds) return Span{};
  const int64_t begin = SaturatingAdd(FloorTo(SaturatingAdd(since_ms_, -1), kHourMs), kHourMs);
  const int64_t end = FloorTo(SaturatingAdd(until_ms_, 1), kHourMs);
  return Span{std::max(begin, bounds->begin_ms), std::min(end, bounds->end_ms)};
}

// Hours whose measured values were deleted.
Result<void> RangeRun::StandInForDeleted() {
  ASSIGN_OR_RETURN(const std::optional<RollupReader::Bounds> bounds, rollups_->HourBounds());
  if (!bounds) return {};
  for (size_t i = 0; i < wanted_.size(); ++i) {
    if (wanted_[i].series.id == 0) continue;
    ASSIGN_OR_RETURN(const int64_t measured_from, rollups_->MeasuredFrom(wanted_[i].series.id));
    const int64_t begin = SaturatingAdd(FloorTo(SaturatingAdd(since_ms_, -1), kHourMs), kHourMs);
    const int64_t end = FloorTo(std::min(measured_from, SaturatingAdd(until_ms_, 1)), kHourMs);
    RETURN_IF_ERROR(
        AddRollups(i, i + 1, {std::max(begin, bounds->begin_ms), std::min(end, bounds->end_ms)}));
  }
  return {};
}

// Of the series from `begin` to before `end`: days where the step allows and they lie within, else
// hours.
Result<void> RangeRun::AddRollups(size_t begin, size_t end, Span rolled) {
  const bool by_day = window_.step.count() > 0 && window_.step.count() % kDayMs == 0;
  int64_t span_ms = 0;
  for (int64_t at = rolled.begin_ms; at < rolled.end_ms; at += span_ms) {
    const bool day = by_day && FloorTo(at, kDayMs) == at && rolled.end_ms - at >= kDayMs;
    span_ms = day ? kDayMs : kHourMs;
    for (size_t i = begin; i < end; ++i) {
      if (wanted_[i].series.id == 0) continue;
      Rollup rollup;
      ASSIGN_OR_RETURN(const bool found, rollups_->Read(wanted_[i].series.id, at, span_ms, rollup));
      if (!found) continue;
      buckets_[i].Add(rollup);
      outcome_.rolled_up = true;
    }
  }
  return {};
}

// With a sink, gives each series as soon as it is complete.
Result<void> RangeRun::AddMeasured(int64_t from_ms, int64_t to_ms, const SeriesSink* sink) {
  // Where a counter stood before the window tells how much it grew in its first step.
  const bool look_back = IsOfPairs(window_) && from_ms == since_ms_;
  const int64_t begin = look_back ? SaturatingAdd(FloorTo(from_ms, kHourMs), -kHourMs) : from_ms;
  size_t given = 0;
  if (from_ms <= to_ms && history_ != nullptr) {
    std::vector<PointReader::Request> requests;
    for (const Wanted& wanted : wanted_) requests.push_back({wanted.series.id, wanted.ring});
    ASSIGN_OR_RETURN(auto reader, PointReader::Start(history_->db(), std::move(requests), begin,
                                                     to_ms, PointReader::Transaction::kOfCaller));
    std::vector<Point> points;
    for (;;) {
      ASSIGN_OR_RETURN(bool more, reader->Next(points));
      if (!more) break;
      while (sink != nullptr && given < reader->series()) RETURN_IF_ERROR(Give(given++, *sink));
      for (const Point& point : points) buckets_[reader->series()].Add(point);
    }
    outcome_.damaged_rows += reader->damaged_rows();
  } else if (from_ms <= to_ms) {
    for (size_t i = 0; i < wanted_.size(); ++i) {
      std::vector<Point> points = wanted_[i].ring;
      std::stable_sort(points.begin(), points.end(), IsEarlier);
      for (const Point& point : points) {
        if (point.time_ms >= begin && point.time_ms <= to_ms) buckets_[i].Add(point);
      }
    }
  }
  while (sink != nullptr && given < wanted_.size()) RETURN_IF_ERROR(Give(given++, *sink));
  return {};
}

Result<void> RangeRun::Give(size_t series, const SeriesSink& sink) {
  StoredSeries& about = wanted_[series].series;
  std::vector<Point> points = buckets_[series].Finish();
  limit_.Saw(points);
  if (points.empty() || !limit_.Allows(points.size())) return {};
  return sink({about.name.metric, about.name.labels, about.kind, about.unit, std::move(points)});
}

Result<RangeOutcome> Run(std::span<const Selector> selectors, const RangeWindow& window,
                         const Ring* ring, HistoryReader* history, const SeriesSink& sink) {
  RETURN_IF_ERROR(Check(window));
  RangeRun run(window, history);
  RETURN_IF_ERROR(run.Find(selectors, ring));
  RETURN_IF_ERROR(run.Read(sink));
  return run.outcome();
}

}  // namespace

Result<RangeOutcome> StreamRange(const Selector& selector, const RangeWindow& window,
                                 const Ring* ring, HistoryReader* history, const SeriesSink& sink) {
  return Run({&selector, 1}, window, ring, history, sink);
}

Result<RangeAnswer> QueryRange(std::span<const Selector> selectors, const RangeWindow& window,
                               const Ring* ring, HistoryReader* history) {
  RangeAnswer answer;
  const auto gather = [&answer](SeriesPoints series) -> Result<void> {
    answer.series.push_back(std::move(series));
    return {};
  };
  ASSIGN_OR_RETURN(static_cast<RangeOutcome&>(answer),
                   Run(selectors, window, ring, history, gather));
  return answer;
}

Result<RangeAnswer> QueryRange(const Selector& selector, const RangeWindow& window,
                               const Ring* ring, HistoryReader* history) {
  return QueryRange(std::span(&selector, 1), window, ring, history);
}

}  // namespace idlewatt
