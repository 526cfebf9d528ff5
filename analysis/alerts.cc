#include "analysis/alerts.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "analysis/metrics.h"
#include "base/duration.h"
#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::chrono::minutes kTellResolved{15};

void Enter(AlertStatus& status, AlertState state, WallTime now) {
  status.state = state;
  status.since = now;
}

std::string Summary(const AlertStatus& status, double idle_seconds) {
  std::array<char, 64> cpu{};
  std::snprintf(cpu.data(), cpu.size(), "%.1f %% of a CPU (limit %g %%)", status.value,
                status.threshold);
  return status.service + " uses " + cpu.data() + " though nobody has used it for " +
         FormatDuration(std::chrono::seconds(static_cast<int64_t>(idle_seconds)));
}

}  // namespace

std::vector<AlertRule> DefaultAlertRules() {
  return {{.name = "IdleServiceCpu", .builtin = "IdleServiceCpu", .warning = 5, .critical = 20}};
}

std::vector<std::string> AlertBuiltins() { return {"IdleServiceCpu"}; }

std::string_view AlertStateName(AlertState state) {
  constexpr std::array<std::string_view, 4> kNames{"inactive", "pending", "firing", "resolved"};
  return kNames[static_cast<size_t>(state)];
}

void AlertEngine::Update(const Snapshot& snapshot, const IdleTracker& idle, Readings& out) {
  const std::vector<Observation> observations = Observe(snapshot, idle);
  for (const AlertRule& rule : rules_) {
    for (const Observation& observation : observations) {
      const bool wanted = std::any_of(
          rule.services.begin(), rule.services.end(),
          [&](const std::string& pattern) { return GlobMatch(pattern, observation.service); });
      if (!wanted) continue;
      if (rule.warning) Judge(rule, "warning", *rule.warning, observation, snapshot.time);
      if (rule.critical) Judge(rule, "critical", *rule.critical, observation, snapshot.time);
    }
  }
  Age(snapshot.time);
  for (const auto& [key, alert] : alerts_) {
    const AlertStatus& status = alert.status;
    const double number = status.state == AlertState::kFiring    ? 2
                          : status.state == AlertState::kPending ? 1
                                                                 : 0;
    if (number == 0 && !alert.always_shown) continue;
    out.Add(metrics::kAlertState, {status.alert, status.service, status.severity}, number);
  }
}

std::vector<AlertEngine::Observation> AlertEngine::Observe(const Snapshot& snapshot,
                                                           const IdleTracker& idle) const {
  std::vector<Observation> observations;
  for (const SnapshotValue& processes : snapshot.Family(metrics::kServiceProcesses)) {
    Observation observation;
    observation.service = processes.series->labels[0];
    observation.configured = processes.series->labels[1] != "discovered";
    const auto is_idle = idle.idle().find(observation.service);
    if (is_idle != idle.idle().end() && is_idle->second) {
      const auto ratio = ServiceCpuRatio(snapshot, observation.service);
      if (ratio) observation.value = *ratio * 100;
      observation.idle_seconds = idle.IdleSeconds(observation.service, snapshot.time);
    }
    observations.push_back(std::move(observation));
  }
  return observations;
}

void AlertEngine::Judge(const AlertRule& rule, std::string_view severity, double threshold,
                        const Observation& observation, TimePoint now) {
  const auto [it, added] =
      alerts_.try_emplace({rule.name, observation.service, std::string(severity)});
  Alert& alert = it->second;
  AlertStatus& status = alert.status;
  if (added) {
    status.alert = rule.name;
    status.service = observation.service;
    status.severity = severity;
    status.threshold = threshold;
    status.unit = "percent";
    status.advice = "look for a busy loop or polling in " + observation.service +
                    "; stop it while nobody needs it";
    Enter(status, AlertState::kInactive, now.wall);
  }
  alert.seen = now.boot;
  alert.always_shown = observation.configured;
  const bool holds = observation.value && *observation.value > threshold;
  const AlertState before = status.state;
  if (holds) {
    status.value = *observation.value;
    status.summary = Summary(status, observation.idle_seconds);
    if (before == AlertState::kInactive || before == AlertState::kResolved) {
      Enter(status, AlertState::kPending, now.wall);
      alert.entered = now.boot;
    }
    if (status.state == AlertState::kPending && now.boot - alert.entered >= rule.hold) {
      Enter(status, AlertState::kFiring, now.wall);
      alert.entered = now.boot;
    }
  } else if (before == AlertState::kPending) {
    Enter(status, AlertState::kInactive, now.wall);
  } else if (before == AlertState::kFiring) {
    Enter(status, AlertState::kResolved, now.wall);
    alert.entered = now.boot;
  }
}

// An alert whose service is gone is over; one that was resolved long ago is not told of any more.
void AlertEngine::Age(TimePoint now) {
  for (auto it = alerts_.begin(); it != alerts_.end();) {
    Alert& alert = it->second;
    if (alert.seen != now.boot && alert.status.state == AlertState::kFiring) {
      Enter(alert.status, AlertState::kResolved, now.wall);
      alert.entered = now.boot;
    }
    const bool told =
        alert.status.state == AlertState::kResolved && now.boot - alert.entered < kTellResolved;
    if (alert.status.state == AlertState::kResolved && !told) {
      Enter(alert.status, AlertState::kInactive, now.wall);
    }
    it = alert.seen != now.boot && !told ? alerts_.erase(it) : std::next(it);
  }
}

std::vector<AlertStatus> AlertEngine::Statuses() const {
  std::vector<AlertStatus> statuses;
  for (const auto& [key, alert] : alerts_) {
    if (alert.status.state != AlertState::kInactive) statuses.push_back(alert.status);
  }
  std::stable_sort(statuses.begin(), statuses.end(),
                   [](const AlertStatus& a, const AlertStatus& b) { return a.since > b.since; });
  return statuses;
}

}  // namespace idlewatt
