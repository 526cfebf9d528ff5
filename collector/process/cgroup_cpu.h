#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file_root.h"
#include "collector/process/service.h"

namespace idlewatt {

// CPU time of those services that have a cgroup to themselves, by the kernel's own account of it:
// it knows of every child, however short it lived, and whoever waited for it.
// Source:  cpu.stat of the unified hierarchy below /sys/fs/cgroup; kernel
//          Documentation/admin-guide/cgroup-v2.rst.
// Errors:  a cgroup that can't be read gives nothing.
// Threads: one.
// Owns:    nothing; `sys` must outlive this object.
class CgroupCpu {
 public:
  explicit CgroupCpu(const FileRoot& sys);

  // Finds the services that have a cgroup, its descendants included, to themselves: the service
  // and the cgroup of each process are given. Call it when those have changed.
  void Assign(const std::vector<ServiceEntry*>& services,
              const std::function<const std::string&(size_t)>& cgroup_of);
  // A new tick begins.
  void BeginTick() { ++tick_; }
  // What the service used since the last tick; nothing when it has no cgroup of its own or was not
  // asked for in that tick.
  std::optional<CpuTime> Used(const ServiceEntry& service);

 private:
  struct Own {
    std::string cgroup;
    std::optional<CpuTime> last;
    uint64_t tick = 0;  // of `last`
  };

  const FileRoot& sys_;
  const std::string hierarchy_;  // folder of the unified hierarchy below /sys
  std::map<const ServiceEntry*, Own> own_;
  uint64_t tick_ = 0;
};

}  // namespace idlewatt
