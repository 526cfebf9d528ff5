#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/unique_fd.h"
#include "collector/service_directory.h"
#include "supervisor/output.h"
#include "supervisor/process_scan.h"
#include "supervisor/service_spec.h"
#include "supervisor/status.h"

namespace idlewatt {

// What every service needs of its surroundings; all of it outlives the services.
struct ServiceContext {
  const Clock& clock;    // its boot time must be CLOCK_BOOTTIME: a timerfd waits for it
  const FileRoot& proc;  // the real /proc
  std::string data_dir;  // canonical
  std::string log_dir;
};

// From a successful exec until no process of it is left. Of Service only.
struct ServiceRun {
  pid_t pid = 0;
  UniqueFd pidfd;  // empty once the root has ended
  std::optional<uint16_t> port;
  TimePoint started;
  int signal = 0;                     // the last sent to all: 0, the stop signal or SIGKILL
  KnownMembers known;                 // every member seen in this stop, ended ones too
  std::map<pid_t, UniqueFd> awaited;  // a pidfd of each member that is waited for
  std::optional<BootTime> deadline;   // of the stop
  std::optional<BootTime> recheck;    // a member that cannot be awaited is looked for again
};

// One service and its current run: the root, every other process of it, their output. It knows how
// to do things, never when: the loop decides that, by the transition table.
// The root is left unreaped until nothing else of the run lives, because its pid is the number of
// the group and the session that are signalled.
// Threads: supervisor loop only.
// Owns:    a pidfd of the root, one of each member that is waited for, the pipe and the log.
class Service {
 public:
  // Which descriptor of a service is ready.
  enum class Source { kRoot, kMember, kOutput };

  // `context` must outlive this object.
  Service(ServiceSpec spec, const ServiceContext& context);

  // Starts a run. On failure there is none, and status().failure says why. `taken_ports` are not
  // picked for port = "auto". There must be no run.
  Result<void> Spawn(const std::vector<uint16_t>& taken_ports);
  // Sends the stop signal to every process and arms the deadline.
  void BeginStop();
  // Sends SIGKILL to every process, now and to those found later.
  void Kill();
  // True when no process of the run is left; then the root was reaped, pipe and log are closed and
  // there is no run any more. Else the members found are waited for, and OnMemberReadable or the
  // timer says when to ask again.
  bool CheckGone();

  // The root's descriptor is readable: notes how it ended. False when it has not ended.
  bool OnRootReadable();
  // False when `fd` is not of a member (it was of one before).
  bool OnMemberReadable(int fd);
  void OnOutputReadable() { output_.Drain(); }

  // Descriptors to watch since the last call; closing them ends the watch.
  struct Watch {
    Source source;
    int fd;
  };
  std::vector<Watch> TakeNewWatches();

  // When OnTimer wants to be called; nothing when never.
  std::optional<BootTime> next_timer() const;
  enum class Timer { kNothing, kDeadline, kCheckGone };
  Timer OnTimer(BootTime now);

  bool IsRoot(pid_t pid) const { return run_ && run_->pid == pid; }
  const LastExit& last_exit() const { return *last_exit_; }
  ServiceStatus Status() const;
  std::optional<SupervisedRoot> Root() const;
  // The root that CheckGone reaped, once.
  std::optional<EndedRoot> TakeEnded() { return std::exchange(ended_, std::nullopt); }

  const ServiceSpec spec;  // as configured
  ServiceState state = ServiceState::kStopped;
  bool changed = true;  // since the loop published it

 private:
  Result<void> SpawnExpanded(const ServiceSpec& expanded);
  void SignalAll(int signal);
  void TakeMembers(bool signal_group_members);
  bool WatchAndSignal(const ProcessInfo& process, bool send);
  void Finish();

  const ServiceContext& context_;
  const ServiceMarker marker_;
  Output output_;
  std::optional<ServiceRun> run_;
  std::optional<LastExit> last_exit_;
  std::optional<EndedRoot> ended_;
  std::string failure_;
  std::vector<Watch> new_watches_;
};

}  // namespace idlewatt
