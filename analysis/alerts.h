#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "analysis/idle_tracker.h"
#include "collector/frame.h"
#include "collector/snapshot.h"

namespace idlewatt {

// One alert rule: a built-in condition with its thresholds.
struct AlertRule {
  std::string name;
  std::string builtin = "IdleServiceCpu";
  std::optional<double> warning;  // in the unit of the condition
  std::optional<double> critical;
  std::chrono::milliseconds hold{30000};   // `for`
  std::vector<std::string> services{"*"};  // patterns with *
};

// The rules that hold when the configuration names none. A rule of the configuration with the
// same builtin takes its place.
std::vector<AlertRule> DefaultAlertRules();
// Names that `builtin` may have.
std::vector<std::string> AlertBuiltins();

enum class AlertState { kInactive, kPending, kFiring, kResolved };
std::string_view AlertStateName(AlertState state);

// One alert as people see it.
struct AlertStatus {
  std::string alert;
  std::string service;
  std::string severity;  // "warning" or "critical"
  AlertState state = AlertState::kInactive;
  WallTime since;    // when it entered this state
  double value = 0;  // at the last tick, or the last one it held
  double threshold = 0;
  std::string unit;
  std::string summary;  // one sentence with the numbers
  std::string advice;
};

// Walks every alert through inactive -> pending -> firing -> resolved, in Prometheus' sense.
// Resolved ones are told of for 15 minutes. A stopped or vanished service has no alert that holds.
// Of several rules with one name, the last that names a service counts for it.
// Threads: one.
class AlertEngine {
 public:
  explicit AlertEngine(std::vector<AlertRule> rules) : rules_(std::move(rules)) {}

  // Takes the tick in `snapshot`; appends idlewatt_alert_state. Supervised and watched services
  // always have a state, discovered ones only while an alert of theirs is not inactive.
  void Update(const Snapshot& snapshot, const IdleTracker& idle, Readings& out);
  // All alerts that are not inactive, the newest first.
  std::vector<AlertStatus> Statuses() const;

 private:
  struct Alert {
    AlertStatus status;
    BootTime entered;              // the state it is in
    std::optional<BootTime> seen;  // last tick at which its service was there
    bool always_shown = false;
  };
  struct Observation {
    std::string_view service;     // of the snapshot
    bool configured = false;      // supervised or watched
    std::optional<double> value;  // nothing when the condition cannot hold
    double idle_seconds = 0;
  };

  std::vector<Observation> Observe(const Snapshot& snapshot, const IdleTracker& idle) const;
  void Judge(const AlertRule& rule, std::string_view severity, double threshold,
             const Observation& observation, TimePoint now);
  Alert& AlertOf(const AlertRule& rule, std::string_view severity, std::string_view service);
  static void Move(Alert& alert, AlertState state, TimePoint now);
  void Age(TimePoint now);

  using Key = std::tuple<std::string, std::string, std::string>;  // rule, service, severity
  using KeyView = std::tuple<std::string_view, std::string_view, std::string_view>;
  struct KeyLess {
    using is_transparent = void;
    bool operator()(const KeyView& a, const KeyView& b) const { return a < b; }
  };

  const std::vector<AlertRule> rules_;
  std::map<Key, Alert, KeyLess> alerts_;
};

}  // namespace idlewatt
