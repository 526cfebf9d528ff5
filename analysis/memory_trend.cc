#include "analysis/memory_trend.h"

#include <algorithm>
#include <cmath>

namespace idlewatt {
namespace {

using std::chrono::floor;
using std::chrono::minutes;

constexpr minutes kWindow{60};
constexpr size_t kLeastPoints = 30;
// A line has 0.8 to 1, under noise as great as half of its growth 0.75, a step 0.51.
constexpr double kSteadyShare = 0.65;
// Of the slope of the whole. Noise makes the lesser of two slopes smaller; a step leaves nothing.
constexpr double kSteadyHalf = 0.25;

minutes MinuteOf(BootTime time) { return floor<minutes>(time.time_since_epoch()); }

struct Floor {
  double minute = 0;
  double bytes = 0;
};

// The middle one, of an even number the mean of the two. Moves them about.
double Median(std::span<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 != 0) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// The slopes of all pairs, bytes a minute, into `slopes`, which must be large enough.
std::span<double> PairSlopes(std::span<const Floor> floors, std::span<double> slopes) {
  size_t count = 0;
  for (size_t i = 0; i < floors.size(); ++i) {
    for (size_t j = i + 1; j < floors.size(); ++j) {
      slopes[count++] = (floors[j].bytes - floors[i].bytes) / (floors[j].minute - floors[i].minute);
    }
  }
  return slopes.first(count);
}

}  // namespace

bool MemoryGrowth::IsSteady() const {
  return bytes_per_hour > 0 && rising_share >= kSteadyShare &&
         slower_half_bytes_per_hour >= kSteadyHalf * bytes_per_hour;
}

void MemoryTrend::Observe(BootTime now, double bytes) {
  if (!std::isfinite(bytes) || bytes < 0 || (last_ && now < *last_)) return;
  if (last_ && MinuteOf(now) != MinuteOf(*last_)) EndMinute();
  last_ = now;
  sum_ += bytes;
  ++observed_;
}

void MemoryTrend::Reset() { *this = MemoryTrend(); }

void MemoryTrend::EndMinute() {
  const Point point{MinuteOf(*last_), sum_ / static_cast<double>(observed_)};
  sum_ = 0;
  observed_ = 0;
  const auto end = points_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto kept = std::find_if(points_.begin(), end, [&](const Point& older) {
    return older.minute > point.minute - kWindow;
  });
  const auto free = std::move(kept, end, points_.begin());
  *free = point;
  count_ = static_cast<size_t>(free - points_.begin()) + 1;
  growth_ = Compute();
}

std::optional<MemoryGrowth> MemoryTrend::Compute() const {
  if (count_ < kLeastPoints) return std::nullopt;
  std::array<Floor, kMostFloors> floor_space;
  const size_t count = count_ - kFloorPoints + 1;
  const auto begin = points_.begin();
  for (size_t i = 0; i < count; ++i) {
    const auto from = begin + static_cast<std::ptrdiff_t>(i);
    const auto to = from + static_cast<std::ptrdiff_t>(kFloorPoints);
    const auto least = std::min_element(
        from, to, [](const Point& a, const Point& b) { return a.bytes < b.bytes; });
    floor_space[i] = {static_cast<double>((to - 1)->minute.count()), least->bytes};
  }
  const auto floors = std::span<const Floor>(floor_space).first(count);

  MemoryGrowth growth;
  std::array<double, kMostFloors*(kMostFloors - 1) / 2> space;
  const std::span<double> slopes = PairSlopes(floors, space);
  const double slope = Median(slopes);
  const auto rising = std::count_if(slopes.begin(), slopes.end(),
                                    [&](double one) { return one > 0 && one >= slope / 2; });
  growth.rising_share = static_cast<double>(rising) / static_cast<double>(slopes.size());
  const double first_half = Median(PairSlopes(floors.first(count / 2), space));
  const double second_half = Median(PairSlopes(floors.subspan(count / 2), space));
  constexpr double kMinutesPerHour = 60;
  growth.bytes_per_hour = slope * kMinutesPerHour;
  growth.slower_half_bytes_per_hour = std::min(first_half, second_half) * kMinutesPerHour;
  growth.first_bytes = floors.front().bytes;
  growth.last_bytes = floors.back().bytes;
  growth.span = points_[count_ - 1].minute - points_[0].minute;
  return growth;
}

}  // namespace idlewatt
