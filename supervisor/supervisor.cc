#include "supervisor/supervisor.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/text.h"
#include "supervisor/supervisor_loop.h"

namespace idlewatt {
namespace {

Result<void> ValidateAll(const std::vector<ServiceSpec>& specs) {
  for (size_t i = 0; i < specs.size(); ++i) {
    RETURN_IF_ERROR(Validate(specs[i]));
    const auto same_name = [&](const ServiceSpec& s) { return s.name == specs[i].name; };
    if (std::any_of(specs.begin(), specs.begin() + static_cast<std::ptrdiff_t>(i), same_name)) {
      return Error{ErrorCode::kInvalid, "service \"" + specs[i].name + "\"", 0,
                   "two services have this name"};
    }
  }
  return {};
}

Result<std::string> Canonical(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) return ErrnoError(errno, path, "the data directory cannot be used");
  return std::string(real.get());
}

// Process-wide settings without which children are lost; see SupervisorLoop.
Result<void> PrepareProcess() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return ErrnoError(errno, "supervisor", "cannot become the subreaper");
  }
  // Who started us may have ignored SIGCHLD, which passes through exec: the kernel would then reap
  // our children itself and their exit codes would be lost.
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
  return {};
}

SharedState::Statuses InitialStatuses(const std::vector<ServiceSpec>& specs) {
  SharedState::Statuses statuses(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) statuses[i].name = specs[i].name;
  return statuses;
}

bool AllStopped(const SharedState::Statuses& statuses) {
  return std::ranges::none_of(statuses, [](const ServiceStatus& s) {
    return s.has_processes || s.state == ServiceState::kPending ||
           s.state == ServiceState::kStarting;
  });
}

}  // namespace

Supervisor::Supervisor(const std::vector<ServiceSpec>& specs, FileRoot proc, const Clock& clock)
    : clock_(clock), proc_(std::move(proc)), shared_(InitialStatuses(specs)) {
  for (const ServiceSpec& spec : specs) {
    if (spec.autostart) autostart_.push_back(names_.size());
    names_.push_back(spec.name);
  }
}

Result<std::unique_ptr<Supervisor>> Supervisor::Create(std::vector<ServiceSpec> specs,
                                                       const SupervisorOptions& options,
                                                       const Clock& clock) {
  RETURN_IF_ERROR(ValidateAll(specs));
  ASSIGN_OR_RETURN(std::string data_dir, Canonical(options.data_dir));
  std::error_code failure;
  std::filesystem::create_directories(options.log_dir, failure);
  if (failure) return ErrnoError(failure.value(), options.log_dir, "cannot be created for logs");
  ASSIGN_OR_RETURN(FileRoot proc, FileRoot::Open("/proc"));
  RETURN_IF_ERROR(PrepareProcess());

  std::unique_ptr<Supervisor> supervisor(new Supervisor(specs, std::move(proc), clock));
  const ServiceContext context{clock, supervisor->proc_, std::move(data_dir), options.log_dir};
  ASSIGN_OR_RETURN(supervisor->loop_,
                   SupervisorLoop::Create(std::move(specs), context, supervisor->shared_));
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
  for (const size_t service : autostart_) Post({ServiceEvent::kStartRequested, service});
}

Result<void> Supervisor::Start(std::string_view name) {
  return Request(name, ServiceEvent::kStartRequested);
}

Result<void> Supervisor::Stop(std::string_view name) {
  return Request(name, ServiceEvent::kStopRequested);
}

void Supervisor::StopAll() { Post({ServiceEvent::kStopRequested, std::nullopt}); }

void Supervisor::KillAll() { Post({ServiceEvent::kKillRequested, std::nullopt}); }

bool Supervisor::WaitAllStopped(std::chrono::nanoseconds timeout) const {
  return shared_.WaitFor(AllStopped, timeout, SharedState::Requests::kHandled);
}

std::vector<ServiceStatus> Supervisor::Status() const {
  std::vector<ServiceStatus> statuses = shared_.GetStatuses();
  const BootTime now = clock_.Now().boot;
  for (ServiceStatus& status : statuses) {
    if (status.started_boot) status.uptime_seconds = ToSeconds(now - *status.started_boot);
  }
  return statuses;
}

bool Supervisor::WaitFor(const std::function<bool(const std::vector<ServiceStatus>&)>& done,
                         std::chrono::nanoseconds timeout) const {
  return shared_.WaitFor(done, timeout);
}

Result<void> Supervisor::Request(std::string_view name, ServiceEvent event) {
  const auto found = std::ranges::find(names_, name);
  if (found == names_.end()) {
    const std::string nearest = Nearest(name, names_);
    return Error{ErrorCode::kInvalid, std::string(name), 0,
                 nearest.empty() ? "no service has this name"
                                 : "no service has this name; did you mean \"" + nearest + "\"?"};
  }
  Post({event, static_cast<size_t>(found - names_.begin())});
  return {};
}

void Supervisor::Post(Command command) {
  shared_.Post(command);
  loop_->Wake();
}

}  // namespace idlewatt
