#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/result.h"
#include "collector/service_directory.h"

namespace idlewatt {

// CPU time in seconds.
struct CpuTime {
  double user = 0;
  double system = 0;
  double Total() const { return user + system; }
  CpuTime& operator+=(const CpuTime& more) {
    user += more.user;
    system += more.system;
    return *this;
  }
};

// One process, that is a thread group, as a scan found it. (pid, start) is its identity.
struct Process {
  int32_t pid = 0;
  int32_t parent = 0;
  int32_t session = 0;
  int32_t threads = 0;
  uint64_t start = 0;  // clock ticks after boot, field 22 of PID/stat
  std::string comm;    // as the kernel gives it: any byte, also blanks, newlines and ')'
  char state = '?';
  bool is_kernel_thread = false;
  bool first_seen = false;  // no earlier scan saw it
  int64_t memory_bytes = 0;
  CpuTime total;  // since its start, by its own threads
  // Since the last scan; at the first scan, and for a process born since, since its start. In
  // backend proc with what children used that it waited for and nobody had counted.
  CpuTime used;

  bool IsZombie() const { return state == 'Z' || state == 'X'; }
};

// What processes used that have ended, and nothing had counted.
struct EndedUse {
  int32_t pid = 0;     // of the process, if a scan may have seen it; else 0: a sum over many
  uint64_t start = 0;  // of it
  // The nearest ancestor that a scan may have seen; init for orphans, 0 when it is not known.
  int32_t ancestor = 0;
  uint64_t ancestor_start = 0;  // clock ticks
  int32_t session = 0;
  CpuTime used{};
};

struct ProcessList {
  std::vector<Process> processes;  // in the order of pids, none twice
  std::vector<EndedUse> ended;
};

// Tells of all processes of a machine, and what each used since it was asked last.
// Errors:  a process that vanishes meanwhile is left out; only when none can be read at all, the
//          scan fails.
// Threads: one at a time.
class ProcessBackend {
 public:
  virtual ~ProcessBackend() = default;
  virtual std::string_view name() const = 0;
  // `roots` are those services the supervisor reaped since the last scan; to be taken before the
  // scan, or one could be counted twice. `scan` is overwritten; its memory is used again.
  virtual Result<void> Scan(BootTime now, std::span<const EndedRoot> roots, ProcessList& scan) = 0;
  // True when `ended` tells of every process that ended; else what children used that nobody saw
  // is known only as far as their parents waited for them.
  virtual bool TellsOfEnded() const = 0;
};

// Reads PID/stat of every process below `proc`, which must outlive it.
std::unique_ptr<ProcessBackend> MakeProcBackend(const FileRoot& proc);

// Asks the running kernel through BPF: an iterator over all threads and a hook at their end.
// Errors:  why it can't be had here: kNoData (built without libbpf, an old kernel, a container's
//          own pid namespace), kPermission.
Result<std::unique_ptr<ProcessBackend>> MakeBpfBackend();

enum class ProcessBackendChoice { kAuto, kBpf, kProc };

}  // namespace idlewatt
