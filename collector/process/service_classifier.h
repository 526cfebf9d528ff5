#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "collector/process/process_backend.h"
#include "collector/process/service.h"
#include "collector/service_directory.h"

namespace idlewatt {

// Says for every process which service it belongs to; each belongs to exactly one.
//
// Supervised: who is in the cgroup of its run, the root, its session, its descendants, and orphans
// that carry its mark in their environment. Else watched: what the configuration matches, the first
// match in its order, and its descendants. Who was once a member of either stays one, whoever its
// parent is later. Everything else is discovered. Nobody is taken for a descendant of init, which
// inherits every orphan.
//
// In a tick in which nothing changes, a process costs a comparison with the tick before.
//
// Source:  PID/cgroup, PID/exe, PID/environ below /proc, for new processes only.
// Errors:  what can't be read does not match; a process that vanishes is classified by what is
//          known of it.
// Threads: one.
// Owns:    nothing; `proc` and `services` must outlive this object. It makes the services; who
//          forgets one must see to it that it has had no member for two ticks and a minute.
class ServiceClassifier {
 public:
  ServiceClassifier(const FileRoot& proc, std::vector<WatchedService> watched, int32_t self_pid,
                    MeasuredServices& services);

  // The service of each process, in the same order; valid until the next call. `scan` is in the
  // order of pids. `ended` are roots that the supervisor reaped since the last call.
  std::vector<ServiceEntry*> Classify(BootTime now, const std::vector<Process>& scan,
                                      const std::vector<SupervisedRoot>& roots,
                                      std::span<const EndedRoot> ended);

  // After Classify: whose use it was; null when nobody knows.
  ServiceEntry* OwnerOf(const EndedUse& ended) const;
  // The service of a process of this scan, or of one that ended less than a minute ago.
  ServiceEntry* OwnerOf(int32_t pid) const;
  // The cgroup of each process of the last Classify, in the same order; "/" when not known.
  const std::string& CgroupOf(size_t index) const { return known_[index].cgroup; }
  // True when the last Classify found new processes, or others than the one before.
  bool changed() const { return changed_; }

 private:
  struct Known {
    int32_t pid = 0;
    int32_t parent = 0;
    int32_t session = 0;
    uint64_t start = 0;
    std::string comm;
    int looks = 0;  // how often its cgroup was read
    std::string cgroup = "/";
    std::string discovered;             // its name when it is nobody's member
    std::optional<size_t> match;        // the first watch that its program, cgroup or unit matches
    std::optional<std::string> marked;  // service in its environment, looked up for our children
    bool member = false;                // of a supervised or watched service, for good
    bool resolved = false;              // in this tick
    ServiceEntry* service = nullptr;
    BootTime seen;
  };
  using Watch = std::pair<int32_t, size_t>;  // pid, index of the watch that it is by port or file

  // Each gives true when some process may belong elsewhere now.
  bool UpdateRoots(BootTime now, const std::vector<SupervisedRoot>& roots,
                   std::span<const EndedRoot> ended);
  bool UpdateWatchedPids(BootTime now);
  void UpdatePortOwners(uint16_t port, std::vector<int32_t>& pids) const;

  void Merge(BootTime now, const std::vector<Process>& scan);
  void KeepGone(BootTime now, Known& gone);
  void Look(const Process& process, Known& known);
  std::optional<size_t> MatchOf(const Known& known, std::string_view program) const;
  void ResolveChanged();
  void Resolve(Known& known, int depth);
  ServiceEntry* Supervised(const Known& known) const;
  ServiceEntry* Watched(const Known& known) const;
  ServiceEntry* EntryOf(ServiceKind kind, const std::string& name) const;
  Known* Find(int32_t pid);
  const Known* FindAlsoGone(int32_t pid, uint64_t start) const;
  // A discovered name that a configured service bears would mix the two.
  std::string DiscoveredName(std::string_view name) const;

  const FileRoot& proc_;
  const std::vector<WatchedService> watched_;
  const int32_t self_pid_;
  MeasuredServices& services_;

  struct Root {
    std::string name;
    BootTime seen;
    std::string cgroup;  // empty: none of its own
    bool operator==(const Root& other) const {
      return name == other.name && cgroup == other.cgroup;
    }
  };
  std::map<int32_t, Root> roots_;                   // by pid; those that live
  std::map<int32_t, Root> past_roots_;              // and those that ended a little ago
  std::vector<std::vector<int32_t>> watched_pids_;  // by port or pid file, for each watch
  std::vector<Watch> watches_;                      // the same, in the order of pids
  BootTime next_owner_look_;
  std::set<std::string> taken_names_;

  std::vector<Known> known_;  // of the scan, in its order
  std::vector<Known> next_;
  std::vector<Known> gone_;  // in the order of pids
  std::vector<Known> next_gone_;
  bool changed_ = false;
};

}  // namespace idlewatt
