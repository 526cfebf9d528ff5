#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/floor_estimator.h"
#include "analysis/idle_tracker.h"
#include "analysis/power_ledger.h"
#include "analysis/service_table.h"
#include "collector/frame.h"
#include "collector/snapshot.h"

namespace idlewatt {

// Who bears the floor of CPUs, memory and machine: what they draw when nothing runs.
enum class FloorShare {
  kHost,    // nobody: it is shown apart
  kEqual,   // supervised and watched services, each the same
  kMemory,  // services by resident memory
  kCpu,     // services by CPU time, as the rest
};

struct AttributionOptions {
  std::optional<PowerModel> model{};
  FloorShare share_floor = FloorShare::kHost;
  std::map<std::string, double, std::less<>> floor_watts{};  // set, not learnt; by domain
};

// Gives every joule to a service, to the floor of its domain, or to nobody.
//
// Per domain and step, of the measured energy: the floor is what the domain draws when nothing
// runs; the rest is shared by CPU time, that of a GPU by the time of its engines. What no service
// shows is unattributed. The floor of a GPU is borne by who holds its memory. Of the whole machine
// counts what its measured parts leave over. Sum of services + floor + unattributed = measured, at
// every step, to rounding. A step is a tick in which the domain was read; what was used in the
// ticks between is kept for it.
//
// Threads: one.
class Attribution {
 public:
  explicit Attribution(AttributionOptions options) : options_(std::move(options)) {}

  // Floors that an earlier run of the daemon learnt, by domain. Before the first Update. They hold
  // until the domain is seen unused, for an hour at most.
  void Remember(std::map<std::string, double, std::less<>> floor_watts) {
    past_floors_ = std::move(floor_watts);
  }

  // Takes the tick in `snapshot` (it must be every tick), its domains and services, and who was
  // idle by the tick before. Appends energies and powers of the services that are there, floors,
  // unattributed energy, and the sums of the machine.
  void Update(const Snapshot& snapshot, std::span<const DomainEnergy> domains,
              const ServiceTable& services, const IdleTracker& idle, Readings& out);

  // Of a service, since its row is new: joules of all components in both states, CPU seconds.
  // Nothing before its first step; nothing where nothing measures.
  std::optional<double> Joules(size_t service) const;
  double CpuSeconds(size_t service) const;
  std::optional<double> Watts(size_t service) const;
  // Of the machine since the start; nothing while nothing is measured.
  std::optional<double> MachineJoules() const;
  // CPU time of the machine since the start.
  double MachineCpuSeconds() const { return totals_.host.busy; }
  // CPU packages, memory and GPUs; the whole machine where no package is measured.
  std::optional<double> ComputeWatts() const;
  // Did the model measure, in the place of a meter?
  bool OnModel() const { return on_model_; }

 private:
  static constexpr size_t kStates = 2;
  static constexpr std::array<std::string_view, kStates> kStateNames{"active", "idle"};
  static constexpr size_t kComponents = 4;
  static constexpr std::array<std::string_view, kComponents> kComponentNames{"cpu", "dram", "gpu",
                                                                             "platform"};
  using ByState = std::array<double, kStates>;

  struct Energy {
    bool known = false;  // had a step
    ByState joules{};
    std::optional<double> watts;  // of the last steps of its domains
    std::array<KnownSeries, kStates> energy_series;
    KnownSeries power_series;
  };
  struct Account {  // of a service
    ByState cpu_seconds{};
    std::vector<ByState> gpu_seconds;  // as ServiceTable::gpus()
    size_t state = 0;                  // it was in before this tick
    std::array<Energy, kComponents> energy;
  };
  struct Rest {
    double floor_joules = 0;
    double unattributed_joules = 0;
    std::optional<double> floor_watts;  // in effect
    KnownSeries floor_series, unattributed_series, watts_series;
  };
  // What is measured without a break, to be compared with itself at the last step of a domain.
  struct Totals {
    HostTime host;
    double parts_joules = 0;  // of CPUs and memory that are parts of the machine
    double gpu_joules = 0;
  };
  struct Domain {
    bool there = false;
    DomainRole role = DomainRole::kNone;
    double debt = 0;            // of a whole: joules of its parts that it has not shown yet
    Totals totals;              // at its last step
    std::vector<ByState> used;  // seconds of the services at its last step; of CPUs or of its GPU
    std::vector<double> watts;  // of the services in its last step
    std::optional<double> all_watts;      // in its last step; as far as it counts
    std::array<FloorEstimator, 2> floor;  // a GPU whose memory somebody holds has another one
    Rest* rest = nullptr;
  };
  // A step of a domain while it is shared out.
  struct Step {
    const DomainEnergy& measured;
    Domain& domain;
    double joules = 0;  // that count
    size_t component = 0;
    std::optional<size_t> gpu{};  // in ServiceTable::gpus()
  };

  void CountUse(const Snapshot& snapshot, const ServiceTable& services, const IdleTracker& idle);
  void CountParts(std::span<const DomainEnergy> domains);
  Domain& DomainOf(const DomainEnergy& measured);
  double BeyondParts(Domain& domain, double joules) const;
  void StepOf(const DomainEnergy& measured, const Snapshot& snapshot, const ServiceTable& services,
              const IdleTracker& idle);
  void Share(Step& step, const Snapshot& snapshot, const ServiceTable& services);
  void ShareByCpu(Step& step, const ServiceTable& services, BootTime now);
  void ShareByGpu(Step& step, const Snapshot& snapshot, const ServiceTable& services);
  double FloorJoules(Step& step, size_t estimator, bool unused, bool nothing_ran, BootTime now);
  void ShareFloor(Step& step, double joules, const ServiceTable& services);
  void ShareByUse(Step& step, double joules, double known, double all,
                  const ServiceTable& services);
  template <typename Weight>
  bool ShareByWeight(Step& step, double joules, const ServiceTable& services, Weight weight);
  // Seconds of the CPUs, or of the GPU that was measured, since the service was first seen.
  ByState UseOf(size_t service, const DomainEnergy& measured, std::optional<size_t> gpu) const;
  ByState UsedIn(const Step& step, size_t service) const;
  double KnownUse(const Step& step, const ServiceTable& services) const;  // of all services
  void Give(Step& step, size_t service, size_t state, double joules);
  void Mark(Domain& domain, const DomainEnergy& measured, const ServiceTable& services);
  void SumWatts(const ServiceTable& services);
  void Publish(const ServiceTable& services, BootTime now, Readings& out);

  const AttributionOptions options_;
  std::map<std::string, double, std::less<>> past_floors_;
  std::vector<Account> accounts_;                   // by the number of the service
  std::vector<Domain> domains_;                     // by the number of the domain
  std::map<std::string, Rest, std::less<>> rests_;  // by the name of the domain
  Totals totals_;
  bool measured_ = false;  // something was shared out
  bool on_model_ = false;
  ByState machine_joules_{};
  std::optional<double> machine_watts_, compute_watts_;
  std::array<KnownSeries, kStates> machine_energy_series_;
  KnownSeries machine_power_series_, compute_power_series_;
};

}  // namespace idlewatt
