#include "supervisor/supervisor.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <future>

#include "base/text.h"
#include "supervisor/process/spawner.h"
#include "supervisor/spec/service_checks.h"
#include "supervisor/supervisor_loop.h"

namespace idlewatt {
namespace {

Result<void> ValidateAll(const std::vector<ServiceSpec>& specs) {
  for (const ServiceSpec& spec : specs) RETURN_IF_ERROR(Validate(spec));
  const std::vector<Error> errors = ValidateTogether(specs);
  if (!errors.empty()) return errors.front();
  return {};
}

Result<std::string> Canonical(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) return ErrnoError(errno, path, "the data directory cannot be used");
  return std::string(real.get());
}

// Process-wide settings without which children are lost; see ChildProcesses.
Result<void> PrepareProcess() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return ErrnoError(errno, "supervisor", "cannot become the subreaper");
  }
  RaiseDescriptorLimit();
  // Who started us may have ignored SIGCHLD, which passes through exec: the kernel would then reap
  // our children itself and their exit codes would be lost.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
  return {};
}

bool AllStopped(const SharedState::Statuses& statuses) {
  return std::ranges::none_of(statuses, [](const ServiceStatus& s) {
    return s.has_processes || s.state == ServiceState::kPending ||
           s.state == ServiceState::kStarting;
  });
}

}  // namespace

Supervisor::Supervisor(const Clock& clock) : clock_(clock) {}

Result<std::unique_ptr<Supervisor>> Supervisor::Create(std::vector<ServiceSpec> specs,
                                                       const SupervisorOptions& options,
                                                       const Clock& clock) {
  RETURN_IF_ERROR(ValidateAll(specs));
  SupervisorOptions real = options;
  ASSIGN_OR_RETURN(real.data_dir, Canonical(options.data_dir));
  std::error_code failure;
  std::filesystem::create_directories(options.log_dir, failure);
  if (failure) return ErrnoError(failure.value(), options.log_dir, "cannot be created for logs");
  RETURN_IF_ERROR(PrepareProcess());

  std::unique_ptr<Supervisor> supervisor(new Supervisor(clock));
  ASSIGN_OR_RETURN(supervisor->loop_,
                   SupervisorLoop::Create(std::move(specs), real, clock, supervisor->shared_));
  supervisor->thread_ = std::jthread([loop = supervisor->loop_.get()](const std::stop_token& stop) {
    ::pthread_setname_np(::pthread_self(), "idlewatt-super");
    loop->Run(stop);
  });
  return supervisor;
}

Supervisor::~Supervisor() {
  if (!thread_.joinable()) return;  // Create failed half way
  KillAll();
  // What SIGKILL cannot end within this time hangs in the kernel.
  WaitAllStopped(std::chrono::seconds(5));
  thread_.request_stop();
  loop_->Wake();
  thread_.join();
}

void Supervisor::StartAutostart() {
  loop_->Post([this] { loop_->StartAutostart(); });
}
void Supervisor::StopAll() {
  loop_->Post([this] { loop_->StopAll(); });
}
void Supervisor::KillAll() {
  loop_->Post([this] { loop_->KillAll(); });
}

bool Supervisor::WaitAllStopped(std::chrono::nanoseconds timeout) const {
  return shared_.WaitForAll(AllStopped, timeout);
}

bool Supervisor::WaitFor(const std::function<bool(const std::vector<ServiceStatus>&)>& done,
                         std::chrono::nanoseconds timeout) const {
  return shared_.WaitFor(done, timeout);
}

Result<void> Supervisor::Start(std::string_view name) {
  RETURN_IF_ERROR(shared_.CheckName(name));
  loop_->Post([this, name = std::string(name)] { loop_->Start(name); });
  return {};
}

Result<void> Supervisor::Stop(std::string_view name) {
  RETURN_IF_ERROR(shared_.CheckName(name));
  loop_->Post([this, name = std::string(name)] { loop_->Stop(name); });
  return {};
}

Result<void> Supervisor::Restart(std::string_view name) {
  RETURN_IF_ERROR(shared_.CheckName(name));
  loop_->Post([this, name = std::string(name)] { loop_->Restart(name); });
  return {};
}

Result<void> Supervisor::Swap(std::string_view name, const SwapRequest& request) {
  RETURN_IF_ERROR(shared_.CheckName(name));
  if (!request.model && !request.command) {
    return Error{ErrorCode::kInvalid, std::string(name), 0,
                 "a swap needs another model or another command"};
  }
  std::promise<Result<void>> answer;
  loop_->Post([&, name = std::string(name)] {
    const ServiceSpec* spec = loop_->SpecOf(name);
    if (spec == nullptr) {
      return answer.set_value(Error{ErrorCode::kInvalid, name, 0, "was removed just now"});
    }
    ServiceSpec next = *spec;
    if (request.model) next.model = *request.model;
    if (request.command) next.command = *request.command;
    Result<void> valid = Validate(next);
    if (valid) loop_->Swap(name, std::move(next));
    loop_->AnswerLater([&answer, valid] { answer.set_value(valid); });
  });
  return answer.get_future().get();
}

std::vector<ProfileStatus> Supervisor::Profiles() const { return shared_.GetProfiles(); }

Result<void> Supervisor::ActivateProfile(std::string_view name) {
  std::vector<std::string> names;
  for (const ProfileStatus& profile : Profiles()) names.push_back(profile.name);
  if (std::ranges::find(names, name) == names.end()) {
    const std::string nearest = Nearest(name, names);
    return Error{ErrorCode::kInvalid, std::string(name), 0,
                 nearest.empty() ? "no profile has this name"
                                 : "no profile has this name; did you mean \"" + nearest + "\"?"};
  }
  loop_->Post([this, name = std::string(name)] { loop_->ActivateProfile(name); });
  return {};
}

Result<ReloadOutcome> Supervisor::Reload(std::vector<ServiceSpec> specs) {
  RETURN_IF_ERROR(ValidateAll(specs));
  std::promise<ReloadOutcome> outcome;
  loop_->Post([&] {
    loop_->AnswerLater(
        [&outcome, changed = loop_->Reload(std::move(specs))] { outcome.set_value(changed); });
  });
  return outcome.get_future().get();
}

std::vector<ServiceStatus> Supervisor::Status() const {
  std::vector<ServiceStatus> statuses = shared_.GetStatuses();
  const TimePoint now = clock_.Now();
  for (ServiceStatus& status : statuses) {
    if (status.started_boot) status.uptime_seconds = ToSeconds(now.boot - *status.started_boot);
    if (status.next_retry_boot) {
      status.next_retry_at = now.wall + std::chrono::duration_cast<std::chrono::milliseconds>(
                                            *status.next_retry_boot - now.boot);
    }
  }
  return statuses;
}

std::shared_ptr<const LogTail> Supervisor::Log(std::string_view name) const {
  return shared_.GetLog(name);
}

StateNews Supervisor::WaitForChanges(uint64_t after, std::chrono::nanoseconds timeout) const {
  return shared_.WaitForChanges(after, timeout);
}

std::vector<SupervisedRoot> Supervisor::Roots() { return shared_.GetRoots(); }
std::vector<EndedRoot> Supervisor::TakeEnded() { return shared_.TakeEnded(); }

}  // namespace idlewatt
