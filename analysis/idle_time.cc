#include "analysis/idle_time.h"

#include <algorithm>
#include <string_view>

namespace idlewatt {
namespace {

constexpr int64_t kMinuteMs = 60'000;

void AddTo(std::optional<double>& sum, double value) { sum = sum.value_or(0) + value; }

// Does idleness go on after it?
bool IsCut(std::string_view reason) { return reason != "used" && reason != "stopped"; }

}  // namespace

IdleTimeSum::IdleTimeSum(int64_t since_ms, int64_t until_ms)
    : since_ms_(since_ms), until_ms_(until_ms) {
  for (size_t i = 0; i < kUnloadMinutes.size(); ++i) time_.unloads[i].minutes = kUnloadMinutes[i];
}

void IdleTimeSum::Add(const IdleInterval& interval) {
  AddTime(interval);
  for (size_t i = 0; i < unloaded_.size(); ++i) AddUnload(interval, i);
}

void IdleTimeSum::AddTime(const IdleInterval& interval) {
  const auto length = static_cast<double>(interval.end_ms - interval.start_ms);
  const auto within = static_cast<double>(std::min(interval.end_ms, until_ms_) -
                                          std::max(interval.start_ms, since_ms_));
  if (length <= 0 || within <= 0) return;
  ++time_.intervals;
  time_.seconds += within / 1000;
  time_.longest_seconds = std::max(time_.longest_seconds.value_or(0), within / 1000);
  if (interval.joules) AddTo(time_.joules, *interval.joules * within / length);
  if (interval.cpu_seconds) {
    AddTo(time_.cpu_seconds, *interval.cpu_seconds * within / length);
    time_.cpu_known_seconds += within / 1000;
  }
  if (interval.peak_rss_bytes) {
    time_.peak_bytes = std::max(time_.peak_bytes.value_or(0), *interval.peak_rss_bytes);
  }
}

// The first minutes of idleness are still used.
void IdleTimeSum::AddUnload(const IdleInterval& interval, size_t number) {
  UnloadOutcome& outcome = time_.unloads[number];
  const int64_t wait_ms = unloaded_[number] ? 0 : outcome.minutes * kMinuteMs;
  const int64_t unloaded_ms = interval.start_ms + wait_ms;
  if (wait_ms > 0 && interval.end_ms <= unloaded_ms) return;
  unloaded_[number] = IsCut(interval.reason);
  if (interval.reason == "used" && interval.end_ms <= until_ms_) ++outcome.loads;
  // One that began before the window may have been unloaded before it as well.
  const int64_t saved_ms = std::min(interval.end_ms, until_ms_) - std::max(unloaded_ms, since_ms_);
  if (saved_ms <= 0 || !interval.joules) return;
  outcome.joules += *interval.joules * static_cast<double>(saved_ms) /
                    static_cast<double>(interval.end_ms - interval.start_ms);
}

}  // namespace idlewatt
