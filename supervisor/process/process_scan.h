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

// One process of `proc`; nothing when it is not there any more.
std::optional<ProcessInfo> ReadProcess(const FileRoot& proc, pid_t pid);

// pid -> start_ticks.
using KnownMembers = std::map<pid_t, uint64_t>;

// What the environment of a process must say to be one of a service's.
struct ServiceMarker {
  std::string service;
  std::string data_dir;  // canonical
  std::string run;
};

// How the processes of a run are told from others.
struct RunScope {
  pid_t root = 0;
  uint64_t root_start_ticks = 0;
  bool adopted = false;  // its orphans are not handed to us
  ServiceMarker marker;
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

  // The living processes, without the root itself, that belong to its run: in its session or group,
  // its descendants, and descendants of ours that carry the marker (a grandchild that left the
  // session is handed to us, the subreaper, when its parent ends); of an adopted run all that
  // carry it. Also `known` ones, members of an earlier scan: once a member, always a member, with
  // children and session. Once the root was waited for its number may be another's, and says
  // nothing.
  std::vector<ProcessInfo> MembersOf(const RunScope& scope, const KnownMembers& known) const;
  // The living processes of any service in `data_dir` that are not descendants of this process: an
  // earlier daemon left them.
  struct Left {
    std::string service;
    ProcessInfo process;
  };
  std::vector<Left> FindLeft(const std::string& data_dir) const;

 private:
  bool StillKnown(pid_t pid, const KnownMembers& known) const;
  bool HasMarker(pid_t pid, const ServiceMarker& marker) const;
  // The value of `variable` in the environment of `pid`; nothing when it can't be read or has none.
  std::optional<std::string> Variable(pid_t pid, std::string_view variable) const;

  const FileRoot& proc_;
  std::vector<ProcessInfo> processes_;
  std::unordered_map<pid_t, size_t> index_;  // pid -> place in processes_
};

}  // namespace idlewatt
