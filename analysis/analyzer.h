#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/alerts.h"
#include "analysis/attribution.h"
#include "analysis/idle_baseline.h"
#include "analysis/idle_intervals.h"
#include "analysis/idle_tracker.h"
#include "analysis/power_ledger.h"
#include "analysis/sensor_watch.h"
#include "analysis/service_table.h"
#include "analysis/service_trends.h"
#include "analysis/thermal_pressure.h"
#include "collector/sampler.h"
#include "collector/snapshot.h"

namespace idlewatt {

struct AnalysisOptions {
  AttributionOptions attribution{};  // with the model of the machine's power
  IdleOptions idle{};
  std::vector<AlertRule> alerts = DefaultAlertRules();
};

// What an earlier run of the daemon left in the history, so that a restart changes no judgement.
struct AnalysisPast {
  std::map<std::string, IdleTracker::Past, std::less<>> services;
  std::vector<ServiceTrends::PastMemory> memory;
  ServiceTrends::PastRestarts restarts;
  std::map<std::string, double, std::less<>> floor_watts;  // learnt; by domain
  std::map<std::string, WallTime, std::less<>> sources;    // when they could be read last
  std::vector<AlertStatus> firing;
  std::optional<Baseline> baseline;
};

// Judges one tick: power, energy by service, idleness, alerts. No file, socket or clock: the time
// is that of the snapshot.
// Threads: one.
class Analyzer {
 public:
  explicit Analyzer(AnalysisOptions options);
  // What the analysis publishes, in the form of a sampler's.
  static const SamplerInfo& Info();

  // Before the first tick.
  void Remember(AnalysisPast past);
  // Nothing takes the baseline away.
  void SetBaseline(std::optional<Baseline> baseline) { baseline_.Set(std::move(baseline)); }

  // Appends the derived samples of the tick in `snapshot`, which holds the samples of that tick.
  // Allocates for what is new alone: a service, a series, a longer text.
  void Analyze(const Snapshot& snapshot, Readings& out);
  // Of the last tick.
  const ThermalPressure& thermal() const { return thermal_; }
  // What the analysis itself reads, or why it can't: rows of `idlewatt sensors`.
  std::vector<SourceStatus> Sources() const;
  std::vector<AlertStatus> Alerts() const { return alerts_.Statuses(); }
  // Idle intervals that ended in the last tick, or went on for a minute; see IdleIntervals.
  std::span<const IdleInterval> Intervals() const { return intervals_.changed(); }
  // Ends the open intervals, because the daemon ends: they are in Intervals().
  void Finish() { intervals_.Finish(); }

 private:
  void UpdateBaseline(BootTime now, bool idle);

  PowerLedger power_;
  ServiceTable services_;
  Attribution attribution_;
  IdleTracker idle_;
  IdleIntervals intervals_;
  ServiceTrends trends_;
  SensorWatch sensors_;
  IdleBaseline baseline_;
  ThermalPressure thermal_;
  AlertEngine alerts_;
  std::chrono::nanoseconds awake_{0};  // by the last tick
};

}  // namespace idlewatt
