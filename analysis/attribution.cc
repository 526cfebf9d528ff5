#include "analysis/attribution.h"

#include <algorithm>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

// Up to this share of the CPUs busy, the machine counts as unused.
constexpr double kUnusedShare = 0.1;
constexpr std::chrono::hours kForgetAfter{1};

std::string ComponentOf(const PowerLedger::DomainEnergy& domain) {
  return domain.source == "rapl" && domain.domain.starts_with("dram") ? "dram" : "cpu";
}

bool IsPackage(const PowerLedger::DomainEnergy& d) {
  return d.source == "rapl" && (d.domain.starts_with("package") || d.domain.starts_with("dram"));
}

// Busy and all CPU seconds of the host since boot.
std::pair<double, double> HostSeconds(const Snapshot& snapshot) {
  double busy = 0;
  double all = 0;
  for (const SnapshotValue& value : snapshot.Family(metrics::kHostCpuSeconds)) {
    const std::string_view mode = value.series->Label("mode");
    all += value.value;
    if (mode != "idle" && mode != "iowait") busy += value.value;
  }
  return {busy, all};
}

}  // namespace

void FloorEstimator::Observe(BootTime now, double watts, double busy_share) {
  const int64_t minute = std::chrono::floor<std::chrono::minutes>(now.time_since_epoch()).count();
  if (minute_ < 0 || minute - minute_ >= static_cast<int64_t>(kBuckets)) lowest_.fill(kNone);
  for (int64_t m = std::max(minute_, minute - static_cast<int64_t>(kBuckets)) + 1; m <= minute;
       ++m) {
    lowest_[static_cast<size_t>(m) % kBuckets] = kNone;
  }
  minute_ = std::max(minute_, minute);
  if (busy_share > kUnusedShare) return;
  double& lowest = lowest_[static_cast<size_t>(minute_) % kBuckets];
  lowest = std::min(lowest, watts);
}

std::optional<double> FloorEstimator::Watts() const {
  if (minute_ < 0) return std::nullopt;
  const double lowest = *std::min_element(lowest_.begin(), lowest_.end());
  if (lowest == kNone) return std::nullopt;
  return lowest;
}

std::vector<PowerLedger::DomainEnergy> DistinctDomains(
    const std::vector<PowerLedger::DomainEnergy>& used) {
  const auto pick = [&](auto matches) {
    std::vector<PowerLedger::DomainEnergy> picked;
    std::copy_if(used.begin(), used.end(), std::back_inserter(picked), matches);
    return picked;
  };
  using Domain = PowerLedger::DomainEnergy;
  if (auto picked = pick(IsPackage); !picked.empty()) return picked;
  for (const auto& [source, name] :
       {std::pair("rapl", "psys"), std::pair("hwmon", "system"), std::pair("battery", "system"),
        std::pair("model", "system")}) {
    auto picked = pick([&](const Domain& d) { return d.source == source && d.domain == name; });
    if (!picked.empty()) return picked;
  }
  return {};
}

std::optional<MachinePower> CurrentMachinePower(const Snapshot& snapshot) {
  std::vector<PowerLedger::DomainEnergy> domains;
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts.name)) {
    // Watts in the place of joules: which domains count is the same question.
    domains.push_back({value.series->labels[0], value.series->labels[1], value.value, 1});
  }
  const std::vector<PowerLedger::DomainEnergy> machine = DistinctDomains(domains);
  if (machine.empty()) return std::nullopt;
  MachinePower power{0, machine.front().source};
  for (const PowerLedger::DomainEnergy& domain : machine) power.watts += domain.joules;
  return power;
}

void Attribution::Update(const Snapshot& snapshot,
                         const std::vector<PowerLedger::DomainEnergy>& used,
                         const std::map<std::string, bool>& idle, Readings& out) {
  const std::vector<PowerLedger::DomainEnergy> domains = DistinctDomains(used);
  // The first tick takes only the baseline, also when no domain is known yet.
  if (!domains.empty() || last_busy_ < 0) {
    const auto [busy, all] = HostSeconds(snapshot);
    const bool first = last_busy_ < 0;
    const double busy_seconds = first ? 0 : std::max(0.0, busy - last_busy_);
    const double all_seconds = first ? 0 : std::max(0.0, all - last_all_);
    const double share = all_seconds > 0 ? std::min(1.0, busy_seconds / all_seconds) : 1;
    last_busy_ = busy;
    last_all_ = all;
    const Shares shares = TakeCpuShares(snapshot);
    for (auto& [key, energy] : services_) energy.watts = 0;
    for (const PowerLedger::DomainEnergy& domain : domains) {
      Distribute(domain, shares, busy_seconds, share, idle, snapshot.time.boot);
    }
    std::erase_if(services_, [&](const auto& item) {
      return item.second.last_used + kForgetAfter < snapshot.time.boot &&
             !last_cpu_.contains(item.first.first);
    });
  }
  Publish(out);
}

Attribution::Shares Attribution::TakeCpuShares(const Snapshot& snapshot) {
  std::map<std::string, double> now;
  for (const SnapshotValue& value : snapshot.Family(metrics::kServiceCpuSeconds)) {
    now[value.series->labels[0]] += value.value;
  }
  Shares shares;
  for (const auto& [service, cpu] : now) {
    const auto before = last_cpu_.find(service);
    // At its first sight a service's counter is its whole past.
    shares[service] = before == last_cpu_.end() ? 0 : std::max(0.0, cpu - before->second);
  }
  last_cpu_ = std::move(now);
  return shares;
}

double Attribution::FloorJoules(const PowerLedger::DomainEnergy& domain, Rest& rest, BootTime now,
                                double busy_share) const {
  double watts = 0;
  if (domain.source == "model") {
    watts = model_ ? model_->idle_watts : 0;
  } else {
    if (domain.seconds > 0) rest.floor.Observe(now, domain.joules / domain.seconds, busy_share);
    watts = rest.floor.Watts().value_or(0);
  }
  return std::clamp(watts * domain.seconds, 0.0, domain.joules);
}

void Attribution::Distribute(const PowerLedger::DomainEnergy& domain, const Shares& shares,
                             double busy_seconds, double busy_share,
                             const std::map<std::string, bool>& idle, BootTime now) {
  Rest& rest = domains_[domain.domain];
  double known_seconds = 0;
  for (const auto& [service, seconds] : shares) known_seconds += seconds;
  // Ticks are coarse: the services together may show more than the host.
  const double all_seconds = std::max(busy_seconds, known_seconds);
  const double floor = all_seconds > 0 ? FloorJoules(domain, rest, now, busy_share) : domain.joules;
  rest.floor_joules += floor;
  const double dynamic = domain.joules - floor;
  if (all_seconds <= 0) return;
  const std::string component = ComponentOf(domain);
  for (const auto& [service, seconds] : shares) {
    const double joules = dynamic * seconds / all_seconds;
    Energy& energy = services_[{service, component}];
    const auto is_idle = idle.find(service);
    (is_idle != idle.end() && is_idle->second ? energy.idle : energy.active) += joules;
    if (domain.seconds > 0) energy.watts += joules / domain.seconds;
    energy.last_used = now;
  }
  rest.unattributed_joules += dynamic * (1 - known_seconds / all_seconds);
}

void Attribution::Publish(Readings& out) const {
  for (const auto& [key, energy] : services_) {
    const auto& [service, component] = key;
    if (!last_cpu_.contains(service)) continue;
    out.Add(metrics::kServiceEnergyJoules, {service, component, "active"}, energy.active);
    out.Add(metrics::kServiceEnergyJoules, {service, component, "idle"}, energy.idle);
    out.Add(metrics::kServicePowerWatts, {service, component}, energy.watts);
  }
  for (const auto& [domain, rest] : domains_) {
    out.Add(metrics::kHostFloorJoules, {domain}, rest.floor_joules);
    out.Add(metrics::kUnattributedJoules, {domain}, rest.unattributed_joules);
  }
}

}  // namespace idlewatt
