#include "analysis/attribution.h"

#include <algorithm>
#include <numeric>

#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

// Up to this many CPUs busy, the machine counts as unused. Not a share of all CPUs: on a large
// machine a service that burns half of one must not pass for the floor.
constexpr double kUnusedCpus = 0.1;
// Drivers round the use of a GPU, and a monitor alone makes some.
constexpr double kUnusedGpu = 0.005;

enum Component : size_t { kCpu, kDram, kGpu, kPlatform };

size_t ComponentOf(DomainRole role) {
  switch (role) {
    case DomainRole::kDram:
      return kDram;
    case DomainRole::kGpu:
      return kGpu;
    case DomainRole::kWhole:
      return kPlatform;
    case DomainRole::kCpu:
    case DomainRole::kNone:
      break;
  }
  return kCpu;
}

std::optional<size_t> GpuIndex(const ServiceTable& services, std::string_view gpu) {
  const auto& gpus = services.gpus();
  const auto it = std::find(gpus.begin(), gpus.end(), gpu);
  if (it == gpus.end()) return std::nullopt;
  return static_cast<size_t>(it - gpus.begin());
}

double Sum(const std::array<double, 2>& both) { return both[0] + both[1]; }

void AddTo(std::optional<double>& sum, const std::optional<double>& value) {
  if (value) sum = sum.value_or(0) + *value;
}

}  // namespace

void Attribution::Update(const Snapshot& snapshot, std::span<const DomainEnergy> domains,
                         const ServiceTable& services, const IdleTracker& idle, Readings& out) {
  CountUse(snapshot, services, idle);
  CountParts(domains);
  for (Domain& domain : domains_) domain.there = false;
  for (const DomainEnergy& measured : domains) StepOf(measured, snapshot, services, idle);
  SumWatts(services);
  Publish(services, snapshot.time.boot, out);
}

// Energy of this tick was used in the state that the tick before found.
void Attribution::CountUse(const Snapshot& snapshot, const ServiceTable& services,
                           const IdleTracker& idle) {
  if (IsHostFresh(snapshot)) {
    const HostTime used = HostTimeUsed(snapshot).value_or(HostTime{});
    totals_.host.busy += used.busy;
    totals_.host.all += used.all;
  }
  accounts_.resize(services.size());
  for (const size_t number : services.order()) {
    const ServiceRow& row = services[number];
    Account& account = accounts_[number];
    if (row.is_new) {
      account = Account();
      for (Domain& domain : domains_) {
        if (number < domain.used.size()) domain.used[number] = {};
        if (number < domain.watts.size()) domain.watts[number] = 0;
      }
    }
    account.state = idle.IsIdle(number) ? 1 : 0;
    account.cpu_seconds[account.state] += row.cpu_used;
    account.gpu_seconds.resize(services.gpus().size());
    for (size_t gpu = 0; gpu < row.gpus.size(); ++gpu) {
      account.gpu_seconds[gpu][account.state] += row.gpus[gpu].used_seconds;
    }
  }
}

void Attribution::CountParts(std::span<const DomainEnergy> domains) {
  for (const DomainEnergy& d : domains) {
    if (!d.fresh || d.seconds <= 0 || d.holds_gpus) continue;
    if (d.role == DomainRole::kGpu) totals_.gpu_joules += d.joules;
    if (d.role == DomainRole::kCpu || d.role == DomainRole::kDram) {
      totals_.parts_joules += d.joules;
    }
  }
}

Attribution::Domain& Attribution::DomainOf(const DomainEnergy& measured) {
  if (measured.number >= domains_.size()) domains_.resize(measured.number + 1);
  Domain& domain = domains_[measured.number];
  domain.there = true;
  domain.role = measured.role;
  if (domain.rest == nullptr && measured.role != DomainRole::kNone) {
    domain.rest = &rests_.try_emplace(std::string(measured.domain)).first->second;
  }
  return domain;
}

// What a whole machine used beyond its parts. Parts that are read less often than it come in lumps,
// which are more than it used in its last step; the steps before have shown the rest already.
double Attribution::BeyondParts(Domain& domain, double joules) const {
  const double parts = totals_.parts_joules - domain.totals.parts_joules + totals_.gpu_joules -
                       domain.totals.gpu_joules;
  const double beyond = joules - parts - domain.debt;
  // A meter that always shows less than its parts must not run up a debt for ever.
  domain.debt = std::clamp(-beyond, 0.0, std::max(parts, domain.debt));
  return std::max(0.0, beyond);
}

void Attribution::StepOf(const DomainEnergy& measured, const Snapshot& snapshot,
                         const ServiceTable& services, const IdleTracker& idle) {
  Domain& domain = DomainOf(measured);
  if (!measured.fresh) return;
  domain.all_watts.reset();
  if (measured.role != DomainRole::kNone && measured.seconds > 0) {
    Step step{measured, domain, measured.joules, ComponentOf(measured.role),
              GpuIndex(services, measured.domain)};
    if (measured.holds_gpus) step.joules = BeyondParts(domain, measured.joules);
    domain.watts.assign(services.size(), 0);
    for (const size_t number : services.order()) {
      if (services[number].measured) accounts_[number].energy[step.component].known = true;
    }
    Share(step, snapshot, services);
    machine_joules_[idle.IsHostIdle() ? 1 : 0] += step.joules;
    measured_ = true;
    if (measured.role == DomainRole::kCpu) on_model_ = measured.source == "model";
  }
  Mark(domain, measured, services);
}

void Attribution::Share(Step& step, const Snapshot& snapshot, const ServiceTable& services) {
  if (step.measured.slept) {
    // Nobody can tell what was used asleep, and how much of it.
    step.domain.rest->unattributed_joules += step.joules;
    return;
  }
  if (step.measured.role == DomainRole::kGpu) {
    ShareByGpu(step, snapshot, services);
  } else {
    ShareByCpu(step, services, snapshot.time.boot);
  }
  step.domain.all_watts = step.joules / step.measured.seconds;
}

void Attribution::Mark(Domain& domain, const DomainEnergy& measured, const ServiceTable& services) {
  const auto gpu = GpuIndex(services, measured.domain);
  domain.totals = totals_;
  domain.used.resize(accounts_.size());
  for (size_t number = 0; number < accounts_.size(); ++number) {
    domain.used[number] = UseOf(number, measured, gpu);
  }
}

Attribution::ByState Attribution::UseOf(size_t service, const DomainEnergy& measured,
                                        std::optional<size_t> gpu) const {
  const Account& account = accounts_[service];
  if (measured.role != DomainRole::kGpu) return account.cpu_seconds;
  return gpu && *gpu < account.gpu_seconds.size() ? account.gpu_seconds[*gpu] : ByState{};
}

Attribution::ByState Attribution::UsedIn(const Step& step, size_t service) const {
  const ByState before = service < step.domain.used.size() ? step.domain.used[service] : ByState{};
  const ByState now = UseOf(service, step.measured, step.gpu);
  return {now[0] - before[0], now[1] - before[1]};
}

double Attribution::KnownUse(const Step& step, const ServiceTable& services) const {
  double known = 0;
  for (const size_t number : services.order()) {
    if (services[number].measured) known += Sum(UsedIn(step, number));
  }
  return known;
}

void Attribution::Give(Step& step, size_t service, size_t state, double joules) {
  accounts_[service].energy[step.component].joules[state] += joules;
  step.domain.watts[service] += joules / step.measured.seconds;
}

double Attribution::FloorJoules(Step& step, size_t estimator, bool unused, bool nothing_ran,
                                BootTime now) {
  FloorEstimator& learnt = step.domain.floor[estimator];
  const auto past = past_floors_.find(step.measured.domain);
  if (past != past_floors_.end()) {
    learnt.Observe(now, past->second, true);
    past_floors_.erase(past);
  }
  learnt.Observe(now, step.joules / step.measured.seconds, unused);
  std::optional<double> watts = learnt.Watts();
  if (step.measured.source == "model") {
    watts = options_.model ? std::optional(options_.model->idle_watts) : std::nullopt;
  }
  const auto set = options_.floor_watts.find(step.measured.domain);
  if (set != options_.floor_watts.end()) watts = set->second;
  step.domain.rest->floor_watts = watts;
  if (nothing_ran) return step.joules;
  return std::clamp(watts.value_or(0) * step.measured.seconds, 0.0, step.joules);
}

// Of `all` seconds of use the services show `known`.
void Attribution::ShareByUse(Step& step, double joules, double known, double all,
                             const ServiceTable& services) {
  step.domain.rest->unattributed_joules += all > 0 ? joules * (1 - known / all) : joules;
  if (all <= 0) return;
  for (const size_t number : services.order()) {
    if (!services[number].measured) continue;
    const ByState seconds = UsedIn(step, number);
    for (size_t state = 0; state < kStates; ++state) {
      if (seconds[state] > 0) Give(step, number, state, joules * seconds[state] / all);
    }
  }
}

void Attribution::ShareByCpu(Step& step, const ServiceTable& services, BootTime now) {
  const double known = KnownUse(step, services);
  const double busy = totals_.host.busy - step.domain.totals.host.busy;
  const bool host_known = totals_.host.all > step.domain.totals.host.all;
  // Ticks are coarse: the services together may show more than the host.
  const double all = std::max(busy, known);
  const bool unused = host_known && busy / step.measured.seconds <= kUnusedCpus;
  const double floor = FloorJoules(step, 0, unused, host_known && all <= 0, now);
  ShareByUse(step, step.joules - floor, known, all, services);
  ShareFloor(step, floor, services);
}

void Attribution::ShareFloor(Step& step, double joules, const ServiceTable& services) {
  bool shared = false;
  switch (options_.share_floor) {
    case FloorShare::kHost:
      break;
    case FloorShare::kEqual:
      shared = ShareByWeight(step, joules, services, [&](size_t number) {
        return services[number].configured && services[number].running ? 1.0 : 0.0;
      });
      break;
    case FloorShare::kMemory:
      shared = ShareByWeight(step, joules, services,
                             [&](size_t number) { return services[number].memory_bytes; });
      break;
    case FloorShare::kCpu:
      shared = ShareByWeight(step, joules, services,
                             [&](size_t number) { return Sum(UsedIn(step, number)); });
      break;
  }
  if (!shared) step.domain.rest->floor_joules += joules;
}

// False when nobody has any weight.
template <typename Weight>
bool Attribution::ShareByWeight(Step& step, double joules, const ServiceTable& services,
                                Weight weight) {
  double all = 0;
  for (const size_t number : services.order()) {
    if (services[number].measured) all += weight(number);
  }
  if (all <= 0) return false;
  for (const size_t number : services.order()) {
    if (!services[number].measured) continue;
    const double own = weight(number);
    if (own > 0) Give(step, number, accounts_[number].state, joules * own / all);
  }
  return true;
}

// A loaded model is what keeps a GPU awake while it does nothing: who holds memory bears the floor.
void Attribution::ShareByGpu(Step& step, const Snapshot& snapshot, const ServiceTable& services) {
  const auto memory = [&](size_t number) {
    const auto& gpus = services[number].gpus;
    return step.gpu && *step.gpu < gpus.size() ? gpus[*step.gpu].memory_bytes : 0.0;
  };
  const double known = KnownUse(step, services);
  double held = 0;
  for (const size_t number : services.order()) {
    if (services[number].measured) held += memory(number);
  }
  const SnapshotValue* ratio = snapshot.Find(metrics::kGpuUtilization, {step.measured.domain});
  const double busy = ratio == nullptr ? 0 : ratio->value;
  const bool nothing_ran = known <= 0 && busy <= kUnusedGpu;
  // The services may not show all that ran: processes that nobody may look at.
  const double all = std::max(known, busy * step.measured.seconds);
  const double floor =
      FloorJoules(step, held > 0 ? 1 : 0, nothing_ran, nothing_ran, snapshot.time.boot);
  ShareByUse(step, step.joules - floor, known, all, services);
  if (!ShareByWeight(step, floor, services, memory)) step.domain.rest->floor_joules += floor;
}

void Attribution::SumWatts(const ServiceTable& services) {
  machine_watts_.reset();
  compute_watts_.reset();
  std::array<bool, kComponents> stepped{};
  bool machine_known = true, compute_known = true;  // a part is not the whole
  for (const Domain& domain : domains_) {
    if (!domain.there || domain.role == DomainRole::kNone) continue;
    const bool is_compute = domain.role != DomainRole::kWhole;
    machine_known = machine_known && domain.all_watts;
    compute_known = compute_known && (domain.all_watts || !is_compute);
    if (!domain.all_watts) continue;
    stepped[ComponentOf(domain.role)] = true;
    AddTo(machine_watts_, domain.all_watts);
    if (is_compute) AddTo(compute_watts_, domain.all_watts);
  }
  if (!machine_known) machine_watts_.reset();
  if (!compute_known) compute_watts_.reset();
  for (const size_t number : services.order()) {
    for (size_t c = 0; c < kComponents; ++c) {
      Energy& energy = accounts_[number].energy[c];
      energy.watts.reset();
      if (!stepped[c] || !energy.known || !services[number].measured) continue;
      energy.watts = 0;
      for (const Domain& domain : domains_) {
        const bool counts = domain.there && domain.role != DomainRole::kNone && domain.all_watts &&
                            ComponentOf(domain.role) == c;
        if (counts && number < domain.watts.size()) *energy.watts += domain.watts[number];
      }
    }
  }
}

void Attribution::Publish(const ServiceTable& services, BootTime now, Readings& out) {
  for (const size_t number : services.order()) {
    const ServiceRow& row = services[number];
    if (!row.measured) continue;
    for (size_t c = 0; c < kComponents; ++c) {
      Energy& energy = accounts_[number].energy[c];
      if (!energy.known) continue;
      const std::string_view component = kComponentNames[c];
      for (size_t state = 0; state < kStates; ++state) {
        out.Add(energy.energy_series[state], now, metrics::kServiceEnergyJoules,
                {row.name, component, kStateNames[state]}, energy.joules[state]);
      }
      if (!energy.watts) continue;
      out.Add(energy.power_series, now, metrics::kServicePowerWatts, {row.name, component},
              *energy.watts);
    }
  }
  for (auto& [domain, rest] : rests_) {
    out.Add(rest.floor_series, now, metrics::kHostFloorJoules, {domain}, rest.floor_joules);
    out.Add(rest.unattributed_series, now, metrics::kUnattributedJoules, {domain},
            rest.unattributed_joules);
    if (!rest.floor_watts) continue;
    out.Add(rest.watts_series, now, metrics::kHostFloorWatts, {domain}, *rest.floor_watts);
  }
  if (!measured_) return;
  for (size_t state = 0; state < kStates; ++state) {
    out.Add(machine_energy_series_[state], now, metrics::kHostEnergyJoules, {kStateNames[state]},
            machine_joules_[state]);
  }
  if (machine_watts_) {
    out.Add(machine_power_series_, now, metrics::kHostPowerWatts, {}, *machine_watts_);
  }
  if (compute_watts_) {
    out.Add(compute_power_series_, now, metrics::kHostComputeWatts, {}, *compute_watts_);
  }
}

std::optional<double> Attribution::Joules(size_t service) const {
  std::optional<double> joules;
  for (const Energy& energy : accounts_[service].energy) {
    if (energy.known) joules = joules.value_or(0) + Sum(energy.joules);
  }
  return joules;
}

double Attribution::CpuSeconds(size_t service) const { return Sum(accounts_[service].cpu_seconds); }

std::optional<double> Attribution::Watts(size_t service) const {
  std::optional<double> watts;
  for (const Energy& energy : accounts_[service].energy) AddTo(watts, energy.watts);
  return watts;
}

std::optional<double> Attribution::MachineJoules() const {
  if (!measured_) return std::nullopt;
  return Sum(machine_joules_);
}

std::optional<double> Attribution::ComputeWatts() const { return compute_watts_; }

}  // namespace idlewatt
