#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analysis/awake_clock.h"
#include "collector/frame.h"
#include "collector/snapshot.h"

namespace idlewatt {

// [collector.power.model]: what a machine without a meter is taken to draw.
struct PowerModel {
  double idle_watts = 0;
  double max_watts = 0;
};

// The power and energy of every domain, whichever of the two its source gives: watts are made from
// energy counters, energy is summed from watts. What a source gives itself is never made here, not
// even while it is missing. Where nothing measures the machine, the model fills in:
// idle_watts + (max_watts - idle_watts) x busy share of all CPUs. Time slept uses no energy that
// is summed here.
// Threads: one.
class PowerLedger {
 public:
  explicit PowerLedger(std::optional<PowerModel> model) : model_(model) {}

  // A domain that is there in this tick.
  struct DomainEnergy {
    std::string source;
    std::string domain;
    double joules = 0;   // used between its last two readings
    double seconds = 0;  // awake between them; 0 unless it was read in this tick and before
    bool fresh = false;  // read in this tick
    bool slept = false;  // the machine was suspended between the two
  };
  // Appends the missing watts and energies for the tick in `snapshot`, which must be every tick.
  std::vector<DomainEnergy> Update(const Snapshot& snapshot, Readings& out);

 private:
  struct Domain {
    bool gives_watts = false;  // its source does, or did
    bool gives_energy = false;
    // The ticks for which the values were last made here, to tell them from what was read.
    std::optional<BootTime> watts_made;
    std::optional<BootTime> energy_made;
    std::optional<double> watts;        // made from the last two readings of energy
    double joules = 0;                  // summed here
    std::chrono::nanoseconds awake{0};  // on the awake clock, at its last reading
    std::chrono::nanoseconds slept{0};  // by then
  };
  using Key = std::pair<std::string, std::string>;  // source, domain
  using KeyView = std::pair<std::string_view, std::string_view>;
  struct KeyLess {
    using is_transparent = void;
    bool operator()(const KeyView& a, const KeyView& b) const { return a < b; }
  };

  Domain& DomainOf(const SnapshotValue& value);
  void NoteWhatSourcesGive(const Snapshot& snapshot);
  // A row for `value` that tells how long it took since the reading before.
  DomainEnergy Row(const SnapshotValue& value, Domain& domain, const Snapshot& snapshot) const;
  void FromEnergy(const Snapshot& snapshot, Readings& out, std::vector<DomainEnergy>& used);
  void FromWatts(const Snapshot& snapshot, Readings& out, std::vector<DomainEnergy>& used);
  void FromModel(const Snapshot& snapshot, Readings& out, std::vector<DomainEnergy>& used);

  const std::optional<PowerModel> model_;
  AwakeClock awake_;
  std::map<Key, Domain, KeyLess> domains_;
};

// Of the domains that are there, those that together are the machine, each joule once: CPU packages
// with DRAM, else the platform (psys), else the machine's own meter, else the battery, else the
// model.
std::vector<PowerLedger::DomainEnergy> DistinctDomains(
    const std::vector<PowerLedger::DomainEnergy>& domains);

// Share of all CPUs that was busy between the last two readings of the host, 0 to 1.
std::optional<double> BusyShare(const Snapshot& snapshot);

}  // namespace idlewatt
