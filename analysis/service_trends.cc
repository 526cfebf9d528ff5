#include "analysis/service_trends.h"

#include <algorithm>
#include <utility>

namespace idlewatt {
namespace {

// The minutes of one service begin apart from those of the next, or all would be judged in the same
// tick.
std::chrono::seconds PhaseOf(size_t service) { return std::chrono::seconds(service * 5 % 60); }

}  // namespace

void ServiceTrends::Update(const ServiceTable& services, TimePoint now) {
  trends_.resize(services.size());
  for (const size_t number : services.order()) {
    const ServiceRow& row = services[number];
    Trend& trend = trends_[number];
    if (row.is_new) {
      trend = Trend();
      Seed(row, PhaseOf(number), trend, now);
    }
    CountRestarts(row, trend, now.boot);
    // Memory of another run of the service is no trend of this one.
    const bool is_anew = row.restarts > 0 || (trend.uptime && row.uptime_seconds &&
                                              *row.uptime_seconds < *trend.uptime);
    trend.began_anew = !row.running || is_anew;
    if (trend.began_anew) trend.memory.Reset();
    trend.uptime = row.uptime_seconds;
    if (row.running && row.configured) {
      trend.memory.Observe(now.boot + PhaseOf(number), row.memory_bytes);
    }
  }
}

// The past is true of the first sight of a service only.
void ServiceTrends::Seed(const ServiceRow& row, std::chrono::seconds phase, Trend& trend,
                         TimePoint now) {
  if (const auto restarts = past_restarts_.find(row.name); restarts != past_restarts_.end()) {
    for (const WallTime time : restarts->second) AddRestart(trend, now.boot - (now.wall - time));
    past_restarts_.erase(restarts);
  }
  const auto past =
      std::find_if(past_memory_.begin(), past_memory_.end(),
                   [&](const PastMemory& memory) { return memory.service == row.name; });
  if (past == past_memory_.end()) return;
  for (const auto& [time, bytes] : past->bytes) {
    const auto age = now.wall - time;
    if (age.count() <= 0) break;
    if (row.uptime_seconds && ToSeconds(age) > *row.uptime_seconds) continue;
    trend.memory.Observe(now.boot - age + phase, bytes);
  }
  past_memory_.erase(past);
}

void ServiceTrends::AddRestart(Trend& trend, BootTime time) {
  trend.restarts[trend.next_restart] = time;
  trend.next_restart = (trend.next_restart + 1) % trend.restarts.size();
  trend.known_restarts = std::min(trend.known_restarts + 1, trend.restarts.size());
}

void ServiceTrends::CountRestarts(const ServiceRow& row, Trend& trend, BootTime now) {
  const double most = static_cast<double>(trend.restarts.size());  // more would be forgotten again
  const auto count = static_cast<int>(std::clamp(row.restarts, 0.0, most));
  for (int i = 0; i < count; ++i) AddRestart(trend, now);
  const auto is_recent = [&](BootTime time) { return now - time < kRestartWindow; };
  trend.recent_restarts = static_cast<int>(std::count_if(
      trend.restarts.begin(),
      trend.restarts.begin() + static_cast<std::ptrdiff_t>(trend.known_restarts), is_recent));
}

std::optional<MemoryGrowth> ServiceTrends::Growth(size_t service) const {
  return trends_[service].memory.Growth();
}

}  // namespace idlewatt
