#include "analysis/power_ledger.h"

#include "collector/metrics.h"

namespace idlewatt {
namespace {

struct HostTime {
  double busy = 0;
  double all = 0;
};

// Nothing at the first reading of the host.
std::optional<HostTime> HostTimeUsed(const Snapshot& snapshot) {
  HostTime used;
  bool any = false;
  for (const SnapshotValue& value : snapshot.Family(metrics::kHostCpuSeconds)) {
    const std::optional<double> seconds = value.Increase();
    if (!seconds) continue;
    any = true;
    used.all += *seconds;
    const std::string_view mode = value.series->Label("mode");
    if (mode != "idle" && mode != "iowait") used.busy += *seconds;
  }
  if (!any) return std::nullopt;
  return used;
}

bool IsFresh(const SnapshotValue& value, const Snapshot& snapshot) {
  return value.time.boot == snapshot.time.boot;
}

// Does this series measure the power of the machine, and not of a device in it?
bool IsMeter(const SnapshotValue& value) {
  const std::string_view source = value.series->Label("source");
  const std::string_view domain = value.series->Label("domain");
  return source == "rapl" || ((source == "battery" || source == "hwmon") && domain == "system");
}

}  // namespace

std::optional<double> BusyShare(const Snapshot& snapshot) {
  const std::optional<HostTime> used = HostTimeUsed(snapshot);
  if (!used || used->all <= 0) return std::nullopt;
  return used->busy / used->all;
}

std::optional<double> BusySeconds(const Snapshot& snapshot) {
  const std::optional<HostTime> used = HostTimeUsed(snapshot);
  if (!used) return std::nullopt;
  return used->busy;
}

std::vector<PowerLedger::DomainEnergy> PowerLedger::Update(const Snapshot& snapshot,
                                                           Readings& out) {
  std::vector<DomainEnergy> used;
  FromEnergy(snapshot, out, used);
  FromWatts(snapshot, out, used);
  FromModel(snapshot, out, used);
  return used;
}

void PowerLedger::FromEnergy(const Snapshot& snapshot, Readings& out,
                             std::vector<DomainEnergy>& used) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kEnergyJoules)) {
    const auto& labels = value.series->labels;
    Domain& domain = domains_[{labels[0], labels[1]}];
    if (domain.energy_is_ours) continue;
    const std::optional<double> joules = value.Increase();
    if (!joules) continue;
    if (IsFresh(value, snapshot)) {
      used.push_back(
          {labels[0], labels[1], *joules, ToSeconds(value.time.boot - value.previous->boot)});
    }
    const SnapshotValue* watts = snapshot.Find(metrics::kPowerWatts, {labels[0], labels[1]});
    if (watts != nullptr && !domain.watts_are_ours) continue;
    domain.watts_are_ours = true;
    out.Add(metrics::kPowerWatts, {labels[0], labels[1]}, *value.Rate());
  }
}

void PowerLedger::FromWatts(const Snapshot& snapshot, Readings& out,
                            std::vector<DomainEnergy>& used) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    const auto& labels = value.series->labels;
    Domain& domain = domains_[{labels[0], labels[1]}];
    if (domain.watts_are_ours) continue;
    if (!domain.energy_is_ours) {
      if (snapshot.Find(metrics::kEnergyJoules, {labels[0], labels[1]}) != nullptr) continue;
      domain.energy_is_ours = true;
    }
    if (IsFresh(value, snapshot) && value.previous) {
      const double seconds = ToSeconds(value.time.boot - value.previous->boot);
      const double joules = (value.value + value.previous->value) / 2 * seconds;
      domain.joules += joules;
      used.push_back({labels[0], labels[1], joules, seconds});
    }
    out.Add(metrics::kEnergyJoules, {labels[0], labels[1]}, domain.joules);
  }
}

void PowerLedger::FromModel(const Snapshot& snapshot, Readings& out,
                            std::vector<DomainEnergy>& used) {
  if (IsMetered(snapshot)) return;
  if (!model_) {
    out.AddRefused(
        "model", "estimated power of the machine",
        Error{ErrorCode::kNoData, "model", 0, "nothing measures power, and no model is set"},
        "set idle_watts and max_watts in [collector.power.model]");
    return;
  }
  out.AddSource("model", "estimated power of the machine, from CPU use");
  Domain& domain = domains_[{"model", "system"}];
  domain.watts_are_ours = domain.energy_is_ours = true;
  const auto host = snapshot.Family(metrics::kHostCpuSeconds);
  const std::optional<double> busy = BusyShare(snapshot);
  if (busy && !host.empty()) {
    const double watts = model_->idle_watts + (model_->max_watts - model_->idle_watts) * *busy;
    if (IsFresh(host[0], snapshot) && host[0].previous) {
      const double seconds = ToSeconds(host[0].time.boot - host[0].previous->boot);
      domain.joules += watts * seconds;
      used.push_back({"model", "system", watts * seconds, seconds});
    }
    out.Add(metrics::kPowerWatts, {"model", "system"}, watts);
  }
  out.Add(metrics::kEnergyJoules, {"model", "system"}, domain.joules);
}

bool PowerLedger::IsMetered(const Snapshot& snapshot) const {
  for (const Metric* metric : {&metrics::kPowerWatts, &metrics::kEnergyJoules}) {
    for (const SnapshotValue& value : snapshot.Family(*metric)) {
      // An energy counter summed from watts stays when its meter is gone for a while.
      const auto& labels = value.series->labels;
      const auto domain = domains_.find({labels[0], labels[1]});
      const bool derived = domain != domains_.end() &&
                           (metric == &metrics::kPowerWatts ? domain->second.watts_are_ours
                                                            : domain->second.energy_is_ours);
      if (!derived && IsMeter(value)) return true;
    }
  }
  return false;
}

}  // namespace idlewatt
