#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "collector/gpu/drm_fdinfo.h"
#include "collector/gpu/gpu_board.h"

namespace idlewatt {

// What processes hold and use of the GPUs, from their open descriptors.
// Source:  PID/fd and PID/fdinfo below /proc; kernel Documentation/gpu/drm-usage-stats.rst. A
//          process that held a GPU at the last read is looked at in every read; of the others a
//          twelfth in each (all in the first), for to look through all descriptors of a machine
//          is dear.
// Units:   nanoseconds or cycles as read; seconds and bytes once given.
// Errors:  of one process: it is skipped, and counted when it may not be read.
// Threads: one at a time.
// Owns:    nothing; `proc` must outlive this object.
class DrmClients {
 public:
  static constexpr int kTurns = 12;

  // A GPU whose clients are looked for.
  struct Gpu {
    std::string name;    // "gpu0"
    std::string folder;  // its identity
    std::string driver;
    std::string pci_address;
    // No descriptor of a GPU that sleeps is read: some drivers wake it for that. What its clients
    // held and had used stays.
    bool asleep = false;
  };
  // Folder of the device by the name of its node below /dev/dri.
  using Nodes = std::map<std::string, std::string, std::less<>>;

  explicit DrmClients(const FileRoot& proc) : proc_(proc) {}
  // Fails when /proc can't be listed; nothing is known of any process then.
  Result<void> Read(BootTime now, const std::vector<Gpu>& gpus, const Nodes& nodes);

  // One row for each process and GPU, as of the last read. `busy_seconds` falls only when the
  // process lets go of all its GPUs.
  std::vector<GpuClient> Rows() const;
  // The share of time in which the busiest engine class was busy between the last two reads, 0 to
  // 1. Nothing when something may be missing in it: a process that may not be read, a descriptor
  // that does not tell, a GPU that slept, the first read.
  std::optional<double> Utilization(const std::string& folder) const;
  // Processes that may not be looked into. Threads of the kernel and
  // zombies do not count: they have no descriptors.
  size_t refused() const { return refused_.size(); }
  // False when /proc hides the processes of others (hidepid).
  bool sees_others() const { return sees_others_; }

 private:
  struct Counter {
    std::optional<uint64_t> value;
    std::optional<BootTime> lower_since;
  };
  struct Engine {
    Counter busy_ns;
    Counter cycles;
    Counter total_cycles;
  };
  struct Client {
    int32_t pid = 0;
    std::string gpu;  // name
    double memory_bytes = 0;
    BootTime last;
    std::map<std::string, Engine, std::less<>> engines;
  };
  using Key = std::pair<std::string, uint64_t>;  // folder of the GPU, client id
  struct Seen {
    int32_t pid = 0;
    const Gpu* gpu = nullptr;
    DrmFdinfo info;
  };
  struct Use {
    std::optional<BootTime> last;  // when all that was busy was last known
    bool complete = true;          // every descriptor told in this read
    std::map<std::string, double, std::less<>> busy_seconds;  // by engine class, for one engine
    std::optional<double> ratio;
  };
  // What one read works with.
  struct Scan {
    BootTime now;
    const std::vector<Gpu>& gpus;
    const Nodes& nodes;
    bool any_asleep = false;
    std::map<Key, Seen> seen;
    std::set<int32_t> holders;
  };

  void LookInto(int32_t pid, Scan& scan);
  void ReadDescriptor(int32_t pid, const std::string& descriptor, std::string_view node,
                      Scan& scan);
  void NoteRefused(int32_t pid);
  void Forget(const std::set<int32_t>& pids);
  void DropUnseen(const Scan& scan);
  void Account(const Key& key, const Seen& seen, BootTime now);
  // Seconds of engine time used since the last read.
  static double Used(Engine& engine, const DrmEngine& read, BootTime now, double seconds,
                     bool same_holder);
  // How much a counter grew; 0 at its first sight and while it is below what it was.
  static uint64_t Growth(Counter& counter, std::optional<uint64_t> value, BootTime now,
                         bool same_holder);
  void UpdateUtilization(const Scan& scan);

  const FileRoot& proc_;
  bool first_ = true;
  int turn_ = 0;
  bool sees_others_ = true;
  std::string buffer_;  // reused
  std::map<Key, Client> clients_;
  std::set<int32_t> holders_;
  std::set<int32_t> refused_;
  std::map<std::pair<int32_t, std::string>, double> busy_seconds_;  // by process and GPU
  std::map<std::string, Use> use_;                                  // by folder
};

}  // namespace idlewatt
