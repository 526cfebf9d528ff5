#include "analysis/idle_tracker.h"

#include <algorithm>
#include <span>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

// Less than this is not a jump of the wall clock but its slow correction.
constexpr std::chrono::seconds kWallJump{1};

// Of a metric whose first label is the service, the series of one service.
std::span<const SnapshotValue> OfService(const Snapshot& snapshot, const Metric& metric,
                                         std::string_view service) {
  const auto family = snapshot.Family(metric);
  const auto begin = std::lower_bound(family.begin(), family.end(), service,
                                      [](const SnapshotValue& value, std::string_view name) {
                                        return value.series->labels[0] < name;
                                      });
  auto end = begin;
  while (end != family.end() && end->series->labels[0] == service) ++end;
  return {begin, end};
}

}  // namespace

std::optional<double> ServiceCpuRatio(const Snapshot& snapshot, std::string_view service) {
  std::optional<double> ratio;
  for (const SnapshotValue& value : OfService(snapshot, metrics::kServiceCpuSeconds, service)) {
    if (const auto rate = value.Rate()) ratio = ratio.value_or(0) + *rate;
  }
  return ratio;
}

void IdleTracker::Update(const Snapshot& snapshot, Readings& out) {
  const BootTime now = snapshot.time.boot;
  for (const SnapshotValue& processes : snapshot.Family(metrics::kServiceProcesses)) {
    if (processes.value <= 0) continue;
    const std::string& service = processes.series->labels[0];
    const auto [it, added] = services_.try_emplace(service);
    State& state = it->second;
    if (!added && state.seen == now) continue;  // one name in two kinds
    state.seen = now;
    if (added || IsUsed(snapshot, service)) state.activity = snapshot.time;
    state.idle = now - state.activity.boot >= AfterFor(service);
    Publish(service, state, snapshot.time, out);
  }
  std::erase_if(services_, [&](const auto& item) { return item.second.seen != now; });
}

void IdleTracker::Publish(const std::string& service, State& state, TimePoint now,
                          Readings& out) const {
  const auto unused_for = now.boot - state.activity.boot;
  // Told on today's wall clock, so that a jump of it does not move the event.
  const WallTime told =
      now.wall - std::chrono::duration_cast<std::chrono::milliseconds>(unused_for);
  if (std::chrono::abs(told - state.activity.wall) >= kWallJump) state.activity.wall = told;
  out.Add(metrics::kServiceIdle, {service}, state.idle ? 1 : 0);
  out.Add(metrics::kServiceIdleSeconds, {service}, ToSeconds(unused_for));
  out.Add(metrics::kServiceLastActivity, {service},
          ToSeconds(state.activity.wall.time_since_epoch()));
}

bool IdleTracker::IsIdle(std::string_view service) const {
  const auto it = services_.find(service);
  return it != services_.end() && it->second.idle;
}

double IdleTracker::IdleSeconds(std::string_view service) const {
  const auto it = services_.find(service);
  return it == services_.end() ? 0 : ToSeconds(it->second.seen - it->second.activity.boot);
}

// Only what was read in this tick tells of use in it.
bool IdleTracker::IsUsed(const Snapshot& snapshot, const std::string& service) const {
  const BootTime now = snapshot.time.boot;
  const auto seen = OfService(snapshot, metrics::kServiceConnectionsSeen, service);
  if (seen.empty()) {
    const auto cpu = OfService(snapshot, metrics::kServiceCpuSeconds, service);
    return !cpu.empty() && cpu[0].time.boot == now &&
           ServiceCpuRatio(snapshot, service).value_or(0) > options_.cpu_ratio;
  }
  if (seen[0].time.boot != now) return false;
  if (seen[0].Increase().value_or(0) > 0) return true;
  double bytes_per_second = 0;
  for (const SnapshotValue& bytes : OfService(snapshot, metrics::kServiceNetworkBytes, service)) {
    bytes_per_second += bytes.Rate().value_or(0);
  }
  return bytes_per_second > options_.network_bytes_per_second;
}

std::chrono::milliseconds IdleTracker::AfterFor(const std::string& service) const {
  const auto own = options_.after_by_service.find(service);
  return own == options_.after_by_service.end() ? options_.after : own->second;
}

}  // namespace idlewatt
