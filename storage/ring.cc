#include "storage/ring.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace idlewatt {
namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
// Hash node, bucket, allocator headers, and the Series that the column may be last to hold.
constexpr size_t kColumnOverhead = 384;

}  // namespace

Ring::Ring(std::chrono::milliseconds window, std::chrono::milliseconds interval, size_t max_bytes,
           const SeriesRegistry& registry)
    : slots_(static_cast<size_t>(window / interval) + 1),
      max_bytes_(max_bytes),
      registry_(registry),
      times_ms_(slots_) {}

void Ring::Append(const Frame& frame) {
  const MutexLock lock(mutex_);
  if (frames_ == 0 || frame.begin.boot != last_boot_) StartFrame(frame.begin);
  const size_t slot = (frames_ - 1) % slots_;
  for (const Sample& sample : frame.samples) {
    if (std::isnan(sample.value)) continue;
    Column* column = ColumnFor(sample.series);
    if (column == nullptr) continue;
    column->values[slot] = sample.value;
    column->last_present = frames_;
  }
}

void Ring::StartFrame(const TimePoint& begin) {
  const size_t slot = frames_ % slots_;
  ++frames_;
  times_ms_[slot] = begin.wall.time_since_epoch().count();
  last_boot_ = begin.boot;
  for (auto entry = columns_.begin(); entry != columns_.end();) {
    Column& column = entry->second;
    column.values[slot] = kAbsent;
    const bool all_absent = frames_ - column.last_present >= slots_;
    entry = all_absent ? columns_.erase(entry) : std::next(entry);
  }
}

Ring::Column* Ring::ColumnFor(SeriesId id) {
  if (const auto found = columns_.find(id); found != columns_.end()) return &found->second;
  const size_t column_bytes = slots_ * sizeof(double) + kColumnOverhead;
  if (BytesUsed() + column_bytes > max_bytes_) {
    ++refused_samples_;
    return nullptr;
  }
  std::shared_ptr<const Series> series = registry_.Find(id);
  if (series == nullptr) return nullptr;
  Column& column = columns_[id];
  column.series = std::move(series);
  column.values.assign(slots_, kAbsent);
  return &column;
}

std::vector<RingSeries> Ring::Read(const Selector& selector) const {
  std::vector<std::shared_ptr<const Series>> all;
  {
    const MutexLock lock(mutex_);
    all.reserve(columns_.size());
    for (const auto& [id, column] : columns_) all.push_back(column.series);
  }
  std::vector<RingSeries> found;
  for (const auto& series : all) {
    if (!selector.Matches(*series)) continue;
    found.push_back({{std::string(series->metric->name), LabelsOf(*series)},
                     series->metric->kind,
                     std::string(series->metric->unit),
                     PointsOf(series->id)});
  }
  return found;
}

// In the order of the frames; empty when the column is gone by now.
std::vector<Point> Ring::PointsOf(SeriesId id) const {
  std::vector<Point> points;
  points.reserve(slots_);
  const MutexLock lock(mutex_);
  const auto found = columns_.find(id);
  if (found == columns_.end()) return points;
  const uint64_t first = frames_ > slots_ ? frames_ - slots_ : 0;
  for (uint64_t number = first; number < frames_; ++number) {
    const double value = found->second.values[number % slots_];
    if (!std::isnan(value)) points.push_back({times_ms_[number % slots_], value});
  }
  return points;
}

std::optional<WallTime> Ring::Oldest() const {
  const MutexLock lock(mutex_);
  if (frames_ == 0) return std::nullopt;
  const size_t slot = frames_ > slots_ ? frames_ % slots_ : 0;
  return WallTime(std::chrono::milliseconds(times_ms_[slot]));
}

RingStats Ring::Stats() const {
  const MutexLock lock(mutex_);
  return {columns_.size(), BytesUsed(), refused_samples_};
}

size_t Ring::BytesUsed() const {
  return slots_ * sizeof(int64_t) + columns_.size() * (slots_ * sizeof(double) + kColumnOverhead);
}

}  // namespace idlewatt
