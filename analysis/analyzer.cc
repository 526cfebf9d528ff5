#include "analysis/analyzer.h"

#include <array>
#include <utility>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array kMetrics{&metrics::kPowerWatts,
                              &metrics::kEnergyJoules,
                              &metrics::kServiceEnergyJoules,
                              &metrics::kServicePowerWatts,
                              &metrics::kHostFloorJoules,
                              &metrics::kHostFloorWatts,
                              &metrics::kUnattributedJoules,
                              &metrics::kHostPowerWatts,
                              &metrics::kHostComputeWatts,
                              &metrics::kHostEnergyJoules,
                              &metrics::kServiceIdle,
                              &metrics::kServiceIdleSeconds,
                              &metrics::kServiceLastActivity,
                              &metrics::kServiceActivitySource,
                              &metrics::kServiceActivitySeconds,
                              &metrics::kHostIdle,
                              &metrics::kHostActivitySeconds,
                              &metrics::kBaselineIdleWatts,
                              &metrics::kThermalPressure,
                              &metrics::kAlertState};

}  // namespace

const SamplerInfo& Analyzer::Info() {
  static constexpr SamplerInfo kInfo{"analysis", "What is derived from the samples of a tick",
                                     false, kMetrics};
  return kInfo;
}

Analyzer::Analyzer(AnalysisOptions options)
    : power_(options.attribution.model),
      attribution_(std::move(options.attribution)),
      idle_(std::move(options.idle)),
      alerts_(std::move(options.alerts)) {}

void Analyzer::Remember(AnalysisPast past) {
  idle_.Remember(std::move(past.services));
  trends_.Remember(std::move(past.memory), std::move(past.restarts));
  attribution_.Remember(std::move(past.floor_watts));
  sensors_.Remember(std::move(past.sources));
  alerts_.Remember(std::move(past.firing));
  baseline_.Set(std::move(past.baseline));
}

void Analyzer::Analyze(const Snapshot& snapshot, Readings& out) {
  const BootTime now = snapshot.time.boot;
  const std::span<const DomainEnergy> domains = power_.Update(snapshot, out);
  services_.Update(snapshot);
  // Energy of this tick was used in the state that the tick before found.
  attribution_.Update(snapshot, domains, services_, idle_, out);
  const bool was_idle = idle_.IsHostIdle();
  idle_.Update(snapshot, services_, power_.awake(), out);
  intervals_.Update(snapshot, services_, idle_, attribution_, power_.awake());
  UpdateBaseline(now, was_idle && idle_.IsHostIdle());
  baseline_.Publish(now, out);
  trends_.Update(services_, snapshot.time);
  sensors_.Update(snapshot);
  thermal_.Update(snapshot, out);
  alerts_.Update({snapshot, services_, idle_, attribution_, trends_, thermal_, sensors_, baseline_},
                 out);
}

std::vector<SourceStatus> Analyzer::Sources() const {
  std::vector<SourceStatus> sources;
  if (std::optional<SourceStatus> model = power_.Source()) sources.push_back(std::move(*model));
  sources.push_back(thermal_.Source());
  for (SourceStatus& source : sources) source.sampler = Info().name;
  return sources;
}

// The power that alerts look at: that of a battery would tell of the screen.
void Analyzer::UpdateBaseline(BootTime now, bool idle) {
  const double seconds =
      ToSeconds(power_.awake().Now() - std::exchange(awake_, power_.awake().Now()));
  const std::optional<double> watts = attribution_.ComputeWatts();
  baseline_.Update(now, seconds, watts.value_or(0) * seconds, idle && watts);
}

}  // namespace idlewatt
