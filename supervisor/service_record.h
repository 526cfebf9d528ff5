#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/result.h"
#include "supervisor/status.h"

namespace idlewatt {

// A run as it is written down, so that a later daemon finds it again. (pid, start_ticks) on the
// same boot is the identity.
struct RunRecord {
  std::string run;  // the value of IDLEWATT_RUN
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  std::string fifo;        // path that its output goes to
  std::string cgroup;      // path() of its ServiceCgroup; empty: it has none of its own
  uint64_t cgroup_id = 0;  // and its id()
  std::optional<uint16_t> port;
  std::string model;
  WallTime started;
  BootTime started_boot;
  std::optional<BootTime> ready_boot;  // since when it is ready
};

// What is remembered of a service from one daemon to the next.
struct ServiceRecord {
  std::string boot_id;
  ServiceState state = ServiceState::kStopped;
  std::optional<RunRecord> run;
  std::vector<RunRecord> others;        // of a swap under way: to be stopped
  std::string fingerprint;              // of what is configured; see StartFingerprint
  std::string model;                    // as it is run, which a swap may have changed
  std::vector<std::string> command;     // the same
  std::vector<BootTime> restart_times;  // within start_limit.interval
  int restart_attempts = 0;
  std::optional<BootTime> next_retry;
  std::map<std::string, int64_t> restarts;
  StartDurations start_durations;
  std::optional<LastExit> last_exit;
  std::string failure;
  bool stopped_by_operator = false;
};

std::string FormatServiceRecord(const ServiceRecord& record);  // JSON
// kParse for what is none, is of another version, or holds what no daemon writes: a time or number
// below 0, a time so late that sums with it would overflow.
Result<ServiceRecord> ParseServiceRecord(std::string_view text);

// One file NAME.json for each service in a folder, each replaced in one step.
// Threads: one.
class ServiceRecords {
 public:
  // Makes the folder (0700) when it is missing.
  static Result<ServiceRecords> Open(std::string folder);

  // Those that can be read, by service. Files that cannot are renamed to NAME.json.damaged, and
  // told of in the log.
  std::map<std::string, ServiceRecord> Load() const;
  // A failure (a full disk) is logged once until it works again; the supervisor goes on.
  void Save(const std::string& service, const ServiceRecord& record);
  void Remove(const std::string& service);

 private:
  explicit ServiceRecords(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
  std::set<std::string> failed_;  // services whose last Save failed
};

// Of this boot: /proc/sys/kernel/random/boot_id. Empty when it cannot be read.
std::string ReadBootId(const FileRoot& proc);

// Is the process of `run` still the one that was started for `service` in `data_dir` on the boot of
// `boot_id`? Boot, number and start time must agree, it must lead a session, no mark in its
// environment may say otherwise, and without any mark it must be in the cgroup of the run, if that
// has one; all must be readable: a process that cannot be verified is not ours. The error says why
// not: kGone when the one of `run` has ended.
Result<void> VerifyRun(const FileRoot& proc, const RunRecord& run, const std::string& boot_id,
                       const std::string& service, const std::string& data_dir);

}  // namespace idlewatt
