#pragma once

#include <optional>
#include <span>
#include <vector>

#include "analysis/alerts.h"
#include "analysis/attribution.h"
#include "analysis/idle_tracker.h"
#include "analysis/power_ledger.h"
#include "analysis/thermal_pressure.h"
#include "collector/sampler.h"
#include "collector/snapshot.h"

namespace idlewatt {

struct AnalysisOptions {
  std::optional<PowerModel> power_model{};
  IdleOptions idle{};
  std::vector<AlertRule> alerts = DefaultAlertRules();
};

// Judges one tick: power, energy by service, idleness, alerts. No file, socket or clock: the time
// is that of the snapshot.
// Threads: one.
class Analyzer {
 public:
  explicit Analyzer(AnalysisOptions options);
  // What the analysis publishes, in the form of a sampler's.
  static const SamplerInfo& Info();

  // Appends the derived samples of the tick in `snapshot`, which holds the samples of that tick.
  void Analyze(const Snapshot& snapshot, Readings& out);
  // Of the last tick.
  const ThermalPressure& thermal() const { return thermal_; }
  std::vector<AlertStatus> Alerts() const { return alerts_.Statuses(); }

 private:
  PowerLedger power_;
  Attribution attribution_;
  IdleTracker idle_;
  ThermalPressure thermal_;
  AlertEngine alerts_;
};

}  // namespace idlewatt
