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
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    for (const Observation& observation : observations) {
      const bool wanted = std::any_of(
          rule->services.begin(), rule->services.end(),
          [&](const std::string& pattern) { return GlobMatch(pattern, observation.service); });
      if (!wanted) continue;
      if (rule->warning) Judge(*rule, "warning", *rule->warning, observation, snapshot.time);
      if (rule->critical) Judge(*rule, "critical", *rule->critical, observation, snapshot.time);
    }
  }
  Age(snapshot.time);
  for (const auto& [key, alert] : alerts_) {
    const AlertStatus& status = alert.status;
    const double number = status.state == AlertState::kFiring    ? 2
                          : status.state == AlertState::kPending ? 1
                                                                 : 0;
    const bool told = status.state == AlertState::kResolved || alert.always_shown;
    if (number == 0 && !told) continue;
    out.Add(metrics::kAlertState, {status.alert, status.service, status.severity}, number);
  }
}

std::vector<AlertEngine::Observation> AlertEngine::Observe(const Snapshot& snapshot,
                                                           const IdleTracker& idle) const {
  std::vector<Observation> observations;
  for (const SnapshotValue& processes : snapshot.Family(metrics::kServiceProcesses)) {
    const std::string& service = processes.series->labels[0];
    const bool configured = processes.series->labels[1] != "discovered";
    if (!observations.empty() && observations.back().service == service) {  // in another kind
      observations.back().configured |= configured;
      continue;
    }
    Observation& observation = observations.emplace_back();
    observation.service = service;
    observation.configured = configured;
    if (!idle.IsIdle(service)) continue;
    if (const auto ratio = ServiceCpuRatio(snapshot, service)) observation.value = *ratio * 100;
    observation.idle_seconds = idle.IdleSeconds(service);
  }
  return observations;
}

AlertEngine::Alert& AlertEngine::AlertOf(const AlertRule& rule, std::string_view severity,
                                         std::string_view service) {
  const KeyView key(rule.name, service, severity);
  const auto it = alerts_.find(key);
  if (it != alerts_.end()) return it->second;
  Alert& alert = alerts_[Key(key)];
  alert.status.alert = rule.name;
  alert.status.service = service;
  alert.status.severity = severity;
  alert.status.unit = "percent";
  alert.status.advice = "look for a busy loop or polling in " + alert.status.service +
                        "; stop it while nobody needs it";
  return alert;
}

void AlertEngine::Move(Alert& alert, AlertState state, TimePoint now) {
  alert.status.state = state;
  alert.status.since = now.wall;
  alert.entered = now.boot;
}

void AlertEngine::Judge(const AlertRule& rule, std::string_view severity, double threshold,
                        const Observation& observation, TimePoint now) {
  Alert& alert = AlertOf(rule, severity, observation.service);
  if (alert.seen == now.boot) return;  // a later rule of this name has judged it
  alert.seen = now.boot;
  alert.always_shown = observation.configured;
  AlertStatus& status = alert.status;
  status.threshold = threshold;
  const bool holds = observation.value && *observation.value > threshold;
  if (!holds) {
    if (status.state == AlertState::kPending) Move(alert, AlertState::kInactive, now);
    if (status.state == AlertState::kFiring) Move(alert, AlertState::kResolved, now);
    return;
  }
  status.value = *observation.value;
  status.summary = Summary(status, observation.idle_seconds);
  if (status.state == AlertState::kInactive || status.state == AlertState::kResolved) {
    Move(alert, AlertState::kPending, now);
  }
  if (status.state == AlertState::kPending && now.boot - alert.entered >= rule.hold) {
    Move(alert, AlertState::kFiring, now);
  }
}

// An alert whose service is gone is over; one that was resolved long ago is not told of any more.
void AlertEngine::Age(TimePoint now) {
  for (auto it = alerts_.begin(); it != alerts_.end();) {
    Alert& alert = it->second;
    const bool gone = alert.seen != now.boot;
    if (gone && alert.status.state == AlertState::kFiring) Move(alert, AlertState::kResolved, now);
    if (gone && alert.status.state == AlertState::kPending) Move(alert, AlertState::kInactive, now);
    if (alert.status.state == AlertState::kResolved && now.boot - alert.entered >= kTellResolved) {
      Move(alert, AlertState::kInactive, now);
    }
    it = gone && alert.status.state == AlertState::kInactive ? alerts_.erase(it) : std::next(it);
  }
}

std::vector<AlertStatus> AlertEngine::Statuses() const {
  std::vector<const Alert*> active;
  for (const auto& [key, alert] : alerts_) {
    if (alert.status.state != AlertState::kInactive) active.push_back(&alert);
  }
  // By the boot clock: the wall clock of `since` may have jumped.
  std::stable_sort(active.begin(), active.end(),
                   [](const Alert* a, const Alert* b) { return a->entered > b->entered; });
  std::vector<AlertStatus> statuses;
  statuses.reserve(active.size());
  for (const Alert* alert : active) statuses.push_back(alert->status);
  return statuses;
}

}  // namespace idlewatt
