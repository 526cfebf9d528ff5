#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/unique_fd.h"
#include "collector/service_directory.h"
#include "supervisor/event_loop.h"
#include "supervisor/log/output.h"
#include "supervisor/probe/readiness.h"
#include "supervisor/process/child_processes.h"
#include "supervisor/process/command.h"
#include "supervisor/process/out_of_memory.h"
#include "supervisor/process/process_scan.h"
#include "supervisor/process/service_cgroup.h"
#include "supervisor/process/spawner.h"
#include "supervisor/service_record.h"
#include "supervisor/spec/service_spec.h"
#include "supervisor/status.h"

namespace idlewatt {

// What every run needs of its surroundings; all of it outlives the runs.
struct RunContext {
  EventLoop& loop;
  ChildProcesses& children;
  OutOfMemoryWatch& out_of_memory;
  const FileRoot& proc;  // the real /proc
  const FileRoot& sys;   // the real /sys
  std::string data_dir;  // canonical
  std::string boot_id;
  bool cgroups = true;  // one for each run, where it can be made
};

// One run of a service: the root, every other process of it and their output, from the spawn until
// none is left. It knows how to do things, never when: Service decides that.
// The root of a run that we started is left unreaped until nothing else of the run lives, because
// its pid is the number of the group and the session that are signalled. The root of an adopted run
// is somebody else's child: it is only reached through descriptors that cannot mean a stranger.
// Threads: supervisor loop only.
// Owns:    a pidfd of the root, one of each member that is waited for, the FIFO, the cgroup.
// Destroyed
//          before it is gone, it leaves the processes alone.
class ServiceRun {
 public:
  // Who is told. Each call but OnOutput may destroy the run.
  class Listener {
   public:
    virtual ~Listener() = default;
    // The program runs, or why it does not; before any other call, and not for an adopted run.
    virtual void OnExec(ServiceRun& run, const Result<void>& done) = 0;
    virtual void OnOutput(ServiceRun& run, std::string_view data) = 0;
    // The root ended; exit() says how.
    virtual void OnRootEnded(ServiceRun& run) = 0;
    // A member ended, or it is time to look again: CheckGone may give another answer now.
    virtual void OnMemberEnded(ServiceRun& run) = 0;
  };

  // Starts `spec`, expanded and with its port. Errors as MakeSpawnPlan and Spawn; `output` and
  // `listener` outlive the run.
  static Result<std::unique_ptr<ServiceRun>> Start(const RunContext& context, ServiceSpec spec,
                                                   Output& output, Listener& listener);
  // Takes over one that an earlier daemon started; VerifyRun must have said yes. kGone when it
  // ended meanwhile.
  static Result<std::unique_ptr<ServiceRun>> Adopt(const RunContext& context, ServiceSpec spec,
                                                   const RunRecord& record, Output& output,
                                                   Listener& listener);
  ~ServiceRun();
  ServiceRun(const ServiceRun&) = delete;
  ServiceRun& operator=(const ServiceRun&) = delete;

  // Another configuration of what needs no restart, such as how it is stopped.
  void Configure(ServiceSpec spec) { spec_ = std::move(spec); }
  // The stop signal to every process, or stop_command; SIGKILL after stop_timeout. A second call
  // changes nothing.
  void Stop();
  // SIGKILL to every process, now and to those found later.
  void Kill();
  // True when no process of the run is left; then the root was reaped and FIFO and cgroup are gone.
  // Else those that are left are waited for, and OnMemberEnded says when to ask again. What the
  // root left behind is only signalled once Stop or Kill was called.
  bool CheckGone();

  const ServiceSpec& spec() const { return spec_; }
  const RunRecord& record() const { return record_; }
  RunRecord& record() { return record_; }
  bool adopted() const { return adopted_; }
  bool root_alive() const { return !root_ended_ && !exec_failed_; }
  bool exec_failed() const { return exec_failed_; }
  const LastExit& exit() const { return exit_; }  // once the root ended
  SpawnMarks marks() const;

  // Is it of this run, or at least younger than it? A program that runs its server through another
  // daemon (docker) has no child that listens, but nothing older than the run can be its server.
  bool MayAnswerFor(pid_t pid) const;
  // Resident memory of the run's processes in bytes.
  int64_t ResidentBytes() const;
  SupervisedRoot Root() const;
  // After CheckGone: the kernel's last word on the root's CPU time; nothing for an adopted run.
  std::optional<EndedRoot> ended() const { return ended_; }

 private:
  ServiceRun(const RunContext& context, ServiceSpec spec, Output& output, Listener& listener);
  Result<void> Begin();
  Result<UniqueFd> OpenFifo();
  Result<void> WatchAll();
  void OnReport();
  void OnPipeReadable();
  void OnRootReadable();
  bool ReadExit();
  void ClosePipe();

  void OnStopCommandFailed(const Error& why);
  void SignalAll(int signal);
  void SignalGroup(int signal);
  bool HasExecuted() const;
  std::vector<ProcessInfo> Members() const;
  void TakeMembers(bool signal_group_members);
  bool WatchAndSignal(const ProcessInfo& process, bool send);
  bool AwaitMember(pid_t pid, UniqueFd pidfd);
  void LookAgainSoon();
  void Finish();

  const RunContext& context_;
  ServiceSpec spec_;
  Output& output_;
  Listener& listener_;
  RunRecord record_;
  ServiceMarker marker_;
  bool adopted_ = false;
  std::optional<SpawnPlan> plan_;  // until exec is known
  bool exec_failed_ = false;

  UniqueFd pidfd_;  // of the root
  bool root_ended_ = false;
  bool exit_is_late_ = false;
  UniqueFd report_;
  UniqueFd pipe_;
  EventLoop::Watch root_watch_;
  EventLoop::Watch report_watch_;
  EventLoop::Watch pipe_watch_;
  std::optional<ServiceCgroup> cgroup_;
  std::unique_ptr<Command> stop_command_;
  EventLoop::Timer deadline_;
  EventLoop::Timer look_again_;

  int signal_ = 0;      // the last sent to all: 0, the stop signal or SIGKILL
  KnownMembers known_;  // every member seen in this stop, ended ones too
  struct Awaited {
    UniqueFd pidfd;
    EventLoop::Watch watch;
  };
  std::map<pid_t, Awaited> awaited_;
  LastExit exit_;
  std::optional<EndedRoot> ended_;
};

// A name for a run that no other of this machine has.
std::string NewRunName(const Clock& clock);

}  // namespace idlewatt
