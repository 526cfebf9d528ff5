#include "supervisor/service_run.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/text.h"
#include "supervisor/process/pidfd.h"

namespace idlewatt {
namespace {

// More are waited for one batch after another, so a fork bomb cannot take all our descriptors.
constexpr size_t kMaxAwaited = 64;
// When a member cannot be waited for: no descriptor is left, or it ended just now.
constexpr std::chrono::milliseconds kLookAgain{20};
// How long the end of a stranger's child is waited on to tell its exit code.
constexpr std::chrono::milliseconds kExitCodePatience{20};
constexpr int kPipeBytes = 1 << 20;  // what a service may write while no daemon runs
constexpr int kLastDrains = 64;  // a flood of what the root left behind must not hold up its end

std::string SignalText(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

// `status` as wait(2) gives it.
LastExit DescribeExit(int status) {
  LastExit exit;
  if (WIFEXITED(status)) {
    exit.kind = LastExit::Kind::kCode;
    exit.value = WEXITSTATUS(status);
    exit.text = "exited with code " + std::to_string(exit.value);
  } else {
    exit.kind = LastExit::Kind::kSignal;
    exit.value = WTERMSIG(status);
    exit.text = "killed by " + SignalText(exit.value);
  }
  return exit;
}

LastExit UnknownExit() { return {LastExit::Kind::kUnknown, 0, {}, "ended, exit code unknown", {}}; }

// The end of our own child, which stays unreaped. Nothing when it has not ended.
std::optional<LastExit> ExitOfChild(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    return UnknownExit();
  }
  if (info.si_pid == 0) return std::nullopt;
  // The status in the form of wait(2).
  return DescribeExit(info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status);
}

// Of Linux 6.15 and later; Debian 12's headers do not have it. include/uapi/linux/pidfd.h.
struct PidfdInfo {
  uint64_t mask = 0;
  uint64_t cgroup = 0;
  uint32_t ids[11] = {};
  int32_t exit_code = 0;  // as wait(2) gives it
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr uint64_t kPidfdInfoExit = 1U << 3;

// The end of somebody else's child, once its parent has waited for it.
std::optional<LastExit> ExitOfStranger(int pidfd) {
  PidfdInfo info;
  info.mask = kPidfdInfoExit;
  if (::ioctl(pidfd, _IOWR(0xFF, 11, PidfdInfo), &info) != 0) return std::nullopt;
  if ((info.mask & kPidfdInfoExit) == 0) return std::nullopt;
  return DescribeExit(info.exit_code);
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// To the whole group of a process, which may have been reaped; Linux 6.9 and later. False when the
// kernel cannot do it.
bool SignalGroupOf(int pidfd, int signal) {
  constexpr unsigned kProcessGroup = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP
  return ::pidfd_send_signal(pidfd, signal, nullptr, kProcessGroup) == 0 || errno == ESRCH;
}

}  // namespace

std::string NewRunName(const Clock& clock) {
  static std::atomic<uint32_t> count{0};
  const auto since_boot = clock.Now().boot.time_since_epoch().count();
  return std::to_string(since_boot) + "-" + std::to_string(::getpid()) + "-" +
         std::to_string(++count);
}

ServiceRun::ServiceRun(const RunContext& context, ServiceSpec spec, Output& output,
                       Listener& listener)
    : context_(context),
      spec_(std::move(spec)),
      output_(output),
      listener_(listener),
      deadline_(context.loop),
      look_again_(context.loop) {}

ServiceRun::~ServiceRun() {
  // Not gone: whoever ends the daemon in a hurry leaves the processes to the next one. The root may
  // be waited for by anybody then.
  if (!adopted_ && record_.pid != 0) context_.children.Release(record_.pid);
}

Result<std::unique_ptr<ServiceRun>> ServiceRun::Start(const RunContext& context, ServiceSpec spec,
                                                      Output& output, Listener& listener) {
  std::unique_ptr<ServiceRun> run(new ServiceRun(context, std::move(spec), output, listener));
  RETURN_IF_ERROR(run->Begin());
  return run;
}

Result<void> ServiceRun::Begin() {
  const TimePoint now = context_.loop.clock().Now();
  record_.run = NewRunName(context_.loop.clock());
  record_.port = spec_.port;
  record_.model = spec_.model;
  record_.started = now.wall;
  record_.started_boot = now.boot;
  record_.fifo = context_.data_dir + "/fifo/" + spec_.name + "." + record_.run;
  marker_ = {spec_.name, context_.data_dir, record_.run};
  ASSIGN_OR_RETURN(plan_, MakeSpawnPlan(spec_, spec_.command, marks()));
  context_.out_of_memory.Look();

  auto writer = OpenFifo();
  if (context_.cgroups) {
    auto cgroup = ServiceCgroup::Create(context_.proc, context_.sys, spec_.name);
    if (cgroup) cgroup_ = std::move(*cgroup);
  }
  auto process = writer ? Spawn(*plan_, writer->get(), cgroup_ ? cgroup_->folder() : -1)
                        : Result<SpawnedProcess>(writer.error());
  if (!process || !process->in_cgroup) {
    if (cgroup_) (void)cgroup_->Remove();
    cgroup_.reset();
  }
  if (!process) {
    ClosePipe();
    return process.error();
  }
  record_.pid = process->pid;
  if (cgroup_) {
    record_.cgroup = cgroup_->path();
    record_.cgroup_id = cgroup_->id();
  }
  pidfd_ = std::move(process->pidfd);
  report_ = std::move(process->report);
  context_.children.Keep(record_.pid);
  if (const auto info = ReadProcess(context_.proc, record_.pid)) {
    record_.start_ticks = info->start_ticks;
  }
  Result<void> watched = WatchAll();
  if (watched) return watched;
  ::pidfd_send_signal(pidfd_.get(), SIGKILL, nullptr, 0);
  ClosePipe();
  return watched;
}

Result<std::unique_ptr<ServiceRun>> ServiceRun::Adopt(const RunContext& context, ServiceSpec spec,
                                                      const RunRecord& record, Output& output,
                                                      Listener& listener) {
  std::unique_ptr<ServiceRun> run(new ServiceRun(context, std::move(spec), output, listener));
  run->adopted_ = true;
  run->record_ = record;
  run->marker_ = {run->spec_.name, context.data_dir, record.run};
  run->pidfd_.reset(::pidfd_open(record.pid, 0));
  // After the descriptor was opened, so that it means the process that is looked at.
  const Result<void> verified =
      VerifyRun(context.proc, record, context.boot_id, run->spec_.name, context.data_dir);
  if (!verified && verified.error().code != ErrorCode::kGone) return verified.error();
  if (!verified) {
    // The root ended; the marks tell what it left behind.
    run->pidfd_.reset();
    run->root_ended_ = true;
    run->exit_ = UnknownExit();
    run->exit_.at = context.loop.clock().Now().wall;
  }
  if (!record.cgroup.empty()) {
    if (auto cgroup = ServiceCgroup::Open(context.sys, record.cgroup, record.cgroup_id))
      run->cgroup_ = std::move(*cgroup);
  }
  run->pipe_.reset(::open(record.fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!run->pipe_) {
    spdlog::warn("service \"{}\": {}", run->spec_.name,
                 ErrnoError(errno, record.fifo, "its output is lost").ToString());
  }
  RETURN_IF_ERROR(run->WatchAll());
  return run;
}

SpawnMarks ServiceRun::marks() const {
  const bool notify = spec_.ready && spec_.ready->notify;
  return {context_.data_dir, record_.run, notify ? NotifySocketName(record_.run) : ""};
}

// A FIFO outlives us, so a service can write on while no daemon runs, and the next one reads on.
// Its writers open it for reading as well: without a reader they would get SIGPIPE.
Result<UniqueFd> ServiceRun::OpenFifo() {
  const std::string& path = record_.fifo;
  const auto lacks = [&] {
    return Error{ErrorCode::kTransient, path, errno, "no FIFO for its output"};
  };
  if (::mkfifo(path.c_str(), 0600) != 0) return lacks();
  pipe_.reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  UniqueFd writer(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!pipe_ || !writer) return lacks();
  // May be refused when this user has many pipes: then it stays at 64 KiB.
  ::fcntl(pipe_.get(), F_SETPIPE_SZ, kPipeBytes);
  // So that /dev/stderr can be opened, as many servers do.
  if (plan_->identity &&
      ::fchown(writer.get(), plan_->identity->user, static_cast<gid_t>(-1)) != 0) {
    return lacks();
  }
  return writer;
}

Result<void> ServiceRun::WatchAll() {
  EventLoop& loop = context_.loop;
  if (report_) {
    ASSIGN_OR_RETURN(report_watch_,
                     loop.WatchFd(report_.get(), EPOLLIN, [this](uint32_t) { OnReport(); }));
  }
  if (pipe_) {
    ASSIGN_OR_RETURN(pipe_watch_,
                     loop.WatchFd(pipe_.get(), EPOLLIN, [this](uint32_t) { OnPipeReadable(); }));
  }
  if (!root_ended_) {
    ASSIGN_OR_RETURN(root_watch_,
                     loop.WatchFd(pidfd_.get(), EPOLLIN, [this](uint32_t) { OnRootReadable(); }));
  }
  return {};
}

void ServiceRun::OnReport() {
  report_watch_.Reset();
  const Result<void> done = ReadExecReport(*plan_, report_.get());
  report_.reset();
  plan_.reset();
  exec_failed_ = !done;
  listener_.OnExec(*this, done);
}

void ServiceRun::OnPipeReadable() {
  // Whoever writes runs.
  if (report_) return OnReport();
  const auto take = [this](std::string_view data) { listener_.OnOutput(*this, data); };
  if (output_.Drain(pipe_.get(), take) == Output::Drained::kEnd) ClosePipe();
}

void ServiceRun::ClosePipe() {
  pipe_watch_.Reset();
  pipe_.reset();
  ::unlink(record_.fifo.c_str());
}

void ServiceRun::OnRootReadable() {
  if (report_) return OnReport();
  if (!ReadExit()) return;
  root_watch_.Reset();
  root_ended_ = true;
  exit_.at = context_.loop.clock().Now().wall;
  // Its last words belong to the status that tells of its end.
  for (int turn = 0; pipe_ && turn < kLastDrains; ++turn) {
    const auto drained = output_.Drain(pipe_.get(), {});
    if (drained == Output::Drained::kEnd) ClosePipe();
    if (drained != Output::Drained::kMore) break;
  }
  exit_.lines = output_.LastLines();
  listener_.OnRootEnded(*this);
}

// False when it is not known yet.
bool ServiceRun::ReadExit() {
  std::optional<LastExit> exit = adopted_ ? ExitOfStranger(pidfd_.get()) : ExitOfChild(record_.pid);
  if (!exit && !adopted_) return false;
  if (!exit && !exit_is_late_) {
    // Its parent has not waited for it yet, or this kernel never tells: look once more.
    root_watch_.Reset();
    exit_is_late_ = true;
    look_again_.SetAfter(kExitCodePatience, [this] { OnRootReadable(); });
    return false;
  }
  exit_ = exit ? *exit : UnknownExit();
  const bool not_by_us = signal_ != SIGKILL;
  if (exit_.kind == LastExit::Kind::kSignal && exit_.value == SIGKILL && not_by_us &&
      context_.out_of_memory.StruckSinceLastLook(cgroup_ ? &*cgroup_ : nullptr)) {
    exit_.kind = LastExit::Kind::kOutOfMemory;
    exit_.text = "killed by the kernel, which was out of memory";
  }
  return true;
}

void ServiceRun::Stop() {
  if (signal_ != 0) return;
  deadline_.SetAfter(spec_.stop_timeout, [this] {
    Kill();
    listener_.OnMemberEnded(*this);
  });
  if (spec_.stop_command.empty() || root_ended_) return SignalAll(spec_.stop_signal);
  const auto plan = MakeSpawnPlan(spec_, spec_.stop_command, marks());
  if (!plan) return OnStopCommandFailed(plan.error());
  signal_ = spec_.stop_signal;  // of what is left once the root has ended
  stop_command_ = std::make_unique<Command>(context_.loop, context_.children, *plan,
                                            spec_.stop_timeout, [this](const Result<void>& done) {
                                              stop_command_.reset();
                                              if (!done) OnStopCommandFailed(done.error());
                                              listener_.OnMemberEnded(*this);
                                            });
}

void ServiceRun::OnStopCommandFailed(const Error& why) {
  spdlog::warn("service \"{}\": stop_command: {}; {} is sent in its place", spec_.name,
               why.ToString(), SignalText(spec_.stop_signal));
  SignalAll(spec_.stop_signal);
}

void ServiceRun::Kill() {
  deadline_.Cancel();
  stop_command_.reset();
  SignalAll(SIGKILL);
}

void ServiceRun::SignalAll(int signal) {
  signal_ = signal;
  // First look who is there: once the root has ended, a grandchild that left the session and lost
  // our marks is nobody's that we know.
  TakeMembers(/*signal_group_members=*/false);
  if (signal == SIGKILL && cgroup_) (void)cgroup_->Kill();
  SignalGroup(signal);
  // A stopped process takes SIGTERM only once it continues.
  if (signal != SIGKILL) SignalGroup(SIGCONT);
}

void ServiceRun::SignalGroup(int signal) {
  // The group's number is ours as long as the root is unreaped. One call reaches all of it, also
  // what forks at this moment.
  if (!adopted_) {
    // Between clone and setsid there is no group yet, only the root.
    if (::kill(-record_.pid, signal) != 0) ::pidfd_send_signal(pidfd_.get(), signal, nullptr, 0);
    return;
  }
  if (SignalGroupOf(pidfd_.get(), signal)) return;
  // Before Linux 6.9: the root and each member by its own descriptor.
  if (!root_ended_) ::pidfd_send_signal(pidfd_.get(), signal, nullptr, 0);
  for (const auto& [pid, awaited] : awaited_) {
    ::pidfd_send_signal(awaited.pidfd.get(), signal, nullptr, 0);
  }
}

bool ServiceRun::CheckGone() {
  if (!root_ended_ || !awaited_.empty() || stop_command_) return false;
  look_again_.Cancel();
  TakeMembers(/*signal_group_members=*/true);
  if (!awaited_.empty() || look_again_.when()) return false;
  Finish();
  return true;
}

std::vector<ProcessInfo> ServiceRun::Members() const {
  std::vector<ProcessInfo> members;
  if (cgroup_ && !cgroup_->IsPopulated()) return members;
  if (cgroup_) {
    for (const pid_t pid : cgroup_->Processes()) {
      const auto process = ReadProcess(context_.proc, pid);
      if (process && process->IsAlive() && pid != record_.pid) members.push_back(*process);
    }
    return members;
  }
  members = ProcessScan(context_.proc)
                .MembersOf({record_.pid, record_.start_ticks, adopted_, marker_}, known_);
  // Probes and stop commands carry the marks too.
  std::erase_if(members, [&](const ProcessInfo& p) { return context_.children.IsKept(p.pid); });
  return members;
}

// Finds the members, waits for them, and signals those that have not been before.
void ServiceRun::TakeMembers(bool signal_group_members) {
  for (const ProcessInfo& process : Members()) {
    const auto known = known_.find(process.pid);
    const bool is_new = known == known_.end() || known->second != process.start_ticks;
    const bool reached = !signal_group_members && process.group == record_.pid;
    const bool send = signal_ != 0 && !reached && (is_new || signal_ == SIGKILL);
    if (!WatchAndSignal(process, send)) LookAgainSoon();
  }
}

void ServiceRun::LookAgainSoon() {
  look_again_.SetAfter(kLookAgain, [this] { listener_.OnMemberEnded(*this); });
}

// False when it cannot be waited for, so that somebody must look again.
bool ServiceRun::WatchAndSignal(const ProcessInfo& process, bool send) {
  UniqueFd pidfd(::pidfd_open(process.pid, 0));
  if (!pidfd) return false;
  // Between scan and pidfd_open the pid may have gone to a stranger, who must not be signalled.
  const auto now = ReadProcess(context_.proc, process.pid);
  if (!now || now->start_ticks != process.start_ticks) return false;

  if (send) {
    ::pidfd_send_signal(pidfd.get(), signal_, nullptr, 0);
    if (signal_ != SIGKILL) ::pidfd_send_signal(pidfd.get(), SIGCONT, nullptr, 0);
  }
  known_[process.pid] = process.start_ticks;
  if (awaited_.contains(process.pid) || awaited_.size() >= kMaxAwaited) return true;
  return AwaitMember(process.pid, std::move(pidfd));
}

bool ServiceRun::AwaitMember(pid_t pid, UniqueFd pidfd) {
  auto watch = context_.loop.WatchFd(pidfd.get(), EPOLLIN, [this, pid](uint32_t) {
    awaited_.erase(pid);
    if (awaited_.empty()) listener_.OnMemberEnded(*this);
  });
  if (!watch) return false;
  awaited_[pid] = {std::move(pidfd), std::move(*watch)};
  return true;
}

void ServiceRun::Finish() {
  // What was born while we looked is in the group most likely; zombies do not mind.
  if (adopted_) {
    SignalGroupOf(pidfd_.get(), SIGKILL);
  } else {
    ::kill(-record_.pid, SIGKILL);
  }
  deadline_.Cancel();
  // Takes what is there, whoever else may still hold the other end.
  if (pipe_) output_.Drain(pipe_.get(), {});
  ClosePipe();
  rusage usage{};
  if (!adopted_ && ::wait4(record_.pid, nullptr, WNOHANG, &usage) == record_.pid) {
    ended_ = EndedRoot{spec_.name, record_.pid, Seconds(usage.ru_utime), Seconds(usage.ru_stime)};
  }
  context_.children.Release(record_.pid);
  if (cgroup_) (void)cgroup_->Remove();
  cgroup_.reset();
}

bool ServiceRun::HasExecuted() const {
  if (!report_) return true;
  pollfd told{report_.get(), POLLIN, 0};
  return ::poll(&told, 1, 0) == 1;
}

bool ServiceRun::MayAnswerFor(pid_t pid) const {
  // Until exec the root has copies of our own descriptors, of listening sockets too.
  if (!HasExecuted()) return false;
  const auto process = ReadProcess(context_.proc, pid);
  if (!process) return false;
  if (process->session == record_.pid || process->start_ticks > record_.start_ticks) return true;
  // Of the same hundredth of a second: a child with a session of its own, or a stranger.
  return std::ranges::any_of(Members(), [&](const ProcessInfo& m) { return m.pid == pid; });
}

int64_t ServiceRun::ResidentBytes() const {
  std::vector<ProcessInfo> processes = Members();
  if (const auto root = ReadProcess(context_.proc, record_.pid)) processes.push_back(*root);
  int64_t pages = 0;
  std::string statm;
  for (const ProcessInfo& process : processes) {
    if (!context_.proc.ReadInto(std::to_string(process.pid) + "/statm", statm)) continue;
    std::string_view rest = statm;
    NextField(rest);  // virtual size
    pages += ParseNumber<int64_t>(NextField(rest)).value_or(0);
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

SupervisedRoot ServiceRun::Root() const {
  return {spec_.name, record_.pid, record_.port, cgroup_ ? cgroup_->path() : ""};
}

}  // namespace idlewatt
