#pragma once

#include <array>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis/idle_tracker.h"
#include "analysis/power_ledger.h"
#include "collector/snapshot.h"

namespace idlewatt {

// The lowest power a domain drew while the machine was all but unused, over the last hour (to the
// minute).
// Threads: one.
class FloorEstimator {
 public:
  // `busy_cpus`: how many CPUs were busy on average. Power of 0 W is a counter that stood still,
  // not a floor.
  void Observe(BootTime now, double watts, double busy_cpus);
  // As of the last observation; nothing until the machine has been seen unused.
  std::optional<double> Watts() const;

 private:
  static constexpr size_t kBuckets = 60;  // of one minute
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  std::array<double, kBuckets> lowest_{};
  int64_t minute_ = -1;  // of the newest bucket; -1 before the first observation
};

// Gives every joule to a service, to the floor of its domain, or to nobody.
//
// Per domain and step, of the measured energy: the floor (what the domain draws when nothing runs)
// stays with the host; the rest is shared by CPU time. What CPU time no service accounts for is
// unattributed. Sum of services + floor + unattributed = measured, at every step, to rounding.
// Domains are chosen so that no joule counts twice, see DistinctDomains. A step is a tick in which
// they were read; CPU time of the ticks between is kept for it.
//
// Threads: one.
class Attribution {
 public:
  explicit Attribution(std::optional<PowerModel> model) : model_(model) {}

  // Takes the tick in `snapshot` (it must be every tick), the domains that are there, and who was
  // idle by the tick before. Appends energies and powers of the services that are there, floors
  // and unattributed energy.
  void Update(const Snapshot& snapshot, const std::vector<PowerLedger::DomainEnergy>& domains,
              const IdleTracker& idle, Readings& out);

 private:
  struct Energy {
    bool known = false;  // had a step
    double active = 0;
    double idle = 0;
    std::optional<double> watts;  // of the last step
  };
  static constexpr size_t kComponents = 2;
  static constexpr std::array<std::string_view, kComponents> kComponentNames{"cpu", "dram"};
  struct Service {
    double cpu = 0;  // seconds used since the last step
    BootTime seen;   // last tick at which it was there
    std::array<Energy, kComponents> energy;
  };
  struct Rest {
    double floor_joules = 0;
    double unattributed_joules = 0;
  };
  using Domain = PowerLedger::DomainEnergy;

  void CountCpu(const Snapshot& snapshot);
  void Step(const std::vector<Domain>& machine, const IdleTracker& idle, BootTime now);
  double FloorJoules(const Domain& domain, bool nothing_ran, BootTime now);
  void Distribute(const Domain& domain, const IdleTracker& idle, BootTime now);
  void ForgetGone(BootTime now);
  void Publish(BootTime now, Readings& out) const;

  const std::optional<PowerModel> model_;
  std::map<std::string, Service, std::less<>> services_;
  std::map<std::string, Rest> rests_;                                     // by domain
  std::map<std::pair<std::string, std::string>, FloorEstimator> floors_;  // by source, domain
  HostTime host_;  // used since the last step
};

// What the machine draws now, from the domains that are shared out; nothing where nothing measures.
struct MachinePower {
  double watts = 0;
  std::string source;
};
std::optional<MachinePower> CurrentMachinePower(const Snapshot& snapshot);

}  // namespace idlewatt
