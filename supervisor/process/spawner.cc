#include "supervisor/process/spawner.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "supervisor/spec/surroundings.h"

namespace idlewatt {
namespace {

std::optional<Ulimit> original_descriptors;  // set once, before there is a second thread

std::vector<std::string> Assignments(const Variables& variables) {
  std::vector<std::string> out;
  for (const auto& [key, value] : variables) out.push_back(key + "=" + value);
  return out;
}

// For execve, which takes char* but changes nothing. `texts` must outlive the result.
std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// What the child was doing when it failed.
enum class Step : int { kSession, kOutput, kLimit, kNice, kOomScore, kUser, kFolder, kExec };
struct Report {
  Step step;
  int sys_errno;
};

// The plan in the form that the kernel takes, ready before the clone.
struct RawPlan {
  std::vector<char*> programs;
  std::vector<char*> argv;
  std::vector<char*> environment;
  const SpawnPlan* plan = nullptr;
  std::array<char, 16> oom_score{};
  int output = -1;
  int report = -1;
};

#if defined(SYS_setgroups32)
constexpr long kSetGroups = SYS_setgroups32;
constexpr long kSetResGid = SYS_setresgid32;
constexpr long kSetResUid = SYS_setresuid32;
#else
constexpr long kSetGroups = SYS_setgroups;
constexpr long kSetResGid = SYS_setresgid;
constexpr long kSetResUid = SYS_setresuid;
#endif

// From here to exec only system calls: the clone of a process with several threads may find any
// lock of libc or of a sanitizer held for ever, and set*id of libc would look for threads that are
// not there.
[[noreturn]] void Fail(const RawPlan& raw, Step step) {
  const Report report{step, errno};
  ::syscall(SYS_write, raw.report, &report, sizeof report);
  for (;;) ::syscall(SYS_exit_group, 127);
}

void DefaultSignals() {
  struct {  // as the kernel has it; glibc refuses 32 and 33, and passes them on ignored
    void (*handler)(int) = SIG_DFL;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    uint64_t mask = 0;
  } const action;
  for (int signal = 1; signal <= 64; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof(uint64_t));
  }
}

void SetOutput(const RawPlan& raw) {
  const long null = ::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY, 0);
  if (null < 0 || ::syscall(SYS_dup3, raw.output, STDOUT_FILENO, 0) < 0 ||
      ::syscall(SYS_dup3, raw.output, STDERR_FILENO, 0) < 0) {
    Fail(raw, Step::kOutput);
  }
  if (null != STDIN_FILENO && ::syscall(SYS_dup3, null, STDIN_FILENO, 0) < 0) {
    Fail(raw, Step::kOutput);
  }
  constexpr unsigned kCloseOnExec = 1U << 2;  // CLOSE_RANGE_CLOEXEC
  if (::syscall(SYS_close_range, 3U, ~0U, kCloseOnExec) != 0) Fail(raw, Step::kOutput);
}

void SetLimits(const RawPlan& raw) {
  const SpawnPlan& plan = *raw.plan;
  for (const Ulimit& limit : plan.ulimits) {
    const uint64_t values[2] = {limit.soft, limit.hard};
    if (::syscall(SYS_prlimit64, 0, limit.resource, values, nullptr) != 0) Fail(raw, Step::kLimit);
  }
  if (plan.nice && ::syscall(SYS_setpriority, PRIO_PROCESS, 0, *plan.nice) != 0) {
    Fail(raw, Step::kNice);
  }
  if (plan.oom_score_adj) {
    const long file = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY, 0);
    if (file < 0 || ::syscall(SYS_write, file, raw.oom_score.data(),
                              std::char_traits<char>::length(raw.oom_score.data())) < 0) {
      Fail(raw, Step::kOomScore);
    }
  }
}

void SetIdentity(const RawPlan& raw) {
  const auto& identity = raw.plan->identity;
  if (!identity) return;
  if (::syscall(kSetGroups, identity->groups.size(), identity->groups.data()) != 0 ||
      ::syscall(kSetResGid, identity->group, identity->group, identity->group) != 0 ||
      ::syscall(kSetResUid, identity->user, identity->user, identity->user) != 0) {
    Fail(raw, Step::kUser);
  }
}

// As execvp: the next folder of PATH is tried when a program is not there or not allowed.
[[noreturn]] void Execute(const RawPlan& raw) {
  int refused = 0;
  for (char* const* program = raw.programs.data(); *program != nullptr; ++program) {
    ::syscall(SYS_execve, *program, raw.argv.data(), raw.environment.data());
    if (errno == EACCES) refused = EACCES;
    if (errno != EACCES && errno != ENOENT && errno != ENOTDIR) break;
  }
  if (refused != 0 && (errno == ENOENT || errno == ENOTDIR)) errno = refused;
  Fail(raw, Step::kExec);
}

[[noreturn]] void RunChild(const RawPlan& raw) {
  DefaultSignals();
  if (::syscall(SYS_setsid) < 0) Fail(raw, Step::kSession);
  SetOutput(raw);
  SetLimits(raw);
  SetIdentity(raw);
  const std::string& folder = raw.plan->working_dir;
  if (!folder.empty() && ::syscall(SYS_chdir, folder.c_str()) != 0) Fail(raw, Step::kFolder);
  const uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  Execute(raw);
}

// As fork, not vfork: a program on a dead network disk, or a stranger who stops the child, must not
// hold up the loop.
long Clone(int* pidfd, int cgroup) {
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(pidfd);
  arguments.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(cgroup);
  }
  return ::syscall(SYS_clone3, &arguments, sizeof arguments);
}

// A descriptor above 2, where the child's own will be.
UniqueFd Above2(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

Error WhyNotExecuted(const SpawnPlan& plan, int reason) {
  const std::string& program = plan.argv.front();
  switch (reason) {
    case ENOENT:
    case ENOTDIR:
      return {ErrorCode::kInvalid, program, reason,
              program.find('/') == std::string::npos
                  ? "the command was not found in PATH"
                  : "the command, or the interpreter it names, was not found"};
    case EACCES:
    case EPERM:
      return {ErrorCode::kInvalid, program, reason, "the command may not be executed"};
    case ENOEXEC:
      return {ErrorCode::kInvalid, program, reason, "the command is not a program"};
    case E2BIG:
    case ELOOP:
    case ENAMETOOLONG:
      return {ErrorCode::kInvalid, program, reason, "the command could not be started"};
    default:
      return {ErrorCode::kTransient, program, reason, "the command could not be started"};
  }
}

}  // namespace

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  original_descriptors = Ulimit{RLIMIT_NOFILE, limit.rlim_cur, limit.rlim_max};
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<SpawnPlan> MakeSpawnPlan(const ServiceSpec& spec, const std::vector<std::string>& command,
                                const SpawnMarks& marks) {
  SpawnPlan plan;
  if (!spec.user.empty()) {
    ASSIGN_OR_RETURN(Account account, FindAccount(spec.user));
    if (!IsOurs(account.identity)) plan.identity = std::move(account.identity);
  }
  ASSIGN_OR_RETURN(Variables variables, InheritedVariables(spec));
  for (const auto& [key, value] : spec.environment) variables[key] = value;
  variables[std::string(kServiceVariable)] = spec.name;
  variables[std::string(kDataDirVariable)] = marks.data_dir;
  variables[std::string(kRunVariable)] = marks.run;
  // Else servers that use setproctitle (vLLM) write over the marks.
  variables.emplace("SPT_NOENV", "1");
  if (!marks.notify_socket.empty()) variables["NOTIFY_SOCKET"] = marks.notify_socket;
  plan.programs = ProgramPaths(command.front());
  plan.argv = command;
  plan.environment = Assignments(variables);
  plan.working_dir = spec.working_dir;
  if (original_descriptors) plan.ulimits.push_back(*original_descriptors);
  plan.ulimits.insert(plan.ulimits.end(), spec.ulimits.begin(), spec.ulimits.end());
  plan.nice = spec.nice;
  plan.oom_score_adj = spec.oom_score_adj;
  return plan;
}

Result<SpawnedProcess> Spawn(const SpawnPlan& plan, int output, int cgroup) {
  const auto lacks = [&](const char* what) {
    return Error{ErrorCode::kTransient, plan.argv.front(), errno, what};
  };
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return lacks("no pipe to start it");
  SpawnedProcess process;
  process.report.reset(ends[0]);
  const UniqueFd low_report(ends[1]);
  const UniqueFd report = Above2(low_report.get());
  const UniqueFd output_above = Above2(output);
  if (!report || !output_above) return lacks("no descriptor to start it");

  RawPlan raw{Pointers(plan.programs), Pointers(plan.argv), Pointers(plan.environment), &plan};
  raw.output = output_above.get();
  raw.report = report.get();
  if (plan.oom_score_adj) {
    const std::string score = std::to_string(*plan.oom_score_adj);
    score.copy(raw.oom_score.data(), raw.oom_score.size() - 1);
  }

  // No handler may run in the child before it has put them all to default.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  long pid = Clone(&pidfd, cgroup);
  process.in_cgroup = pid > 0 && cgroup >= 0;
  // A cgroup that may not be entered is no reason not to run.
  if (pid < 0 && cgroup >= 0) pid = Clone(&pidfd, -1);
  if (pid == 0) RunChild(raw);
  const int failure = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    errno = failure;
    return lacks("no process could be made for it");
  }
  process.pid = static_cast<pid_t>(pid);
  process.pidfd.reset(pidfd);
  return process;
}

Result<void> ReadExecReport(const SpawnPlan& plan, int report_fd) {
  Report report{};
  // A pipe gives so few bytes whole or not at all; it ends without any when exec closed it.
  if (::read(report_fd, &report, sizeof report) != sizeof report) return {};
  const int reason = report.sys_errno;
  // EAGAIN and ENOMEM may pass; what else the kernel refuses it will refuse again.
  const ErrorCode code =
      reason == EAGAIN || reason == ENOMEM || reason == EMFILE || reason == ENFILE
          ? ErrorCode::kTransient
          : ErrorCode::kInvalid;
  switch (report.step) {
    case Step::kExec:
      return WhyNotExecuted(plan, reason);
    case Step::kFolder:
      return Error{code, plan.working_dir, reason, "the working directory cannot be entered"};
    case Step::kUser:
      return Error{code, plan.argv.front(), reason,
                   "it cannot be run as another user; only root may do that"};
    case Step::kLimit:
      return Error{code, plan.argv.front(), reason,
                   "a limit of ulimits is refused; a hard limit can be raised by root only"};
    case Step::kNice:
      return Error{code, plan.argv.front(), reason,
                   "nice is refused; below the present value it is for root only"};
    case Step::kOomScore:
      return Error{code, plan.argv.front(), reason,
                   "oom_score_adj is refused; below the present value it is for root only"};
    case Step::kSession:
    case Step::kOutput:
      break;
  }
  return Error{code, plan.argv.front(), reason, "the command could not be started"};
}

}  // namespace idlewatt
