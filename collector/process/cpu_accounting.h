#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "collector/proc_text.h"
#include "collector/process/process_backend.h"
#include "collector/service_directory.h"

namespace idlewatt {

// How much CPU time every process used since the last scan, that of children which came and went
// between two scans included.
//
// A child's time moves into its parent's cutime/cstime when the parent waits for it. So what a
// parent's cutime grew by, less what we had already counted for its children that are now gone,
// was used by processes that we never saw or after we last saw them. Init and this daemon also
// inherit strangers' children, whose time was counted where they ran: their cutime is left out.
//
// Threads: one.
class CpuAccounting {
 public:
  struct Options {
    int32_t self_pid = 0;
    int cpus = 1;
    double ticks_per_second = 100;
  };
  explicit CpuAccounting(Options options) : options_(options) {}

  struct Usage {
    CpuTime used;
    bool first_seen = false;  // no earlier scan saw this process
  };
  struct Outcome {
    std::vector<Usage> processes;  // one for each process of the scan, in the same order
    std::vector<CpuTime> ended;    // one for each ended root: what nothing had counted yet
  };
  // Takes the scan made at `now` (any order, no pid twice) and the roots that the supervisor
  // reaped; `ended` must be taken before the scan is made, or a root could be counted twice.
  // At the first scan, and for a process born since the last, `used` is its whole CPU time.
  Outcome Account(BootTime now, const std::vector<PidStat>& scan, std::span<const EndedRoot> ended);

  // Readings dropped because no machine could have used that much: nonsense from the kernel.
  uint64_t nonsense() const { return nonsense_; }

 private:
  struct Known {
    uint64_t start = 0;
    int32_t parent = 0;
    CpuTime own;
    CpuTime children;
    // Counted for children that are gone and whose time `children` did not hold yet: we were read
    // before we waited for them. Comes with the next scan or not at all.
    CpuTime early;
    bool seen = false;  // in the scan being accounted
  };
  // What had been counted for processes that are gone, by the pid that waited for them.
  using Counted = std::unordered_map<int32_t, CpuTime>;

  void MarkSeen(const std::vector<PidStat>& scan);
  Counted CollectGone();
  int32_t ReaperOf(const Known& gone) const;
  CpuTime Used(const PidStat& stat, Known& known, const Counted& counted, double most);
  bool InheritsChildren(int32_t pid) const { return pid == 1 || pid == options_.self_pid; }
  CpuTime Own(const PidStat& stat) const;
  CpuTime Children(const PidStat& stat) const;
  CpuTime AtMost(CpuTime time, double most);

  const Options options_;
  std::unordered_map<int32_t, Known> known_;
  // Children of ours that left the scan, with what was counted for them and their descendants,
  // until the supervisor tells what they used in all; for two scans at most.
  struct GoneChild {
    CpuTime counted;
    int scans = 0;
  };
  std::unordered_map<int32_t, GoneChild> gone_children_;
  BootTime last_scan_;
  bool first_scan_ = true;
  uint64_t nonsense_ = 0;
};

}  // namespace idlewatt
