#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/frame.h"
#include "collector/snapshot.h"

namespace idlewatt {

// [collector.power.model]: what a machine without a meter is taken to draw.
struct PowerModel {
  double idle_watts = 0;
  double max_watts = 0;
};

// The power and energy of every domain, whichever of the two its source gives: watts are made from
// energy counters, energy is summed from watts. Where nothing measures the machine, the model fills
// in: idle_watts + (max_watts - idle_watts) x busy share of all CPUs.
// Threads: one.
class PowerLedger {
 public:
  explicit PowerLedger(std::optional<PowerModel> model) : model_(model) {}

  // Energy a domain used between its last two readings.
  struct DomainEnergy {
    std::string source;
    std::string domain;
    double joules = 0;
    double seconds = 0;
  };
  // Appends the missing watts and energies for the tick in `snapshot`. Gives the domains that were
  // read in this tick and the one before.
  std::vector<DomainEnergy> Update(const Snapshot& snapshot, Readings& out);

 private:
  struct Domain {
    bool watts_are_ours = false;  // derived here, not read
    bool energy_is_ours = false;
    double joules = 0;  // summed here
  };
  using Key = std::pair<std::string, std::string>;  // source, domain

  void FromEnergy(const Snapshot& snapshot, Readings& out, std::vector<DomainEnergy>& used);
  void FromWatts(const Snapshot& snapshot, Readings& out, std::vector<DomainEnergy>& used);
  void FromModel(const Snapshot& snapshot, Readings& out, std::vector<DomainEnergy>& used);
  bool IsMetered(const Snapshot& snapshot) const;

  const std::optional<PowerModel> model_;
  std::map<Key, Domain> domains_;
};

// Share of all CPUs that was busy between the last two readings of the host, 0 to 1.
std::optional<double> BusyShare(const Snapshot& snapshot);
// CPU seconds spent busy between the last two readings of the host.
std::optional<double> BusySeconds(const Snapshot& snapshot);

}  // namespace idlewatt
