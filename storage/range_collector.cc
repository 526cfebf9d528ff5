#include "storage/range_collector.h"

#include <algorithm>
#include <array>

#include "base/duration.h"

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

int64_t FloorTo(int64_t time_ms, int64_t step_ms) {
  int64_t remainder = time_ms % step_ms;
  if (remainder < 0) remainder += step_ms;
  return time_ms - remainder;
}

}  // namespace

RangeCollector::RangeCollector(const RangeWindow& window)
    : window_(window),
      since_ms_(window.since.time_since_epoch().count()),
      until_ms_(window.until.time_since_epoch().count()),
      step_ms_(window.step.count()) {}

size_t RangeCollector::AddSeries(const std::string& metric, const Labels& labels, MetricKind kind,
                                 std::string_view unit) {
  const auto [entry, added] = handles_.try_emplace({metric, labels}, series_.size());
  if (added) {
    Gathered& gathered = series_.emplace_back();
    gathered.kind = kind;
    gathered.unit = unit;
  }
  return entry->second;
}

void RangeCollector::Add(size_t series, int64_t time_ms, double value) {
  if (time_ms < since_ms_ || time_ms > until_ms_) return;
  Gathered& gathered = series_[series];
  if (!gathered.seen) {
    gathered.seen = true;
    if (series_seen_++ == 0) first_seen_ms_ = last_seen_ms_ = time_ms;
  }
  first_seen_ms_ = std::min(first_seen_ms_, time_ms);
  last_seen_ms_ = std::max(last_seen_ms_, time_ms);
  if (over_limit_) return;
  if (!ignore_known_) {
    gathered.known_times.push_back(time_ms);
  } else if (std::binary_search(gathered.known_times.begin(), gathered.known_times.end(),
                                time_ms)) {
    return;
  }
  const int64_t start = step_ms_ > 0 ? FloorTo(time_ms, step_ms_) : time_ms;
  const Bucket bucket{start, time_ms, value, value, 1};
  if (step_ms_ > 0 && !gathered.buckets.empty() && gathered.buckets.back().start == start) {
    Merge(gathered.buckets.back(), bucket);
    return;
  }
  gathered.buckets.push_back(bucket);
  if (++buckets_ > window_.max_points + series_.size()) GiveUpPoints();
}

void RangeCollector::IgnoreKnownTimes() {
  ignore_known_ = true;
  for (Gathered& gathered : series_) {
    std::sort(gathered.known_times.begin(), gathered.known_times.end());
  }
}

void RangeCollector::Merge(Bucket& into, const Bucket& from) {
  if (from.last_time >= into.last_time) {
    into.last_time = from.last_time;
    into.last = from.last;
  }
  into.sum += from.sum;
  into.count += from.count;
}

// Sorts by time; buckets of one start, apart because ring and history each had a share of them or
// because the wall clock was set back, become one.
void RangeCollector::Unify(std::vector<Bucket>& buckets) const {
  std::stable_sort(buckets.begin(), buckets.end(),
                   [](const Bucket& a, const Bucket& b) { return a.start < b.start; });
  if (step_ms_ == 0) return;
  size_t kept = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    if (kept > 0 && buckets[kept - 1].start == buckets[i].start) {
      Merge(buckets[kept - 1], buckets[i]);
    } else {
      buckets[kept++] = buckets[i];
    }
  }
  buckets.resize(kept);
}

void RangeCollector::GiveUpPoints() {
  over_limit_ = true;
  for (Gathered& gathered : series_) {
    gathered.buckets = {};
    gathered.known_times = {};
  }
}

Error RangeCollector::TooManyPoints() const {
  std::string text = "more than " + std::to_string(window_.max_points) + " points in " +
                     std::to_string(series_seen_) + " series: ";
  const int64_t span = last_seen_ms_ - first_seen_ms_;
  for (const milliseconds step : kNiceSteps) {
    // Two more than the whole steps in the span: the buckets that its ends cut.
    const auto buckets = static_cast<size_t>(span / step.count()) + 2;
    if (step.count() > step_ms_ && buckets * series_seen_ <= window_.max_points) {
      return {ErrorCode::kInvalid, "range", 0,
              text + "ask for a step of " + FormatDuration(step) + " or a shorter time"};
    }
  }
  return {ErrorCode::kInvalid, "range", 0, text + "select fewer series"};
}

Result<std::vector<SeriesPoints>> RangeCollector::Finish() {
  std::vector<SeriesPoints> out;
  size_t total = 0;
  for (const auto& [key, handle] : handles_) {
    Gathered& gathered = series_[handle];
    if (over_limit_ || total > window_.max_points) break;
    if (gathered.buckets.empty()) continue;
    Unify(gathered.buckets);
    total += gathered.buckets.size();
    SeriesPoints& series =
        out.emplace_back(SeriesPoints{key.first, key.second, gathered.kind, gathered.unit, {}});
    series.points.reserve(gathered.buckets.size());
    const bool use_last = gathered.kind == MetricKind::kCounter;
    for (const Bucket& bucket : gathered.buckets) {
      series.points.push_back({bucket.start, use_last ? bucket.last : bucket.sum / bucket.count});
    }
  }
  if (over_limit_ || total > window_.max_points) return TooManyPoints();
  return out;
}

}  // namespace idlewatt
