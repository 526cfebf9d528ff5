#include "analysis/idle_baseline.h"

#include <utility>

#include "analysis/metrics.h"

namespace idlewatt {
namespace {

constexpr double kLeastSeconds = 120;

}  // namespace

void IdleBaseline::Set(std::optional<Baseline> baseline) {
  baseline_ = std::move(baseline);
  series_ = {};
}

void IdleBaseline::Update(BootTime now, double seconds, double joules, bool idle) {
  now_ = std::chrono::floor<std::chrono::minutes>(now.time_since_epoch()).count();
  if (!idle) return;
  Minute& minute = minutes_[static_cast<size_t>(now_ % kMinutes)];
  if (minute.number != now_) minute = {now_, 0, 0};
  minute.seconds += seconds;
  minute.joules += joules;
}

std::optional<double> IdleBaseline::MeanWatts() const {
  double seconds = 0, joules = 0;
  for (const Minute& minute : minutes_) {
    if (minute.number < 0 || now_ - minute.number >= kMinutes) continue;
    seconds += minute.seconds;
    joules += minute.joules;
  }
  if (seconds < kLeastSeconds) return std::nullopt;
  return joules / seconds;
}

void IdleBaseline::Publish(BootTime now, Readings& out) {
  if (!baseline_) return;
  out.Add(series_, now, metrics::kBaselineIdleWatts, {baseline_->name}, baseline_->watts);
}

}  // namespace idlewatt
