#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// The environment of every process we start says whose it is, and its descendants inherit that.
inline constexpr std::string_view kServiceVariable = "IDLEWATT_SERVICE";
inline constexpr std::string_view kDataDirVariable = "IDLEWATT_DATA_DIR";
inline constexpr std::string_view kRunVariable = "IDLEWATT_RUN";

// A process to be: everything is looked up beforehand, so that between clone and exec nothing is
// left but system calls.
struct SpawnPlan {
  std::vector<std::string> programs;  // paths to try in this order, as execvp does
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // NAME=value
  std::string working_dir;               // empty: the daemon's
  struct Identity {
    uid_t user = 0;
    gid_t group = 0;
    std::vector<gid_t> groups;
  };
  std::optional<Identity> identity;  // nothing: the daemon's
  std::vector<Ulimit> ulimits;
  std::optional<int> nice;
  std::optional<int> oom_score_adj;
};

// What a process of a service adds to its configuration.
struct SpawnMarks {
  std::string data_dir;       // canonical
  std::string run;            // names this run of the service
  std::string notify_socket;  // for sd_notify; empty: none
};

// The plan for `command` in the surroundings of `spec`, which must be expanded already: its
// env_file is read, its user and program are looked up. kInvalid, with the file, user or program as
// subject, for what a retry does not mend.
Result<SpawnPlan> MakeSpawnPlan(const ServiceSpec& spec, const std::vector<std::string>& command,
                                const SpawnMarks& marks);

// A supervisor needs some five descriptors a service: raises the soft limit to the hard one.
// Services get the limit of before, because select(2) fails above 1,024. Once, before the first
// service.
void RaiseDescriptorLimit();

// A child that was started and not yet waited for: until somebody does, its pid, its process group
// and its session (the same number) are not given to others.
struct SpawnedProcess {
  pid_t pid = 0;
  UniqueFd pidfd;   // readable once the process has ended
  UniqueFd report;  // readable once exec succeeded or failed; see ReadExecReport
  bool in_cgroup = false;
};

// Starts a process as leader of a new session with no blocked or ignored signal, stdin from
// /dev/null, stdout and stderr into `output`, and no other descriptor. Returns before exec: the
// report tells. `cgroup` is a descriptor of the cgroup v2 folder that it starts in, or -1. Errors:
// kTransient for a lack of resources. No PR_SET_PDEATHSIG: it fires when the spawning thread ends,
// not the process.
Result<SpawnedProcess> Spawn(const SpawnPlan& plan, int output, int cgroup = -1);

// What came of exec; to be called once `report` is readable. Success means that the program runs.
// Errors: kInvalid when command, folder or user is at fault, which a retry does not mend;
// kTransient
//         for a lack of resources. The process has ended then, or is about to.
Result<void> ReadExecReport(const SpawnPlan& plan, int report);

}  // namespace idlewatt
