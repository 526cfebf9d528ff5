#include "analysis/attribution.h"

#include <algorithm>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

// Up to this many CPUs busy, the machine counts as unused. Not a share of all CPUs: on a large
// machine a service that burns half of one must not pass for the floor.
constexpr double kUnusedCpus = 0.1;
// As long as a series is kept after its service is gone.
constexpr std::chrono::hours kForgetAfter{1};

size_t ComponentOf(const PowerLedger::DomainEnergy& domain) {
  return domain.source == "rapl" && domain.domain.starts_with("dram") ? 1 : 0;
}

}  // namespace

void FloorEstimator::Observe(BootTime now, double watts, double busy_cpus) {
  constexpr auto kSpan = static_cast<int64_t>(kBuckets);
  const int64_t minute = std::chrono::floor<std::chrono::minutes>(now.time_since_epoch()).count();
  if (minute_ < 0 || minute - minute_ >= kSpan) {
    lowest_.fill(kNone);
    minute_ = minute;
  }
  while (minute_ < minute) lowest_[static_cast<size_t>(++minute_) % kBuckets] = kNone;
  if (busy_cpus > kUnusedCpus || watts <= 0) return;
  double& lowest = lowest_[static_cast<size_t>(minute_) % kBuckets];
  lowest = std::min(lowest, watts);
}

std::optional<double> FloorEstimator::Watts() const {
  if (minute_ < 0) return std::nullopt;
  const double lowest = *std::min_element(lowest_.begin(), lowest_.end());
  if (lowest == kNone) return std::nullopt;
  return lowest;
}

std::optional<MachinePower> CurrentMachinePower(const Snapshot& snapshot) {
  std::vector<PowerLedger::DomainEnergy> domains;
  for (const SnapshotValue& value : snapshot.Family(metrics::kPowerWatts)) {
    // Watts in the place of joules: which domains count is the same question.
    domains.push_back({value.series->labels[0], value.series->labels[1], value.value});
  }
  const std::vector<PowerLedger::DomainEnergy> machine = DistinctDomains(domains);
  if (machine.empty()) return std::nullopt;
  MachinePower power{0, machine.front().source};
  for (const PowerLedger::DomainEnergy& domain : machine) power.watts += domain.joules;
  return power;
}

void Attribution::Update(const Snapshot& snapshot, const std::vector<Domain>& domains,
                         const IdleTracker& idle, Readings& out) {
  const BootTime now = snapshot.time.boot;
  CountCpu(snapshot);
  const std::vector<Domain> machine = DistinctDomains(domains);
  const auto is_fresh = [](const Domain& domain) { return domain.fresh; };
  // Without a meter too: CPU time of before its first reading is no key to what it then measures.
  if (machine.empty() || std::any_of(machine.begin(), machine.end(), is_fresh)) {
    Step(machine, idle, now);
  }
  ForgetGone(now);
  Publish(now, out);
}

void Attribution::CountCpu(const Snapshot& snapshot) {
  const BootTime now = snapshot.time.boot;
  if (IsHostFresh(snapshot)) {
    const HostTime used = HostTimeUsed(snapshot).value_or(HostTime{});
    host_.busy += used.busy;
    host_.all += used.all;
  }
  auto it = services_.end();
  for (const SnapshotValue& value : snapshot.Family(metrics::kServiceCpuSeconds)) {
    const std::string& name = value.series->labels[0];
    if (it == services_.end() || it->first != name) it = services_.try_emplace(name).first;
    it->second.seen = now;
    // At its first sight, and after a gap, a counter holds a past that was never shared.
    if (value.time.boot == now) it->second.cpu += value.Increase().value_or(0);
  }
}

void Attribution::Step(const std::vector<Domain>& machine, const IdleTracker& idle, BootTime now) {
  for (auto& [name, service] : services_) {
    for (Energy& energy : service.energy) energy.watts.reset();
  }
  for (const Domain& domain : machine) {
    if (domain.seconds > 0) Distribute(domain, idle, now);
  }
  for (auto& [name, service] : services_) service.cpu = 0;
  host_ = {};
}

double Attribution::FloorJoules(const Domain& domain, bool nothing_ran, BootTime now) {
  if (domain.source == "model") {
    return std::clamp((model_ ? model_->idle_watts : 0) * domain.seconds, 0.0, domain.joules);
  }
  FloorEstimator& floor = floors_[{domain.source, domain.domain}];
  // Unknown counts as busy. The average over a sleep is not what the machine draws awake.
  const bool known = host_.all > 0 && !domain.slept;
  const double busy_cpus =
      known ? host_.busy / domain.seconds : std::numeric_limits<double>::infinity();
  floor.Observe(now, domain.joules / domain.seconds, busy_cpus);
  if (nothing_ran) return domain.joules;
  return std::clamp(floor.Watts().value_or(0) * domain.seconds, 0.0, domain.joules);
}

void Attribution::Distribute(const Domain& domain, const IdleTracker& idle, BootTime now) {
  double known_seconds = 0;
  for (const auto& [name, service] : services_) {
    if (service.seen == now) known_seconds += service.cpu;
  }
  // Ticks are coarse: the services together may show more than the host.
  const double all_seconds = std::max(host_.busy, known_seconds);
  const double floor = FloorJoules(domain, host_.all > 0 && all_seconds <= 0, now);
  const double dynamic = domain.joules - floor;
  Rest& rest = rests_[domain.domain];
  rest.floor_joules += floor;
  rest.unattributed_joules +=
      all_seconds > 0 ? dynamic * (1 - known_seconds / all_seconds) : dynamic;
  for (auto& [name, service] : services_) {
    if (service.seen != now) continue;
    const double joules = all_seconds > 0 ? dynamic * service.cpu / all_seconds : 0;
    Energy& energy = service.energy[ComponentOf(domain)];
    energy.known = true;
    (idle.IsIdle(name) ? energy.idle : energy.active) += joules;
    energy.watts = energy.watts.value_or(0) + joules / domain.seconds;
  }
}

void Attribution::ForgetGone(BootTime now) {
  std::erase_if(services_,
                [&](const auto& item) { return item.second.seen + kForgetAfter <= now; });
}

void Attribution::Publish(BootTime now, Readings& out) const {
  for (const auto& [name, service] : services_) {
    if (service.seen != now) continue;
    for (size_t i = 0; i < kComponents; ++i) {
      const Energy& energy = service.energy[i];
      if (!energy.known) continue;
      const std::string_view component = kComponentNames[i];
      out.Add(metrics::kServiceEnergyJoules, {name, component, "active"}, energy.active);
      out.Add(metrics::kServiceEnergyJoules, {name, component, "idle"}, energy.idle);
      if (energy.watts) out.Add(metrics::kServicePowerWatts, {name, component}, *energy.watts);
    }
  }
  for (const auto& [domain, rest] : rests_) {
    out.Add(metrics::kHostFloorJoules, {domain}, rest.floor_joules);
    out.Add(metrics::kUnattributedJoules, {domain}, rest.unattributed_joules);
  }
}

}  // namespace idlewatt
