#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file_root.h"

namespace idlewatt {

// One process, from /proc/PID/stat.
struct ProcessInfo {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';
  int threads = 0;
  uint64_t start_ticks = 0;  // (pid, start_ticks) is the identity

  // A zombie has ended, but one whose other threads still run has not: its first thread left by
  // pthread_exit.
  bool IsAlive() const { return (state != 'Z' && state != 'X') || threads > 1; }
};

// kParse when `stat` is not in the form of proc(5).
Result<ProcessInfo> ParseStat(std::string_view stat);

// pid -> start_ticks.
using KnownMembers = std::map<pid_t, uint64_t>;

// What the environment of a process must say to be one of a service's.
struct ServiceMarker {
  std::string service;
  std::string data_dir;  // canonical
};

// All processes of the machine at one moment; one that starts or ends meanwhile may be missing.
// Costs about 6 µs a process. Threads: one.
class ProcessScan {
 public:
  // `proc` must outlive this object.
  explicit ProcessScan(const FileRoot& proc);

  const std::vector<ProcessInfo>& processes() const { return processes_; }
  // Is `ancestor` among the parents of `pid`? No process descends from itself.
  bool Descends(pid_t pid, pid_t ancestor) const;

  // The living processes, without `root` itself, that belong to its run: in its session or group,
  // its descendants, and descendants of ours that carry `marker` (a grandchild that left the
  // session is handed to us, the subreaper, when its parent ends). Also `known` ones, members of
  // an earlier scan: once a member, always a member, with children and session. `root` must be
  // alive or not yet waited for, else the number of its group may be another's.
  std::vector<ProcessInfo> MembersOf(pid_t root, const ServiceMarker& marker,
                                     const KnownMembers& known) const;
  // A living process with `marker` that is neither this process nor a descendant of it: an
  // earlier run of the daemon left it. Nothing when there is none.
  std::optional<pid_t> FindEarlierRun(const ServiceMarker& marker) const;

 private:
  bool StillKnown(pid_t pid, const KnownMembers& known) const;
  bool HasMarker(pid_t pid, const ServiceMarker& marker) const;

  const FileRoot& proc_;
  std::vector<ProcessInfo> processes_;
  std::unordered_map<pid_t, size_t> index_;  // pid -> place in processes_
};

}  // namespace idlewatt
