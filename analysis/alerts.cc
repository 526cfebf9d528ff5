#include "analysis/alerts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/metrics.h"
#include "base/text.h"

namespace idlewatt {
namespace {

constexpr std::chrono::minutes kTellResolved{15};
constexpr std::chrono::minutes kRememberFor{5};
// How far a value must be on the good side until a firing alert is over, as share of the threshold.
constexpr double kHysteresis = 0.1;

bool Holds(double value, double threshold, bool below, bool of_levels) {
  if (of_levels) return value >= threshold;
  return below ? value < threshold : value > threshold;
}

// Is a firing alert over?
bool IsOver(double value, double threshold, bool below, bool of_levels) {
  if (of_levels) return value < threshold;
  const double margin = std::abs(threshold) * kHysteresis;
  return below ? value >= threshold + margin : value <= threshold - margin;
}

// On the boot clock as it runs now.
BootTime BootTimeOf(WallTime time, TimePoint now) { return now.boot - (now.wall - time); }

// So many series that ended are remembered, and as many again as there are, before all matches of a
// rule are looked up anew.
constexpr size_t kSpareMatches = 1000;

}  // namespace

AlertRule UsualRule(std::string_view name) {
  const AlertBuiltin& builtin = *FindAlertBuiltin(name);
  AlertRule rule{.name = std::string(name), .builtin = std::string(name)};
  rule.warning = builtin.warning;
  rule.critical = builtin.critical;
  rule.hold = builtin.hold;
  return rule;
}

std::vector<AlertRule> DefaultAlertRules() {
  std::vector<AlertRule> rules;
  for (const AlertBuiltin& builtin : AlertBuiltinTable()) rules.push_back(UsualRule(builtin.name));
  return rules;
}

std::vector<std::string> AlertBuiltins() {
  std::vector<std::string> names;
  for (const AlertBuiltin& builtin : AlertBuiltinTable()) names.emplace_back(builtin.name);
  return names;
}

std::string_view AlertStateName(AlertState state) {
  constexpr std::array<std::string_view, 4> kNames{"inactive", "pending", "firing", "resolved"};
  return kNames[static_cast<size_t>(state)];
}

AlertEngine::AlertEngine(std::vector<AlertRule> rules) {
  for (AlertRule& rule : rules) {
    const AlertBuiltin* builtin = FindAlertBuiltin(rule.builtin);
    if (builtin == nullptr && !rule.metric) continue;
    Rule& made = rules_.emplace_back();
    made.builtin = builtin;
    made.thresholds = {rule.warning, rule.critical};
    made.rule = std::move(rule);
  }
}

void AlertEngine::Remember(std::vector<AlertStatus> firing) {
  for (AlertStatus& status : firing) remembered_.push_back({std::move(status), {}});
}

void AlertEngine::Begin(TimePoint now) {
  first_ = now.boot;
  for (Remembered& one : remembered_) one.entered = BootTimeOf(one.status.since, now);
  for (Rule& rule : rules_) MakeSubject(rule, rule.machine, "", now);
}

bool AlertEngine::IsWanted(const Rule& rule, std::string_view service) const {
  const auto names = [&](const Rule& other) {
    return std::any_of(other.rule.services.begin(), other.rule.services.end(),
                       [&](const std::string& pattern) { return GlobMatch(pattern, service); });
  };
  // The last one of this name that names the service.
  const auto last = std::find_if(rules_.rbegin(), rules_.rend(), [&](const Rule& other) {
    return other.rule.name == rule.rule.name && names(other);
  });
  return last != rules_.rend() && &*last == &rule;
}

void AlertEngine::MakeSubject(Rule& rule, Subject& subject, std::string_view service,
                              TimePoint now) {
  // The service may have had another number before, under which it is still told of as resolved.
  for (Subject& other : rule.services) {
    if (other.service == service) other = Subject();
  }
  subject = Subject();
  subject.service = service;
  subject.wanted = IsWanted(rule, service);
  if (subject.wanted) TakeBack(rule, subject, now);
}

void AlertEngine::TakeBack(const Rule& rule, Subject& subject, TimePoint now) {
  std::erase_if(remembered_, [&](const Remembered& remembered) {
    const AlertStatus& status = remembered.status;
    if (status.alert != rule.rule.name || status.service != subject.service) return false;
    for (size_t i = 0; i < kSeverities; ++i) {
      if (status.severity != kSeverityNames[i] || !rule.thresholds[i]) continue;
      // One that was resolved meanwhile has only been waiting to be forgotten.
      if (status.state != AlertState::kFiring) return true;
      Alert& alert = subject.alerts[i];
      alert.state = AlertState::kFiring;
      alert.entered = {status.since, BootTimeOf(status.since, now)};
      alert.value = status.value;
      alert.text = {status.summary, status.advice};
      return true;
    }
    return false;
  });
}

void AlertEngine::Update(const AlertView& view, Readings& out) {
  const TimePoint now = view.snapshot.time;
  if (!first_) Begin(now);
  for (Rule& rule : rules_) {
    rule.services.resize(view.services.size());
    for (const size_t number : view.services.order()) {
      const ServiceRow& row = view.services[number];
      if (row.is_new) MakeSubject(rule, rule.services[number], row.name, now);
    }
    UpdateRule(rule, view, out);
  }
  AgeRemembered(now);
}

void AlertEngine::UpdateRule(Rule& rule, const AlertView& view, Readings& out) {
  const BootTime now = view.snapshot.time.boot;
  if (rule.builtin == nullptr) FindWorst(rule, view);
  const bool of_machine = rule.builtin == nullptr || rule.builtin->of_machine;
  if (of_machine && rule.machine.wanted) {
    Judge(rule, rule.machine, Find(rule, view, kMachine), view, kMachine);
    const bool told = rule.builtin != nullptr || rule.machine_worst.series != nullptr;
    Publish(rule, rule.machine, told, now, out);
  }
  if (rule.builtin != nullptr && rule.builtin->of_machine) return;
  for (const size_t number : view.services.order()) {
    Subject& subject = rule.services[number];
    if (!subject.wanted) continue;
    const ServiceRow& row = view.services[number];
    Judge(rule, subject, Find(rule, view, number), view, number);
    const bool told = rule.builtin != nullptr || rule.worst[number].series != nullptr;
    Publish(rule, subject, told && row.configured && row.seen == now, now, out);
  }
  // Services that the table has forgotten, which after a long sleep may come without a warning.
  for (size_t number = 0; number < rule.services.size(); ++number) {
    Subject& subject = rule.services[number];
    if (!subject.wanted || subject.judged == now) continue;
    Judge(rule, subject, {}, view, number);
    Publish(rule, subject, false, now, out);
  }
}

void AlertEngine::FindWorst(Rule& rule, const AlertView& view) {
  rule.machine_worst = {};
  rule.worst.assign(view.services.size(), {});
  const Selector& selector = *rule.rule.metric;
  const auto family = view.snapshot.Family(selector.metric());
  if (rule.matches.size() > 2 * family.size() + kSpareMatches) rule.matches.clear();
  for (const SnapshotValue& value : family) {
    const Series& series = *value.series;
    const auto [match, is_new] = rule.matches.try_emplace(series.id, false);
    if (is_new) match->second = selector.Matches(series);
    if (!match->second) continue;
    const auto number = view.services.Find(series.Label("service"));
    Worst& worst = number ? rule.worst[*number] : rule.machine_worst;
    const std::optional<double> now =
        series.metric->kind == MetricKind::kCounter ? value.Rate() : std::optional(value.value);
    const bool is_worse =
        now && (!worst.value || (rule.rule.below ? *now < *worst.value : *now > *worst.value));
    if (is_worse || worst.series == nullptr) worst = {now, &series};
  }
}

Finding AlertEngine::Find(const Rule& rule, const AlertView& view, size_t service) const {
  using Kind = Finding::Kind;
  Finding finding;
  if (rule.builtin != nullptr) {
    finding = rule.builtin->find(view, service);
  } else {
    const Worst& worst = service == kMachine ? rule.machine_worst : rule.worst[service];
    finding.kind = worst.series == nullptr ? Kind::kAbsent
                   : worst.value           ? Kind::kValue
                                           : Kind::kUnknown;
    finding.value = worst.value.value_or(0);
  }
  if (finding.kind == Kind::kAbsent) {
    const bool may_come = view.snapshot.time.boot - *first_ < kRememberFor;
    finding.kind = may_come ? Kind::kUnknown : Kind::kNone;
  }
  return finding;
}

void AlertEngine::Describe(const Rule& rule, const AlertView& view, size_t service,
                           double threshold, Alert& alert) {
  alert.text.summary.clear();
  alert.text.advice.clear();
  if (rule.builtin != nullptr) {
    rule.builtin->describe(view, service, alert.value, threshold, alert.text);
    return;
  }
  const Worst& worst = service == kMachine ? rule.machine_worst : rule.worst[service];
  const Metric& metric = *worst.series->metric;
  worst.series->AppendTo(alert.text.summary);
  AppendFormat(alert.text.summary, " is %g%s, %s the limit of %g", alert.value,
               metric.kind == MetricKind::kCounter ? " a second" : "",
               rule.rule.below ? "below" : "above", threshold);
  alert.text.advice = rule.rule.advice;
}

void AlertEngine::Move(Alert& alert, AlertState state, TimePoint now) {
  alert.state = state;
  alert.entered = now;
}

void AlertEngine::Judge(const Rule& rule, Subject& subject, const Finding& finding,
                        const AlertView& view, size_t service) {
  const TimePoint now = view.snapshot.time;
  subject.judged = now.boot;
  const bool of_levels = rule.builtin != nullptr && rule.builtin->of_levels;
  const bool known = finding.kind == Finding::Kind::kValue;
  for (size_t i = 0; i < kSeverities; ++i) {
    if (!rule.thresholds[i]) continue;
    const double threshold = *rule.thresholds[i];
    Alert& alert = subject.alerts[i];
    const bool holds = known && Holds(finding.value, threshold, rule.rule.below, of_levels);
    const bool is_over = finding.kind == Finding::Kind::kNone ||
                         (known && IsOver(finding.value, threshold, rule.rule.below, of_levels));
    if (alert.state == AlertState::kPending && !holds) Move(alert, AlertState::kInactive, now);
    if (alert.state == AlertState::kFiring && is_over) Move(alert, AlertState::kResolved, now);
    if (alert.state == AlertState::kResolved && now.boot - alert.entered.boot >= kTellResolved) {
      Move(alert, AlertState::kInactive, now);
    }
    if (holds && alert.state != AlertState::kFiring && alert.state != AlertState::kPending) {
      Move(alert, AlertState::kPending, now);
    }
    if (alert.state == AlertState::kPending && now.boot - alert.entered.boot >= rule.rule.hold) {
      Move(alert, AlertState::kFiring, now);
    }
    if (known && (holds || alert.state == AlertState::kFiring)) {
      alert.value = finding.value;
      Describe(rule, view, service, threshold, alert);
    }
  }
}

void AlertEngine::Publish(const Rule& rule, Subject& subject, bool always, BootTime now,
                          Readings& out) {
  for (size_t i = 0; i < kSeverities; ++i) {
    if (!rule.thresholds[i]) continue;
    Alert& alert = subject.alerts[i];
    const double number = alert.state == AlertState::kFiring    ? 2
                          : alert.state == AlertState::kPending ? 1
                                                                : 0;
    if (number == 0 && !always && alert.state != AlertState::kResolved) continue;
    out.Add(alert.series, now, metrics::kAlertState,
            {rule.rule.name, subject.service, kSeverityNames[i]}, number);
  }
}

void AlertEngine::AgeRemembered(TimePoint now) {
  if (now.boot - *first_ < kRememberFor) return;
  std::erase_if(remembered_, [&](Remembered& remembered) {
    AlertStatus& status = remembered.status;
    if (status.state == AlertState::kFiring) {
      status.state = AlertState::kResolved;
      status.since = now.wall;
      remembered.entered = now.boot;
    }
    return now.boot - remembered.entered >= kTellResolved;
  });
}

std::vector<AlertStatus> AlertEngine::Statuses() const {
  std::vector<std::pair<BootTime, AlertStatus>> active;
  const auto add = [&](const Rule& rule, const Subject& subject) {
    for (size_t i = 0; i < kSeverities; ++i) {
      const Alert& alert = subject.alerts[i];
      if (alert.state == AlertState::kInactive) continue;
      const std::string_view unit = rule.builtin != nullptr ? rule.builtin->unit : "";
      active.push_back(
          {alert.entered.boot,
           {rule.rule.name, subject.service, std::string(kSeverityNames[i]), alert.state,
            alert.entered.wall, alert.value, rule.thresholds[i].value_or(0), std::string(unit),
            alert.text.summary, alert.text.advice, rule.rule.builtin}});
    }
  };
  for (const Rule& rule : rules_) {
    add(rule, rule.machine);
    for (const Subject& subject : rule.services) add(rule, subject);
  }
  for (const Remembered& one : remembered_) active.push_back({one.entered, one.status});
  // By the boot clock: the wall clock of `since` may have jumped.
  std::stable_sort(active.begin(), active.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<AlertStatus> statuses;
  statuses.reserve(active.size());
  for (auto& [entered, status] : active) statuses.push_back(std::move(status));
  return statuses;
}

}  // namespace idlewatt
