#pragma once

#include <array>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis/power_ledger.h"
#include "collector/snapshot.h"

namespace idlewatt {

// The lowest power a domain drew while the machine was all but unused, over the last hour.
// Threads: one.
class FloorEstimator {
 public:
  void Observe(BootTime now, double watts, double busy_share);
  // Nothing until the machine has been seen unused.
  std::optional<double> Watts() const;

 private:
  static constexpr size_t kBuckets = 60;  // of one minute
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  std::array<double, kBuckets> lowest_{};
  int64_t minute_ = -1;  // of the newest bucket; -1 before the first observation
};

// Gives every joule to a service, to the floor of its domain, or to nobody.
//
// Per domain and tick, of the measured energy: the floor (what the domain draws when nothing runs)
// stays with the host; the rest is shared by CPU time. What CPU time no service accounts for is
// unattributed. Sum of services + floor + unattributed = measured, at every tick, to rounding.
// Domains are chosen so that no joule counts twice: packages and DRAM, else the whole platform,
// else the battery, else the model.
//
// Threads: one.
class Attribution {
 public:
  explicit Attribution(std::optional<PowerModel> model) : model_(model) {}

  // Takes what the domains used and who was idle (by service name, as of the tick before).
  // Appends energies and powers of the services, floors and unattributed energy.
  void Update(const Snapshot& snapshot, const std::vector<PowerLedger::DomainEnergy>& used,
              const std::map<std::string, bool>& idle, Readings& out);

 private:
  struct Energy {
    double active = 0;
    double idle = 0;
    double watts = 0;  // of the last step
    BootTime last_used;
  };
  struct Rest {
    FloorEstimator floor;
    double floor_joules = 0;
    double unattributed_joules = 0;
  };
  using Shares = std::map<std::string, double>;  // CPU seconds since the last step, by service

  Shares TakeCpuShares(const Snapshot& snapshot);
  double FloorJoules(const PowerLedger::DomainEnergy& domain, Rest& rest, BootTime now,
                     double busy_share) const;
  void Distribute(const PowerLedger::DomainEnergy& domain, const Shares& shares,
                  double busy_seconds, double busy_share, const std::map<std::string, bool>& idle,
                  BootTime now);
  void Publish(Readings& out) const;

  const std::optional<PowerModel> model_;
  std::map<std::pair<std::string, std::string>, Energy> services_;  // by service, component
  std::map<std::string, Rest> domains_;
  std::map<std::string, double> last_cpu_;  // by service, at the last step
  double last_busy_ = -1;                   // host's busy CPU seconds at the last step
  double last_all_ = 0;
};

// Of the domains that were read, those that together are the machine, each joule once.
std::vector<PowerLedger::DomainEnergy> DistinctDomains(
    const std::vector<PowerLedger::DomainEnergy>& used);

// What the machine draws now, from the same domains; nothing where nothing measures.
struct MachinePower {
  double watts = 0;
  std::string source;
};
std::optional<MachinePower> CurrentMachinePower(const Snapshot& snapshot);

}  // namespace idlewatt
