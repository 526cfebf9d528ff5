#pragma once

#include <cstdint>
#include <optional>

#include "base/file_root.h"
#include "supervisor/process/service_cgroup.h"

namespace idlewatt {

// Was it the kernel, for lack of memory, that killed a run? The wait status says only SIGKILL.
// Source:  oom_kill of the run's own memory.events, which knows. Without it that of the daemon's own
//          cgroup, which counts every service, or else of proc/vmstat, which counts the machine:
//          then each kill counted since the last look explains one end. Should another process have
//          been the victim since, an end by somebody else's SIGKILL is taken for this.
// Errors:  where nothing can be read nobody was killed for memory.
// Threads: supervisor loop only.
class OutOfMemoryWatch {
 public:
  // The first look. `proc` and `sys` must outlive it.
  OutOfMemoryWatch(const FileRoot& proc, const FileRoot& sys);

  // What was counted until now explains no end from now on: to be called when a run starts.
  void Look();
  // Asked once at each end by a SIGKILL that we did not send. `run` is its cgroup, or null.
  bool StruckSinceLastLook(const ServiceCgroup* run);

 private:
  std::optional<int64_t> Count() const;

  const FileRoot& proc_;
  const FileRoot& sys_;
  std::optional<int64_t> explained_;  // of what Count gives
};

}  // namespace idlewatt
