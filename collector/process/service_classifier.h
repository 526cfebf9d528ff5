#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "collector/proc_text.h"
#include "collector/service_directory.h"

namespace idlewatt {

enum class ServiceKind { kSupervised, kWatched, kDiscovered };
std::string_view ServiceKindName(ServiceKind kind);

// The service of a process. Discovered ones are named after container, unit or program.
struct ServiceKey {
  ServiceKind kind = ServiceKind::kDiscovered;
  std::string name;
  bool operator==(const ServiceKey&) const = default;
  auto operator<=>(const ServiceKey&) const = default;
};

// Says for every process which service it belongs to; each belongs to exactly one.
//
// Supervised: the root, its session, its descendants, and orphans that carry its mark in their
// environment. Else watched: what the configuration matches, the first match in its order, and its
// descendants. Who was once a member of either stays one, whoever its parent is later. Everything
// else is discovered. Nobody is taken for a descendant of init, which inherits every orphan.
//
// Source:  PID/cgroup, PID/exe, PID/environ below /proc, for new processes only.
// Errors:  what can't be read does not match; a process that vanishes is classified by what is
//          known of it.
// Threads: one.
// Owns:    nothing; `proc` must outlive this object.
class ServiceClassifier {
 public:
  ServiceClassifier(const FileRoot& proc, std::vector<WatchedService> watched, int32_t self_pid);

  // One key for each process of the scan, in the same order. The pointers are valid until the
  // next call.
  std::vector<const ServiceKey*> Classify(BootTime now, const std::vector<PidStat>& scan,
                                          const std::vector<SupervisedRoot>& roots);

 private:
  struct Known {
    uint64_t start = 0;
    std::string comm;
    int looks = 0;  // how often its cgroup was read
    std::string cgroup;
    std::string program;                // base name of the executable; empty when not readable
    std::optional<std::string> marked;  // service in its environment, looked up for our children
    bool member = false;                // of a supervised or watched service, for good
    ServiceKey key;
    bool resolved = false;
    bool seen = false;
  };

  void Look(const PidStat& stat, Known& known);
  void ForgetGone(const std::vector<PidStat>& scan);
  void UpdateWatchedRoots(BootTime now);
  void UpdatePortOwners(uint16_t port, std::vector<int32_t>& pids) const;
  const ServiceKey& Resolve(const PidStat& stat, int depth);
  std::optional<ServiceKey> Supervised(const PidStat& stat, const Known& known) const;
  std::optional<ServiceKey> Watched(const PidStat& stat, const Known& known) const;
  bool Matches(size_t index, const PidStat& stat, const Known& known) const;

  // A discovered name that a configured service bears would mix the two.
  std::string DiscoveredName(std::string name) const;

  const FileRoot& proc_;
  const std::vector<WatchedService> watched_;
  const int32_t self_pid_;
  std::vector<std::vector<int32_t>> watched_pids_;  // by port or pid file, for each watch
  BootTime next_owner_look_;
  std::set<std::string> taken_names_;
  std::map<int32_t, std::string> roots_;  // supervised root pid -> service
  std::unordered_map<int32_t, Known> known_;
  std::unordered_map<int32_t, const PidStat*> by_pid_;  // of the scan being classified
};

}  // namespace idlewatt
