#include "analysis/analyzer.h"

#include <array>
#include <utility>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 11> kMetrics{
    &metrics::kPowerWatts,        &metrics::kEnergyJoules,       &metrics::kServiceEnergyJoules,
    &metrics::kServicePowerWatts, &metrics::kHostFloorJoules,    &metrics::kUnattributedJoules,
    &metrics::kServiceIdle,       &metrics::kServiceIdleSeconds, &metrics::kServiceLastActivity,
    &metrics::kThermalPressure,   &metrics::kAlertState};

}  // namespace

const SamplerInfo& Analyzer::Info() {
  static constexpr SamplerInfo kInfo{"analysis", "What is derived from the samples of a tick",
                                     false, kMetrics};
  return kInfo;
}

Analyzer::Analyzer(AnalysisOptions options)
    : power_(options.power_model),
      attribution_(options.power_model),
      idle_(std::move(options.idle)),
      alerts_(std::move(options.alerts)) {}

void Analyzer::Analyze(const Snapshot& snapshot, Readings& out) {
  const std::vector<PowerLedger::DomainEnergy> domains = power_.Update(snapshot, out);
  // Energy of this tick was used in the state that the tick before found.
  attribution_.Update(snapshot, domains, idle_, out);
  idle_.Update(snapshot, out);
  thermal_.Update(snapshot, out);
  alerts_.Update(snapshot, idle_, out);
}

}  // namespace idlewatt
