#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "collector/metric.h"
#include "storage/labels.h"

namespace idlewatt {

struct Point {
  int64_t time_ms = 0;  // wall clock
  double value = 0;
};

struct SeriesPoints {
  std::string metric;
  Labels labels;
  MetricKind kind = MetricKind::kGauge;
  std::string unit;
  std::vector<Point> points;  // by time; two of one time only if the wall clock was set back
};

// Which points: times in [since, until], both ends included.
struct RangeWindow {
  WallTime since;
  WallTime until;
  // 0: every point as it was measured. Else one point for each bucket [k·step, (k+1)·step) that
  // has any, stamped k·step (which may lie before `since`): the last value of a counter, the
  // average of a gauge.
  std::chrono::milliseconds step{0};
  size_t max_points = 50'000;  // over all series
};

// Gathers the points of an answer from ring and history: leaves out what both have, forms buckets
// on the way, and keeps at most `max_points` of them.
// Threads: one.
class RangeCollector {
 public:
  explicit RangeCollector(const RangeWindow& window);

  const RangeWindow& window() const { return window_; }
  // A handle for Add; the same one for the same metric and labels.
  size_t AddSeries(const std::string& metric, const Labels& labels, MetricKind kind,
                   std::string_view unit);
  // Points outside the window are ignored.
  void Add(size_t series, int64_t time_ms, double value);
  // From now on Add ignores a point at a time at which its series already has one. Called between
  // ring and history.
  void IgnoreKnownTimes();
  // Series with at least one point, by metric and labels. kInvalid when there were more than
  // `max_points`, with a step that would have fitted.
  Result<std::vector<SeriesPoints>> Finish();

 private:
  struct Bucket {
    int64_t start = 0;
    int64_t last_time = 0;
    double last = 0;
    double sum = 0;
    uint32_t count = 0;
  };
  struct Gathered {
    MetricKind kind = MetricKind::kGauge;
    std::string unit;
    std::vector<Bucket> buckets;
    std::vector<int64_t> known_times;  // sorted once `ignore_known_` is set
    bool seen = false;
  };

  static void Merge(Bucket& into, const Bucket& from);
  void Unify(std::vector<Bucket>& buckets) const;
  void GiveUpPoints();
  Error TooManyPoints() const;

  const RangeWindow window_;
  const int64_t since_ms_, until_ms_, step_ms_;
  std::map<std::pair<std::string, Labels>, size_t> handles_;
  std::vector<Gathered> series_;
  size_t buckets_ = 0;
  int64_t first_seen_ms_ = 0, last_seen_ms_ = 0;
  size_t series_seen_ = 0;
  bool ignore_known_ = false;
  bool over_limit_ = false;  // points are no longer kept, only what the error needs
};

}  // namespace idlewatt
