#include "analysis/power_ledger.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

using DomainEnergy = PowerLedger::DomainEnergy;

bool IsFresh(const SnapshotValue& value, const Snapshot& snapshot) {
  return value.time.boot == snapshot.time.boot;
}

template <typename Matches>
std::vector<DomainEnergy> Pick(const std::vector<DomainEnergy>& domains, Matches matches) {
  std::vector<DomainEnergy> picked;
  std::copy_if(domains.begin(), domains.end(), std::back_inserter(picked), matches);
  return picked;
}

bool IsPackage(const DomainEnergy& d) {
  return d.source == "rapl" && d.domain.starts_with("package");
}

bool IsDram(const DomainEnergy& d) { return d.source == "rapl" && d.domain.starts_with("dram"); }

}  // namespace

std::optional<double> BusyShare(const Snapshot& snapshot) {
  const std::optional<HostTime> used = HostTimeUsed(snapshot);
  if (!used || used->all <= 0) return std::nullopt;
  return used->busy / used->all;
}

std::vector<DomainEnergy> DistinctDomains(const std::vector<DomainEnergy>& domains) {
  if (std::any_of(domains.begin(), domains.end(), IsPackage)) {
    return Pick(domains, [](const DomainEnergy& d) { return IsPackage(d) || IsDram(d); });
  }
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kWholeMachines{
      {{"rapl", "psys"}, {"hwmon", "system"}, {"battery", "system"}, {"model", "system"}}};
  for (const auto& machine : kWholeMachines) {
    auto picked = Pick(domains, [&](const DomainEnergy& d) {
      return d.source == machine.first && d.domain == machine.second;
    });
    if (!picked.empty()) return picked;
  }
  return {};
}

std::vector<DomainEnergy> PowerLedger::Update(const Snapshot& snapshot, Readings& out) {
  awake_.Update(snapshot);
  NoteWhatSourcesGive(snapshot);
  std::vector<DomainEnergy> used;
  FromEnergy(snapshot, out, used);
  FromWatts(snapshot, out, used);
  FromModel(snapshot, out, used);
  return used;
}

PowerLedger::Domain& PowerLedger::DomainOf(const SnapshotValue& value) {
  const auto& labels = value.series->labels;
  const auto it = domains_.find(KeyView(labels[0], labels[1]));
  return it != domains_.end() ? it->second : domains_[{labels[0], labels[1]}];
}

void PowerLedger::NoteWhatSourcesGive(const Snapshot& snapshot) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    Domain& domain = DomainOf(value);
    if (domain.watts_made != value.time.boot) domain.gives_watts = true;
  }
  for (const SnapshotValue& value : snapshot.Family(metrics::kEnergyJoules)) {
    Domain& domain = DomainOf(value);
    if (domain.energy_made != value.time.boot) domain.gives_energy = true;
  }
}

DomainEnergy PowerLedger::Row(const SnapshotValue& value, Domain& domain,
                              const Snapshot& snapshot) const {
  const auto& labels = value.series->labels;
  DomainEnergy row{labels[0], labels[1]};
  row.fresh = IsFresh(value, snapshot);
  if (!row.fresh) return row;
  const auto awake_before = std::exchange(domain.awake, awake_.Now());
  const auto slept_before = std::exchange(domain.slept, awake_.Slept());
  if (value.previous) {
    row.seconds = ToSeconds(domain.awake - awake_before);
    row.slept = domain.slept != slept_before;
  }
  return row;
}

void PowerLedger::FromEnergy(const Snapshot& snapshot, Readings& out,
                             std::vector<DomainEnergy>& used) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kEnergyJoules)) {
    Domain& domain = DomainOf(value);
    if (domain.energy_made == value.time.boot) continue;
    DomainEnergy row = Row(value, domain, snapshot);
    if (row.fresh) {
      // Between a sum of ours and a counter of the source lies no energy.
      const bool joins = value.previous && domain.energy_made == value.previous->boot;
      const std::optional<double> joules = joins ? std::nullopt : value.Increase();
      if (!joules) row.seconds = 0;
      row.joules = joules.value_or(0);
      domain.watts.reset();
      if (row.seconds > 0) domain.watts = row.joules / row.seconds;
    }
    if (domain.watts && !domain.gives_watts) {
      out.Add(metrics::kPowerWatts, {row.source, row.domain}, *domain.watts);
      domain.watts_made = snapshot.time.boot;
    }
    used.push_back(std::move(row));
  }
}

void PowerLedger::FromWatts(const Snapshot& snapshot, Readings& out,
                            std::vector<DomainEnergy>& used) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    Domain& domain = DomainOf(value);
    if (domain.watts_made == value.time.boot || domain.gives_energy) continue;
    DomainEnergy row = Row(value, domain, snapshot);
    if (row.seconds > 0) {
      row.joules = std::max(0.0, (value.value + value.previous->value) / 2 * row.seconds);
      domain.joules += row.joules;
    }
    out.Add(metrics::kEnergyJoules, {row.source, row.domain}, domain.joules);
    domain.energy_made = snapshot.time.boot;
    used.push_back(std::move(row));
  }
}

void PowerLedger::FromModel(const Snapshot& snapshot, Readings& out,
                            std::vector<DomainEnergy>& used) {
  if (!DistinctDomains(used).empty()) return;
  if (!model_) {
    out.AddRefused(
        "model", "estimated power of the machine",
        Error{ErrorCode::kNoData, "model", 0, "nothing measures power, and no model is set"},
        "set idle_watts and max_watts in [collector.power.model]");
    return;
  }
  out.AddSource("model", "estimated power of the machine, from CPU use");
  Domain& domain = domains_[{"model", "system"}];
  DomainEnergy row{"model", "system"};
  row.fresh = IsHostFresh(snapshot);
  if (const std::optional<double> busy = BusyShare(snapshot)) {
    const double watts = model_->idle_watts + (model_->max_watts - model_->idle_watts) * *busy;
    row.seconds = ToSeconds(awake_.Step());
    row.joules = watts * row.seconds;
    domain.joules += row.joules;
    out.Add(metrics::kPowerWatts, {row.source, row.domain}, watts);
    domain.watts_made = snapshot.time.boot;
  }
  out.Add(metrics::kEnergyJoules, {row.source, row.domain}, domain.joules);
  domain.energy_made = snapshot.time.boot;
  used.push_back(std::move(row));
}

}  // namespace idlewatt
