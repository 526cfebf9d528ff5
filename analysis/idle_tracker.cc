#include "analysis/idle_tracker.h"

#include <algorithm>
#include <span>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

// Less than this is not a jump of the wall clock but its slow correction.
constexpr std::chrono::seconds kWallJump{1};
// The first time that a service is idle for a moment only tells nothing yet.
constexpr int kForgivenFlaps = 1;
constexpr int kMostFlaps = 4;  // eight times as long

}  // namespace

std::string_view ActivitySourceName(ActivitySource source) {
  constexpr std::array<std::string_view, 3> kNames{"proxy", "sockets", "cpu"};
  return kNames[static_cast<size_t>(source)];
}

std::optional<double> ServiceCpuRatio(const Snapshot& snapshot, std::string_view service) {
  const auto family = snapshot.Family(metrics::kServiceCpuSeconds);
  auto value = std::lower_bound(
      family.begin(), family.end(), service,
      [](const SnapshotValue& v, std::string_view name) { return v.series->labels[0] < name; });
  std::optional<double> ratio;
  for (; value != family.end() && value->series->labels[0] == service; ++value) {
    if (const auto rate = value->Rate()) ratio = ratio.value_or(0) + *rate;
  }
  return ratio;
}

void IdleTracker::Update(const Snapshot& snapshot, const ServiceTable& services,
                         const AwakeClock& awake, Readings& out) {
  const TimePoint now = snapshot.time;
  const double passed = started_ ? ToSeconds(awake.Now() - awake_) : 0;
  awake_ = awake.Now();
  started_ = true;
  states_.resize(services.size());
  for (const size_t number : services.order()) {
    const ServiceRow& row = services[number];
    State& state = states_[number];
    if (row.is_new) state = State();
    if (row.running && state.there) state.spent.seconds[state.idle ? 1 : 0] += passed;
    if (row.running) {
      Judge(row, services, state, now);
      Publish(row.name, state, now, out);
    } else {
      state.there = state.idle = false;
    }
  }
  host_spent_.seconds[host_idle_ ? 1 : 0] += passed;
  JudgeHost(snapshot, services);
  PublishHost(now.boot, out);
}

void IdleTracker::Judge(const ServiceRow& row, const ServiceTable& services, State& state,
                        TimePoint now) {
  const auto after = AfterFor(row.name);
  state.seen = now.boot;
  state.source = row.requests  ? ActivitySource::kProxy
                 : row.sockets ? ActivitySource::kSockets
                               : ActivitySource::kCpu;
  if (!state.there) {
    state.there = true;
    state.flaps = 0;
    state.activity = FirstActivity(row, services, now);
  } else if (IsUsed(row, state.source)) {
    if (state.idle) {
      const bool flaps = now.boot - state.idle_since < after;
      state.flaps = flaps ? std::min(state.flaps + 1, kMostFlaps) : 0;
    }
    state.activity = now;
  }
  const auto patience = after * (1 << std::max(0, state.flaps - kForgivenFlaps));
  const bool was_idle = state.idle;
  state.idle = now.boot - state.activity.boot >= patience;
  if (state.idle && !was_idle) state.idle_since = now.boot;
}

TimePoint IdleTracker::FirstActivity(const ServiceRow& row, const ServiceTable& services,
                                     TimePoint now) {
  const auto known = past_.find(row.name);
  if (known != past_.end()) {
    const Past past = known->second;
    past_.erase(known);  // true of its first sight only
    const auto unseen = now.wall - past.seen;
    const bool clock_is_right = unseen.count() >= 0 && past.last_activity <= past.seen;
    const bool is_anew = row.uptime_seconds && *row.uptime_seconds < ToSeconds(unseen);
    if (clock_is_right && !is_anew && unseen <= AfterFor(row.name)) {
      return {past.last_activity, now.boot - (now.wall - past.last_activity)};
    }
  }
  // A discovered service that rises among those that are shown ran before, as part of the others.
  const auto others = row.configured ? std::nullopt : services.Find(metrics::kOtherServices);
  if (others && *others < states_.size() && states_[*others].there) {
    return states_[*others].activity;
  }
  return now;
}

// Only what was read in this tick tells of use in it.
bool IdleTracker::IsUsed(const ServiceRow& row, ActivitySource source) const {
  switch (source) {
    case ActivitySource::kProxy:
      return row.requests->come > 0 || row.requests->in_flight > 0;
    case ActivitySource::kSockets:
      return row.sockets->fresh &&
             (row.sockets->new_connections > 0 ||
              row.sockets->bytes_per_second > options_.network_bytes_per_second);
    case ActivitySource::kCpu:
      return row.cpu_fresh && row.cpus.value_or(0) > options_.cpu_ratio;
  }
  return true;
}

std::chrono::milliseconds IdleTracker::AfterFor(const std::string& service) const {
  const auto own = options_.after_by_service.find(service);
  return own == options_.after_by_service.end() ? options_.after : own->second;
}

double IdleTracker::IdleSeconds(size_t service) const {
  if (service >= states_.size() || !states_[service].there) return 0;
  return ToSeconds(states_[service].seen - states_[service].activity.boot);
}

void IdleTracker::JudgeHost(const Snapshot& snapshot, const ServiceTable& services) {
  bool any = false, all = true;
  for (const size_t number : services.order()) {
    if (!services[number].running) continue;
    any = true;
    all = all && states_[number].idle;
  }
  // Kept for when nothing tells: somebody who logs out used the keyboard, and a look may fail.
  const BootTime now = snapshot.time.boot;
  if (const auto input = snapshot.Family(metrics::kHostInputIdle); !input.empty()) {
    last_input_ = input[0].read - std::chrono::duration_cast<BootTime::duration>(
                                      std::chrono::duration<double>(input[0].value));
  }
  const bool is_typed = last_input_ && now - *last_input_ < options_.after;
  host_idle_ = any && all && !is_typed;
}

void IdleTracker::Publish(const std::string& service, State& state, TimePoint now, Readings& out) {
  const auto unused_for = now.boot - state.activity.boot;
  // Told on today's wall clock, so that a jump of it does not move the event.
  const WallTime told =
      now.wall - std::chrono::duration_cast<std::chrono::milliseconds>(unused_for);
  if (std::chrono::abs(told - state.activity.wall) >= kWallJump) state.activity.wall = told;
  out.Add(state.idle_series, now.boot, metrics::kServiceIdle, {service}, state.idle ? 1 : 0);
  out.Add(state.seconds_series, now.boot, metrics::kServiceIdleSeconds, {service},
          ToSeconds(unused_for));
  out.Add(state.activity_series, now.boot, metrics::kServiceLastActivity, {service},
          ToSeconds(state.activity.wall.time_since_epoch()));
  out.Add(state.source_series[static_cast<size_t>(state.source)], now.boot,
          metrics::kServiceActivitySource, {service, ActivitySourceName(state.source)}, 1);
  for (size_t i = 0; i < kStateNames.size(); ++i) {
    out.Add(state.spent.series[i], now.boot, metrics::kServiceActivitySeconds,
            {service, kStateNames[i]}, state.spent.seconds[i]);
  }
}

void IdleTracker::PublishHost(BootTime now, Readings& out) {
  out.Add(host_series_, now, metrics::kHostIdle, {}, host_idle_ ? 1 : 0);
  for (size_t i = 0; i < kStateNames.size(); ++i) {
    out.Add(host_spent_.series[i], now, metrics::kHostActivitySeconds, {kStateNames[i]},
            host_spent_.seconds[i]);
  }
}

}  // namespace idlewatt
