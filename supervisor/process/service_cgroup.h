#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_root.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// The cgroup v2 folder of one run of a service, below the daemon's own: whoever is born in it
// stays, so the run is exactly what it holds, and one write kills it all.
// Source:  kernel Documentation/admin-guide/cgroup-v2.rst.
// Errors:  where cgroups may not be made (containers, plain users, cgroup v1 only) services run
//          without; the reason is for people.
// Threads: supervisor loop only, but FindOwn and FindParent on any.
// Owns:    descriptors of the folder and of cgroup.events; not the folder, see Remove.
class ServiceCgroup {
 public:
  // The folder of this process, below `sys`; kNoData without cgroup v2.
  static Result<std::string> FindOwn(const FileRoot& proc, const FileRoot& sys);
  // The same, when those of services can be made in it; else why not: kNoData, kPermission.
  static Result<std::string> FindParent(const FileRoot& proc, const FileRoot& sys);

  // Makes "idlewatt-NAME" below the cgroup of this process, or "idlewatt-NAME-2" and so on while
  // that is taken. `proc` and `sys` are the real ones.
  static Result<ServiceCgroup> Create(const FileRoot& proc, const FileRoot& sys,
                                      const std::string& name);
  // One that an earlier daemon made on this boot; kGone when it is not there any more.
  static Result<ServiceCgroup> Open(const FileRoot& sys, const std::string& path, uint64_t id);

  // Is `folder` a name that Create may give to a run of `service`?
  static bool IsNameOf(std::string_view service, std::string_view folder);

  // As /proc/PID/cgroup has it: "/system.slice/idlewatt.service/idlewatt-NAME".
  const std::string& path() const { return path_; }
  // Of this folder alone, as long as the machine runs: another one at the same path has another.
  uint64_t id() const { return id_; }
  int folder() const { return folder_.fd(); }  // for CLONE_INTO_CGROUP
  // cgroup.events: EPOLLPRI at each change of populated, until IsPopulated has read it anew.
  int events() const { return events_.get(); }

  // Does any process live in it or below? Zombies do not count.
  bool IsPopulated() const;
  // The processes in it and below.
  std::vector<pid_t> Processes() const;
  // SIGKILL to all, also to what forks meanwhile. kNoData before Linux 5.14.
  Result<void> Kill() const;
  // How many processes of it the kernel killed for memory; nothing when the memory controller is
  // not on in it.
  std::optional<int64_t> OutOfMemoryKills() const;
  // Removes the folder and those below, which must be empty of processes; kTransient when not.
  Result<void> Remove() const;

 private:
  ServiceCgroup(std::string path, uint64_t id, FileRoot folder, UniqueFd events);
  static Result<ServiceCgroup> OpenFolder(const FileRoot& sys, std::string_view mount,
                                          std::string path);

  std::string path_;
  uint64_t id_;
  FileRoot folder_;
  UniqueFd events_;
};

}  // namespace idlewatt
