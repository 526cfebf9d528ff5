#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "analysis/alert_conditions.h"
#include "collector/frame.h"
#include "collector/selector.h"
#include "collector/snapshot.h"

namespace idlewatt {

// One alert rule: a built-in condition with its thresholds, or thresholds of any metric.
struct AlertRule {
  std::string name;
  std::string builtin{};             // empty: of `metric`
  std::optional<Selector> metric{};  // a gauge by its value, a counter by its growth per second
  bool below = false;                // it holds below the thresholds; of a metric only
  std::string advice{};              // of a metric: what to do
  std::optional<double> warning{};   // in the unit of the condition
  std::optional<double> critical{};
  std::chrono::milliseconds hold{30000};   // `for`
  std::vector<std::string> services{"*"};  // patterns with *
};

// A rule of the built-in condition `name` with its usual values; there must be one.
AlertRule UsualRule(std::string_view name);
// The rules that hold when the configuration names none: one for each built-in condition. A rule of
// the configuration with the same builtin takes its place.
std::vector<AlertRule> DefaultAlertRules();
// Names that `builtin` may have.
std::vector<std::string> AlertBuiltins();

enum class AlertState { kInactive, kPending, kFiring, kResolved };
std::string_view AlertStateName(AlertState state);

// One alert as people see it.
struct AlertStatus {
  std::string alert;
  std::string service;   // empty: of the machine
  std::string severity;  // "warning" or "critical"
  AlertState state = AlertState::kInactive;
  WallTime since;    // when it entered this state
  double value = 0;  // at the last tick, or the last one it held
  double threshold = 0;
  std::string unit;
  std::string summary;  // one sentence with the numbers
  std::string advice;
  std::string builtin{};  // the condition of its rule; empty: of a metric
};

// Walks every alert through inactive -> pending -> firing -> resolved, in Prometheus' sense. One
// that fires is resolved when its value is a tenth on the good side of the threshold, or its
// condition does not apply any more: the service is used, stopped or gone. Resolved ones are told
// of for 15 minutes. Of several rules with one name, the last that names a service counts for it.
// A rule of a metric has one alert for each service that its series name, for the worst of them;
// series of no service are the machine's. At a tick like the one before nothing is allocated.
// Threads: one.
class AlertEngine {
 public:
  explicit AlertEngine(std::vector<AlertRule> rules);

  // Alerts that were firing when an earlier run of the daemon ended. Before the first Update. One
  // whose service does not come back within five minutes is resolved.
  void Remember(std::vector<AlertStatus> firing);

  // Takes a tick; appends idlewatt_alert_state. The machine, and supervised and watched services,
  // always have a state; discovered ones only while an alert of theirs is not inactive.
  void Update(const AlertView& view, Readings& out);
  // All alerts that are not inactive, the newest first.
  std::vector<AlertStatus> Statuses() const;

 private:
  static constexpr size_t kSeverities = 2;
  static constexpr std::array<std::string_view, kSeverities> kSeverityNames{"warning", "critical"};

  struct Alert {
    AlertState state = AlertState::kInactive;
    TimePoint entered;  // the state it is in
    double value = 0;
    AlertText text;
    KnownSeries series;
  };
  // A rule held against one service or the machine.
  struct Subject {
    bool wanted = false;
    std::string service;
    BootTime judged;  // last
    std::array<Alert, kSeverities> alerts;
  };
  // The worst series of a rule of a metric in this tick.
  struct Worst {
    std::optional<double> value;
    const Series* series = nullptr;
  };
  struct Rule {
    AlertRule rule;
    const AlertBuiltin* builtin = nullptr;  // null: of a metric
    std::array<std::optional<double>, kSeverities> thresholds;
    Subject machine;
    std::vector<Subject> services;  // by their numbers
    // Of a metric.
    std::unordered_map<SeriesId, bool> matches;
    Worst machine_worst;
    std::vector<Worst> worst;  // by the number of the service
  };
  // Of a service that is not seen yet, or of a rule that is no more.
  struct Remembered {
    AlertStatus status;
    BootTime entered;  // the state it is in
  };

  void Begin(TimePoint now);
  void MakeSubject(Rule& rule, Subject& subject, std::string_view service, TimePoint now);
  void TakeBack(const Rule& rule, Subject& subject, TimePoint now);
  bool IsWanted(const Rule& rule, std::string_view service) const;
  void UpdateRule(Rule& rule, const AlertView& view, Readings& out);
  static void FindWorst(Rule& rule, const AlertView& view);
  Finding Find(const Rule& rule, const AlertView& view, size_t service) const;
  static void Judge(const Rule& rule, Subject& subject, const Finding& finding,
                    const AlertView& view, size_t service);
  static void Describe(const Rule& rule, const AlertView& view, size_t service, double threshold,
                       Alert& alert);
  static void Move(Alert& alert, AlertState state, TimePoint now);
  static void Publish(const Rule& rule, Subject& subject, bool always, BootTime now, Readings& out);
  void AgeRemembered(TimePoint now);

  std::vector<Rule> rules_;
  std::vector<Remembered> remembered_;
  std::optional<BootTime> first_;  // tick
};

}  // namespace idlewatt
