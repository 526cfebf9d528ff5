#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>
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

// What a domain is to the machine, so that no joule counts twice.
enum class DomainRole {
  kNone,   // part of another one, or the same measured again
  kCpu,    // a CPU package; where none is measured, the whole machine
  kDram,   //
  kGpu,    // a card of its own
  kWhole,  // the whole machine beside packages: what they do not measure is of it alone
};

// A domain that is there in a tick.
struct DomainEnergy {
  std::string_view source;
  std::string_view domain;
  double joules = 0;   // used between its last two readings
  double seconds = 0;  // awake between them; 0 unless it was read in this tick and before
  bool fresh = false;  // read in this tick
  bool slept = false;  // the machine was suspended between the two
  DomainRole role = DomainRole::kNone;
  bool holds_gpus = false;  // the whole machine: what its GPUs use is part of it
  size_t number = 0;        // of the domain; the same in every tick
};

// Sets the roles of the domains that are there:
//  - kCpu: RAPL packages; else what an APU says of its whole package; else the whole machine.
//  - kDram: RAPL dram. kGpu: cards, by NVML or drm.
//  - the whole machine: its own meter (hwmon), else the battery; without packages else the platform
//    (RAPL psys), else the model, which knows of no GPU.
void AssignRoles(std::span<DomainEnergy> domains);

// The power and energy of every domain, whichever of the two its source gives: watts are made from
// energy counters, energy is summed from watts. What a source gives itself is never made here, not
// even while it is missing. Where nothing measures CPUs or machine, the model fills in:
// idle_watts + (max_watts - idle_watts) x busy share of all CPUs. Time slept uses no energy that
// is summed here.
// Threads: one.
class PowerLedger {
 public:
  explicit PowerLedger(std::optional<PowerModel> model) : model_(model) {}

  // Appends the missing watts and energies for the tick in `snapshot`, which must be every tick.
  // The domains that are there, with their roles; valid until the next call.
  std::span<const DomainEnergy> Update(const Snapshot& snapshot, Readings& out);
  // As of the last tick.
  const AwakeClock& awake() const { return awake_; }
  // The model as a source, as of the last tick; nothing where it is not needed.
  std::optional<SourceStatus> Source() const;

 private:
  struct Domain {
    size_t number = 0;
    bool gives_watts = false;  // its source does, or did
    bool gives_energy = false;
    // The ticks for which the values were last made here, to tell them from what was read.
    std::optional<BootTime> watts_made;
    std::optional<BootTime> energy_made;
    std::optional<double> watts;        // made from the last two readings of energy
    double joules = 0;                  // summed here
    std::chrono::nanoseconds slept{0};  // by the machine, at its last reading
    KnownSeries watts_series, energy_series;
  };
  using Key = std::pair<std::string, std::string>;  // source, domain
  using KeyView = std::pair<std::string_view, std::string_view>;
  struct KeyLess {
    using is_transparent = void;
    bool operator()(const KeyView& a, const KeyView& b) const { return a < b; }
  };
  using Domains = std::map<Key, Domain, KeyLess>;

  Domains::value_type& DomainOf(KeyView key);
  Domains::value_type& DomainOf(const SnapshotValue& value);
  static void AddWatts(Domains::value_type& item, double watts, BootTime now, Readings& out);
  static void AddEnergy(Domains::value_type& item, BootTime now, Readings& out);
  void NoteWhatSourcesGive(const Snapshot& snapshot);
  // A row for `value` that tells how long it took since the reading before.
  DomainEnergy Row(const SnapshotValue& value, Domains::value_type& item,
                   const Snapshot& snapshot) const;
  void FromEnergy(const Snapshot& snapshot, Readings& out);
  void FromWatts(const Snapshot& snapshot, Readings& out);
  void FromModel(const Snapshot& snapshot, Readings& out);

  const std::optional<PowerModel> model_;
  AwakeClock awake_;
  Domains domains_;
  std::vector<DomainEnergy> used_;  // of this tick
  bool measured_ = true;            // CPUs or machine, by a meter
};

// What the machine draws now, each joule once; nothing where nothing measures.
struct MachinePower {
  double watts = 0;
  std::string source;  // of the whole machine, else of its CPUs, else of what there is
};
std::optional<MachinePower> CurrentMachinePower(const Snapshot& snapshot);

// Share of all CPUs that was busy between the last two readings of the host, 0 to 1.
std::optional<double> BusyShare(const Snapshot& snapshot);

}  // namespace idlewatt
