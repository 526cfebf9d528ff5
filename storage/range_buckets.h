#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "collector/metric.h"
#include "storage/point.h"

namespace idlewatt {

// What one value says of the points of one step.
enum class RangeFunction {
  kUsual,  // the average of a gauge, the last value of a counter
  kAverage,
  kMin,
  kMax,
  kLast,
  kIncrease,  // how much a counter grew, its restarts at zero seen
  kRate,      // the same, per second
};
// "avg", "min", "max", "last", "increase", "rate". kInvalid for another name.
Result<RangeFunction> ParseRangeFunction(std::string_view name);

// Which points: times in [since, until], both ends included.
struct RangeWindow {
  WallTime since;
  WallTime until;
  // 0: every point as it was measured; increase and rate are then those since the point before.
  // Else one point for each bucket [k·step, (k+1)·step) that has any, stamped k·step (which may lie
  // before `since`).
  std::chrono::milliseconds step{0};
  size_t max_points = 50'000;  // over all series
  RangeFunction function = RangeFunction::kUsual;
};

// A row of `rollup_1h` or `rollup_1d`.
struct Rollup {
  int64_t start_ms = 0;
  int64_t span_ms = 0;
  int64_t count = 0;
  double min = 0, max = 0, avg = 0;  // of a gauge
  double last = 0;
  double increase = 0;  // of a counter
};

// Makes the points of one series' answer from its measured points and its roll-ups.
// Threads: one.
class RangeBuckets {
 public:
  RangeBuckets(const RangeWindow& window, MetricKind kind);

  // In the order of time. A point before `since` only tells where a counter stood; one that is not
  // a number is left out of buckets.
  void Add(const Point& point);
  // The whole span must lie within the window.
  void Add(const Rollup& rollup);
  // What was made so far. Nothing for a step in which the function has no value, such as the rate
  // of a counter that was seen once.
  std::vector<Point> Finish();

 private:
  struct Bucket {
    int64_t start_ms = 0;
    int64_t count = 0;
    double min = 0, max = 0, sum = 0, last = 0;
    double increase = 0;
    int64_t covered_ms = 0;  // the time over which `increase` was seen
  };

  Bucket& BucketAt(int64_t time_ms);
  void AddMeasured(const Point& point);
  std::optional<double> ValueOf(const Bucket& bucket) const;

  const int64_t since_ms_, step_ms_;
  const RangeFunction function_;  // never kUsual
  std::vector<Bucket> buckets_;
  std::vector<Point> points_;      // with a step of 0
  std::optional<Point> previous_;  // of a counter
};

}  // namespace idlewatt
