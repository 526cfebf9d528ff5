#include "analysis/idle_tracker.h"

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {

std::optional<double> ServiceCpuRatio(const Snapshot& snapshot, std::string_view service) {
  std::optional<double> ratio;
  for (const SnapshotValue& value : snapshot.Family(metrics::kServiceCpuSeconds)) {
    if (value.series->labels[0] != service) continue;
    if (const auto rate = value.Rate()) ratio = ratio.value_or(0) + *rate;
  }
  return ratio;
}

void IdleTracker::Update(const Snapshot& snapshot, Readings& out) {
  std::map<std::string, TimePoint> still_there;
  idle_.clear();
  for (const SnapshotValue& processes : snapshot.Family(metrics::kServiceProcesses)) {
    const std::string& service = processes.series->labels[0];
    if (processes.value <= 0) continue;
    const auto before = last_activity_.find(service);
    const bool used = before == last_activity_.end() || IsUsed(snapshot, service);
    const TimePoint last = used ? snapshot.time : before->second;
    still_there[service] = last;
    const auto unused_for = snapshot.time.boot - last.boot;
    const bool idle = unused_for >= AfterFor(service);
    idle_[service] = idle;
    out.Add(metrics::kServiceIdle, {service}, idle ? 1 : 0);
    out.Add(metrics::kServiceIdleSeconds, {service}, ToSeconds(unused_for));
    // Told on today's wall clock, so that a jump of it does not move the event.
    out.Add(metrics::kServiceLastActivity, {service},
            ToSeconds(snapshot.time.wall.time_since_epoch()) - ToSeconds(unused_for));
  }
  last_activity_ = std::move(still_there);
}

double IdleTracker::IdleSeconds(const std::string& service, TimePoint now) const {
  const auto last = last_activity_.find(service);
  return last == last_activity_.end() ? 0 : ToSeconds(now.boot - last->second.boot);
}

bool IdleTracker::IsUsed(const Snapshot& snapshot, const std::string& service) const {
  const SnapshotValue* seen = snapshot.Find(metrics::kServiceConnectionsSeen, {service});
  if (seen == nullptr) {
    return ServiceCpuRatio(snapshot, service).value_or(0) > options_.cpu_ratio;
  }
  if (seen->Increase().value_or(0) > 0) return true;
  double bytes_per_second = 0;
  for (const std::string_view direction : {"in", "out"}) {
    const SnapshotValue* bytes = snapshot.Find(metrics::kServiceNetworkBytes, {service, direction});
    if (bytes != nullptr) bytes_per_second += bytes->Rate().value_or(0);
  }
  return bytes_per_second > options_.network_bytes_per_second;
}

std::chrono::milliseconds IdleTracker::AfterFor(const std::string& service) const {
  const auto own = options_.after_by_service.find(service);
  return own == options_.after_by_service.end() ? options_.after : own->second;
}

}  // namespace idlewatt
