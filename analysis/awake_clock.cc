#include "analysis/awake_clock.h"

#include <algorithm>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

// A gap in the CPU time below these is the grain of the counters.
constexpr double kGrainSeconds = 0.5;
constexpr double kGrainShare = 0.1;
// Each reading after which the machine seems to have slept, so much less is believed of its CPUs:
// some may have been taken offline.
constexpr double kForgetCpus = 0.9;

}  // namespace

std::optional<HostTime> HostTimeUsed(const Snapshot& snapshot) {
  HostTime used;
  bool any = false;
  for (const SnapshotValue& value : snapshot.Family(metrics::kHostCpuSeconds)) {
    const std::optional<double> seconds = value.Increase();
    if (!seconds) continue;
    any = true;
    used.all += *seconds;
    const std::string& mode = value.series->labels[0];
    if (mode != "idle" && mode != "iowait") used.busy += *seconds;
  }
  if (!any) return std::nullopt;
  return used;
}

bool IsHostFresh(const Snapshot& snapshot) {
  const auto host = snapshot.Family(metrics::kHostCpuSeconds);
  return !host.empty() && host[0].time.boot == snapshot.time.boot;
}

void AwakeClock::Update(const Snapshot& snapshot) {
  now_ = snapshot.time.boot.time_since_epoch();
  step_ = {};
  const auto host = snapshot.Family(metrics::kHostCpuSeconds);
  if (!IsHostFresh(snapshot) || !host[0].previous) return;
  step_ = snapshot.time.boot - host[0].previous->boot;
  const double seconds = ToSeconds(step_);
  const double all = HostTimeUsed(snapshot).value_or(HostTime{}).all;
  if (all <= 0 || seconds <= 0) return;
  const double rate = std::max(1.0, all / seconds);
  const double cpus = std::max(cpus_, rate);
  const double gap = seconds - all / cpus;
  if (gap <= std::max(kGrainSeconds, kGrainShare * seconds)) {
    cpus_ = rate;
    return;
  }
  cpus_ = cpus * kForgetCpus;
  const auto slept =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(gap));
  step_ -= slept;
  slept_ += slept;
}

}  // namespace idlewatt
