#include "storage/range_buckets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "storage/calendar.h"
#include "storage/rollup_writer.h"

namespace idlewatt {
namespace {

constexpr std::array<std::pair<std::string_view, RangeFunction>, 6> kFunctions{{
    {"avg", RangeFunction::kAverage},
    {"min", RangeFunction::kMin},
    {"max", RangeFunction::kMax},
    {"last", RangeFunction::kLast},
    {"increase", RangeFunction::kIncrease},
    {"rate", RangeFunction::kRate},
}};

RangeFunction FunctionFor(RangeFunction asked, MetricKind kind) {
  if (asked != RangeFunction::kUsual) return asked;
  return kind == MetricKind::kCounter ? RangeFunction::kLast : RangeFunction::kAverage;
}

bool IsOfPairs(RangeFunction function) {
  return function == RangeFunction::kIncrease || function == RangeFunction::kRate;
}

}  // namespace

Result<RangeFunction> ParseRangeFunction(std::string_view name) {
  for (const auto& [known, function] : kFunctions) {
    if (name == known) return function;
  }
  return Error{ErrorCode::kInvalid, std::string(name), 0,
               "is no function: use avg, min, max, last, increase or rate"};
}

RangeBuckets::RangeBuckets(const RangeWindow& window, MetricKind kind)
    : since_ms_(window.since.time_since_epoch().count()),
      step_ms_(window.step.count()),
      function_(FunctionFor(window.function, kind)) {}

RangeBuckets::Bucket& RangeBuckets::BucketAt(int64_t time_ms) {
  const int64_t start = step_ms_ > 0 ? FloorTo(time_ms, step_ms_) : time_ms;
  if (buckets_.empty() || buckets_.back().start_ms != start) buckets_.push_back({start});
  return buckets_.back();
}

void RangeBuckets::Add(const Point& point) {
  if (step_ms_ == 0 && !IsOfPairs(function_)) {
    if (point.time_ms >= since_ms_) points_.push_back(point);
    return;
  }
  if (std::isnan(point.value)) return;
  if (point.time_ms >= since_ms_) AddMeasured(point);
  previous_ = point;
}

void RangeBuckets::AddMeasured(const Point& point) {
  Bucket& bucket = BucketAt(point.time_ms);
  bucket.min = bucket.count == 0 ? point.value : std::min(bucket.min, point.value);
  bucket.max = bucket.count == 0 ? point.value : std::max(bucket.max, point.value);
  bucket.sum += point.value;
  bucket.last = point.value;
  ++bucket.count;
  // As in the roll-ups: over a gap of more than an hour nothing is assumed.
  if (!previous_ ||
      FloorTo(point.time_ms, kHourMs) - FloorTo(previous_->time_ms, kHourMs) > kHourMs)
    return;
  bucket.increase += CounterStep(previous_->value, point.value);
  bucket.covered_ms += point.time_ms - previous_->time_ms;
}

void RangeBuckets::Add(const Rollup& rollup) {
  Bucket& bucket = BucketAt(rollup.start_ms);
  bucket.min = bucket.count == 0 ? rollup.min : std::min(bucket.min, rollup.min);
  bucket.max = bucket.count == 0 ? rollup.max : std::max(bucket.max, rollup.max);
  bucket.sum += rollup.avg * static_cast<double>(rollup.count);
  bucket.last = rollup.last;
  bucket.count += rollup.count;
  bucket.increase += rollup.increase;
  bucket.covered_ms += rollup.span_ms;
  previous_ = Point{rollup.start_ms + rollup.span_ms - 1, rollup.last};
}

std::vector<Point> RangeBuckets::Finish() {
  std::vector<Point> points;
  points.reserve(buckets_.size() + points_.size());
  for (const Bucket& bucket : buckets_) {
    if (const auto value = ValueOf(bucket)) points.push_back({bucket.start_ms, *value});
  }
  points.insert(points.end(), points_.begin(), points_.end());
  buckets_.clear();
  points_.clear();
  return points;
}

std::optional<double> RangeBuckets::ValueOf(const Bucket& bucket) const {
  switch (function_) {
    case RangeFunction::kUsual:
    case RangeFunction::kAverage:
      return bucket.sum / static_cast<double>(bucket.count);
    case RangeFunction::kMin:
      return bucket.min;
    case RangeFunction::kMax:
      return bucket.max;
    case RangeFunction::kLast:
      return bucket.last;
    case RangeFunction::kIncrease:
      return bucket.covered_ms > 0 ? std::optional(bucket.increase) : std::nullopt;
    case RangeFunction::kRate:
      if (bucket.covered_ms <= 0) return std::nullopt;
      return bucket.increase * 1000 / static_cast<double>(bucket.covered_ms);
  }
  return std::nullopt;
}

}  // namespace idlewatt
