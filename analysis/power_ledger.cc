#include "analysis/power_ledger.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

bool IsFresh(const SnapshotValue& value, const Snapshot& snapshot) {
  return value.time.boot == snapshot.time.boot;
}

bool IsRaplPackage(const DomainEnergy& d) {
  return d.source == "rapl" && d.domain.starts_with("package");
}
bool IsApuPackage(const DomainEnergy& d) {
  return d.source == "drm" && d.domain.ends_with("-package");
}
bool IsDram(const DomainEnergy& d) { return d.source == "rapl" && d.domain.starts_with("dram"); }
// "gpu0", not "gpu0-package" nor a part of one.
bool IsCard(const DomainEnergy& d) {
  if ((d.source != "nvml" && d.source != "drm") || !d.domain.starts_with("gpu")) return false;
  return std::all_of(d.domain.begin() + 3, d.domain.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}
bool IsModel(const DomainEnergy& d) { return d.source == "model"; }

DomainEnergy* FindDomain(std::span<DomainEnergy> domains, std::string_view source,
                         std::string_view domain) {
  for (DomainEnergy& d : domains) {
    if (d.source == source && d.domain == domain) return &d;
  }
  return nullptr;
}

// The meter of the whole machine; null when there is none. The platform (psys) is what a board
// connects to it, often little or nothing sensible: it only stands in for packages.
DomainEnergy* WholeOf(std::span<DomainEnergy> domains, bool has_packages) {
  DomainEnergy* whole = FindDomain(domains, "hwmon", "system");
  if (whole == nullptr) whole = FindDomain(domains, "battery", "system");
  if (whole == nullptr && !has_packages) whole = FindDomain(domains, "rapl", "psys");
  return whole;
}

void AssignCpu(std::span<DomainEnergy> domains) {
  using Is = bool (*)(const DomainEnergy&);
  for (const Is is_package : {&IsRaplPackage, &IsApuPackage}) {
    if (std::none_of(domains.begin(), domains.end(), is_package)) continue;
    for (DomainEnergy& d : domains) {
      if (is_package(d)) d.role = DomainRole::kCpu;
    }
    if (DomainEnergy* whole = WholeOf(domains, true)) {
      whole->role = DomainRole::kWhole;
      whole->holds_gpus = true;
    }
    return;
  }
  if (DomainEnergy* whole = WholeOf(domains, false)) {
    whole->role = DomainRole::kCpu;
    whole->holds_gpus = true;
    return;
  }
  for (DomainEnergy& d : domains) {
    if (IsModel(d)) d.role = DomainRole::kCpu;
  }
}

bool IsMachineMeasured(std::span<DomainEnergy> domains) {
  AssignRoles(domains);
  return std::any_of(domains.begin(), domains.end(),
                     [](const DomainEnergy& d) { return d.role == DomainRole::kCpu; });
}

}  // namespace

std::optional<double> BusyShare(const Snapshot& snapshot) {
  const std::optional<HostTime> used = HostTimeUsed(snapshot);
  if (!used || used->all <= 0) return std::nullopt;
  return used->busy / used->all;
}

void AssignRoles(std::span<DomainEnergy> domains) {
  for (DomainEnergy& d : domains) {
    d.role = DomainRole::kNone;
    d.holds_gpus = false;
  }
  AssignCpu(domains);
  const bool on_packages = std::any_of(domains.begin(), domains.end(), [](const DomainEnergy& d) {
    return d.role == DomainRole::kCpu && (IsRaplPackage(d) || IsApuPackage(d));
  });
  for (auto d = domains.begin(); d != domains.end(); ++d) {
    // Memory is part of a whole machine that is measured as one.
    if (IsDram(*d) && on_packages) d->role = DomainRole::kDram;
    if (!IsCard(*d)) continue;
    const bool again = std::any_of(domains.begin(), d, [&](const DomainEnergy& other) {
      return other.role == DomainRole::kGpu && other.domain == d->domain;
    });
    if (!again) d->role = DomainRole::kGpu;
  }
}

std::optional<MachinePower> CurrentMachinePower(const Snapshot& snapshot) {
  std::vector<DomainEnergy> domains;
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    // Watts in the place of joules: which domains count is the same question.
    domains.push_back({value.series->labels[0], value.series->labels[1], value.value});
  }
  AssignRoles(domains);
  MachinePower power;
  const DomainEnergy* whole = nullptr;
  for (const DomainEnergy& d : domains) {
    if (d.holds_gpus) whole = &d;
    if (d.role == DomainRole::kNone || d.holds_gpus) continue;
    if (power.source.empty() || d.role == DomainRole::kCpu) power.source = d.source;
    power.watts += d.joules;
  }
  if (whole != nullptr && whole->joules >= power.watts)
    return MachinePower{whole->joules, std::string(whole->source)};
  if (power.source.empty()) return std::nullopt;
  return power;
}

std::span<const DomainEnergy> PowerLedger::Update(const Snapshot& snapshot, Readings& out) {
  awake_.Update(snapshot);
  NoteWhatSourcesGive(snapshot);
  used_.clear();
  FromEnergy(snapshot, out);
  FromWatts(snapshot, out);
  FromModel(snapshot, out);
  AssignRoles(used_);
  return used_;
}

PowerLedger::Domains::value_type& PowerLedger::DomainOf(KeyView key) {
  auto it = domains_.find(key);
  if (it == domains_.end()) {
    it = domains_.emplace(Key(key), Domain()).first;
    it->second.number = domains_.size() - 1;
  }
  return *it;
}

PowerLedger::Domains::value_type& PowerLedger::DomainOf(const SnapshotValue& value) {
  return DomainOf(KeyView(value.series->labels[0], value.series->labels[1]));
}

void PowerLedger::AddWatts(Domains::value_type& item, double watts, BootTime now, Readings& out) {
  auto& [key, domain] = item;
  out.Add(domain.watts_series, now, metrics::kPowerWatts, {key.first, key.second}, watts);
  domain.watts_made = now;
}

void PowerLedger::AddEnergy(Domains::value_type& item, BootTime now, Readings& out) {
  auto& [key, domain] = item;
  out.Add(domain.energy_series, now, metrics::kEnergyJoules, {key.first, key.second},
          domain.joules);
  domain.energy_made = now;
}

void PowerLedger::NoteWhatSourcesGive(const Snapshot& snapshot) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    Domain& domain = DomainOf(value).second;
    if (domain.watts_made != value.time.boot) domain.gives_watts = true;
  }
  for (const SnapshotValue& value : snapshot.Family(metrics::kEnergyJoules)) {
    Domain& domain = DomainOf(value).second;
    if (domain.energy_made != value.time.boot) domain.gives_energy = true;
  }
}

DomainEnergy PowerLedger::Row(const SnapshotValue& value, Domains::value_type& item,
                              const Snapshot& snapshot) const {
  auto& [key, domain] = item;
  DomainEnergy row{key.first, key.second};
  row.number = domain.number;
  row.fresh = IsFresh(value, snapshot);
  if (!row.fresh) return row;
  const auto slept = awake_.Slept() - std::exchange(domain.slept, awake_.Slept());
  if (value.previous) {
    row.seconds = std::max(0.0, ToSeconds(value.read - value.previous->read - slept));
    row.slept = slept.count() > 0;
  }
  return row;
}

void PowerLedger::FromEnergy(const Snapshot& snapshot, Readings& out) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kEnergyJoules)) {
    auto& item = DomainOf(value);
    Domain& domain = item.second;
    if (domain.energy_made == value.time.boot) continue;
    DomainEnergy row = Row(value, item, snapshot);
    if (row.fresh) {
      // Between a sum of ours and a counter of the source lies no energy.
      const bool joins = value.previous && domain.energy_made == value.previous->boot;
      const std::optional<double> joules = joins ? std::nullopt : value.Increase();
      if (!joules) row.seconds = 0;
      row.joules = joules.value_or(0);
      domain.watts.reset();
      // Some counters run on while the machine sleeps: over the seconds awake that is no power.
      if (row.seconds > 0 && !row.slept) domain.watts = row.joules / row.seconds;
    }
    if (domain.watts && !domain.gives_watts) AddWatts(item, *domain.watts, snapshot.time.boot, out);
    used_.push_back(row);
  }
}

void PowerLedger::FromWatts(const Snapshot& snapshot, Readings& out) {
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    auto& item = DomainOf(value);
    Domain& domain = item.second;
    if (domain.watts_made == value.time.boot || domain.gives_energy) continue;
    DomainEnergy row = Row(value, item, snapshot);
    if (row.seconds > 0) {
      row.joules = std::max(0.0, (value.value + value.previous->value) / 2 * row.seconds);
      domain.joules += row.joules;
    }
    AddEnergy(item, snapshot.time.boot, out);
    used_.push_back(row);
  }
}

void PowerLedger::FromModel(const Snapshot& snapshot, Readings& out) {
  measured_ = IsMachineMeasured(used_);
  if (measured_ || !model_) return;
  auto& item = DomainOf(KeyView("model", "system"));
  auto& [key, domain] = item;
  DomainEnergy row{key.first, key.second};
  row.number = domain.number;
  row.fresh = IsHostFresh(snapshot);
  if (const std::optional<double> busy = BusyShare(snapshot)) {
    const double watts = model_->idle_watts + (model_->max_watts - model_->idle_watts) * *busy;
    row.seconds = ToSeconds(awake_.Step());
    row.joules = watts * row.seconds;
    domain.joules += row.joules;
    AddWatts(item, watts, snapshot.time.boot, out);
  }
  AddEnergy(item, snapshot.time.boot, out);
  used_.push_back(row);
}

std::optional<SourceStatus> PowerLedger::Source() const {
  if (measured_) return std::nullopt;
  SourceStatus source{"model", "estimated power of the machine", {}, {}};
  if (model_) {
    source.gives += ", from CPU use";
  } else {
    source.error =
        Error{ErrorCode::kNoData, "model", 0, "nothing measures power, and no model is set"};
    source.remedy = "set idle_watts and max_watts in [collector.power.model]";
  }
  return source;
}

}  // namespace idlewatt
