#include "supervisor/service.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "supervisor/pidfd.h"
#include "supervisor/spawner.h"

namespace idlewatt {
namespace {

// More are waited for one batch after another, so a fork bomb cannot take all our descriptors.
constexpr size_t kMaxAwaited = 64;
// When a member cannot be waited for: no descriptor is left, or it ended just now.
constexpr std::chrono::milliseconds kRecheck{20};

std::string SignalText(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

LastExit DescribeExit(const siginfo_t& info, WallTime at) {
  if (info.si_code == CLD_EXITED) {
    return {LastExit::Kind::kCode, info.si_status, at,
            "exited with code " + std::to_string(info.si_status)};
  }
  return {LastExit::Kind::kSignal, info.si_status, at, "killed by " + SignalText(info.si_status)};
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

Service::Service(ServiceSpec service_spec, const ServiceContext& context)
    : spec(std::move(service_spec)),
      context_(context),
      marker_{spec.name, context.data_dir},
      output_(LogFile(context.log_dir + "/" + spec.name + ".log", spec.log.max_size,
                      spec.log.max_backups)) {}

Result<void> Service::Spawn(const std::vector<uint16_t>& taken_ports) {
  failure_.clear();
  ServiceSpec with_port = spec;
  Result<uint16_t> port = uint16_t{0};
  for (bool picked = !spec.auto_port; !picked;) {
    port = PickFreePort();
    picked = !port || std::ranges::find(taken_ports, *port) == taken_ports.end();
    if (port) with_port.port = *port;
  }
  Result<ServiceSpec> expanded = port ? Expand(with_port) : Result<ServiceSpec>(port.error());
  Result<void> done = expanded ? SpawnExpanded(*expanded) : Result<void>(expanded.error());
  if (!done) failure_ = done.error().ToString();
  return done;
}

Result<void> Service::SpawnExpanded(const ServiceSpec& expanded) {
  if (const auto pid = ProcessScan(context_.proc).FindEarlierRun(marker_)) {
    return Error{ErrorCode::kInvalid, "process " + std::to_string(*pid), 0,
                 "it still runs for this service since an earlier run of the daemon; stop it "
                 "(kill " +
                     std::to_string(*pid) + ") and start idlewatt again"};
  }
  ASSIGN_OR_RETURN(SpawnedProcess process, idlewatt::Spawn(expanded, context_.data_dir));
  output_.Open(std::move(process.output));
  ServiceRun& run = run_.emplace();
  run.pid = process.pid;
  run.pidfd = std::move(process.pidfd);
  run.port = expanded.port;
  run.started = context_.clock.Now();
  new_watches_.push_back({Source::kRoot, run.pidfd.get()});
  new_watches_.push_back({Source::kOutput, output_.pipe()});
  return {};
}

void Service::BeginStop() {
  if (!run_) return;
  run_->deadline = context_.clock.Now().boot + spec.stop_timeout;
  SignalAll(spec.stop_signal);
}

void Service::Kill() {
  if (!run_) return;
  run_->deadline.reset();
  SignalAll(SIGKILL);
}

void Service::SignalAll(int signal) {
  run_->signal = signal;
  // First look who is there: once the root has ended, a grandchild that left the session and lost
  // our marks is nobody's that we know.
  TakeMembers(/*signal_group_members=*/false);
  // The group's number is ours as long as the root is unreaped. One call reaches all of it, also
  // what forks at this moment. A stopped process takes SIGTERM only once it continues.
  ::kill(-run_->pid, signal);
  if (signal != SIGKILL) ::kill(-run_->pid, SIGCONT);
}

bool Service::CheckGone() {
  if (!run_) return true;
  if (run_->pidfd || !run_->awaited.empty()) return false;
  run_->recheck.reset();
  TakeMembers(/*signal_group_members=*/true);
  if (!run_->awaited.empty() || run_->recheck) return false;
  Finish();
  return true;
}

// Finds the members, waits for them, and signals those that have not been before.
void Service::TakeMembers(bool signal_group_members) {
  const ProcessScan scan(context_.proc);
  for (const ProcessInfo& process : scan.MembersOf(run_->pid, marker_, run_->known)) {
    const auto known = run_->known.find(process.pid);
    const bool is_new = known == run_->known.end() || known->second != process.start_ticks;
    const bool reached = !signal_group_members && process.group == run_->pid;
    const bool send = !reached && (is_new || run_->signal == SIGKILL);
    if (!WatchAndSignal(process, send)) run_->recheck = context_.clock.Now().boot + kRecheck;
  }
}

// False when it cannot be waited for, so that somebody must look again.
bool Service::WatchAndSignal(const ProcessInfo& process, bool send) {
  UniqueFd pidfd(::pidfd_open(process.pid, 0));
  if (!pidfd) return false;
  // Between scan and pidfd_open the pid may have gone to a stranger, who must not be signalled.
  std::string stat;
  if (!context_.proc.ReadInto(std::to_string(process.pid) + "/stat", stat)) return false;
  const Result<ProcessInfo> now = ParseStat(stat);
  if (!now || now->start_ticks != process.start_ticks) return false;

  if (send) {
    ::pidfd_send_signal(pidfd.get(), run_->signal, nullptr, 0);
    if (run_->signal != SIGKILL) ::pidfd_send_signal(pidfd.get(), SIGCONT, nullptr, 0);
  }
  run_->known[process.pid] = process.start_ticks;
  if (run_->awaited.contains(process.pid) || run_->awaited.size() >= kMaxAwaited) return true;
  new_watches_.push_back({Source::kMember, pidfd.get()});
  run_->awaited[process.pid] = std::move(pidfd);
  return true;
}

void Service::Finish() {
  // What was born while we looked is in the group most likely; zombies do not mind.
  ::kill(-run_->pid, SIGKILL);
  output_.Close();
  rusage usage{};
  if (::wait4(run_->pid, nullptr, WNOHANG, &usage) == run_->pid) {
    ended_ = EndedRoot{spec.name, run_->pid, Seconds(usage.ru_utime), Seconds(usage.ru_stime)};
  }
  run_.reset();
  new_watches_.clear();
}

bool Service::OnRootReadable() {
  if (!run_ || !run_->pidfd) return false;
  siginfo_t info{};
  // WNOWAIT: the zombie keeps the number of the group ours until Finish.
  const int failed =
      ::waitid(P_PID, static_cast<id_t>(run_->pid), &info, WEXITED | WNOHANG | WNOWAIT);
  if (failed == 0 && info.si_pid == 0) return false;
  const WallTime now = context_.clock.Now().wall;
  last_exit_ = failed == 0 ? DescribeExit(info, now)
                           : LastExit{LastExit::Kind::kUnknown, 0, now, "ended, nobody saw how"};
  if (run_->signal == 0 && !(last_exit_->kind == LastExit::Kind::kCode && last_exit_->value == 0)) {
    failure_ = last_exit_->text;
  }
  run_->pidfd.reset();
  output_.Drain();  // its last words belong to the status that tells of its end
  return true;
}

bool Service::OnMemberReadable(int fd) {
  if (!run_) return false;
  return std::erase_if(run_->awaited, [&](const auto& m) { return m.second.get() == fd; }) > 0;
}

std::vector<Service::Watch> Service::TakeNewWatches() { return std::exchange(new_watches_, {}); }

std::optional<BootTime> Service::next_timer() const {
  if (!run_) return std::nullopt;
  if (!run_->deadline || !run_->recheck) return run_->deadline ? run_->deadline : run_->recheck;
  return std::min(*run_->deadline, *run_->recheck);
}

Service::Timer Service::OnTimer(BootTime now) {
  if (run_ && run_->deadline && *run_->deadline <= now) {
    run_->deadline.reset();
    return Timer::kDeadline;
  }
  if (run_ && run_->recheck && *run_->recheck <= now) {
    run_->recheck.reset();
    return Timer::kCheckGone;
  }
  return Timer::kNothing;
}

ServiceStatus Service::Status() const {
  ServiceStatus status;
  status.name = spec.name;
  status.state = state;
  status.ready = state == ServiceState::kReady;
  status.port = run_ ? run_->port : spec.port;
  status.model = spec.model;
  status.last_exit = last_exit_;
  status.failure = failure_;
  status.last_output = output_.LastLines();
  status.log_path = output_.log().path();
  status.log_bytes = output_.log().written_bytes();
  status.log_dropped_bytes = output_.log().dropped_bytes();
  status.has_processes = run_.has_value();
  if (run_ && run_->pidfd) {
    status.pid = run_->pid;
    status.started_at = run_->started.wall;
    status.started_boot = run_->started.boot;
  }
  return status;
}

std::optional<SupervisedRoot> Service::Root() const {
  if (!run_) return std::nullopt;
  return SupervisedRoot{spec.name, run_->pid, run_->port};
}

}  // namespace idlewatt
