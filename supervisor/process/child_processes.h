#pragma once

#include <sys/types.h>

#include <set>

#include "base/file_root.h"

namespace idlewatt {

// Which children of this process somebody waits for. Orphans, descendants of services whose parent
// is gone, become our children because the daemon is the subreaper: whoever is not kept is reaped
// here. So nothing else in this process may start children.
// Threads: supervisor loop only.
class ChildProcesses {
 public:
  // `proc` must outlive it: the real /proc.
  explicit ChildProcesses(const FileRoot& proc) : proc_(proc) {}

  // From the moment that `pid` was started until its owner has waited for it.
  void Keep(pid_t pid) { kept_.insert(pid); }
  void Release(pid_t pid) { kept_.erase(pid); }
  bool IsKept(pid_t pid) const { return kept_.contains(pid); }

  // At SIGCHLD: waits for each ended child that is not kept, by its pid, never with waitpid(-1).
  void ReapOrphans() const;

 private:
  const FileRoot& proc_;
  std::set<pid_t> kept_;
};

}  // namespace idlewatt
