#include "supervisor/spec/service_doubts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "base/unique_fd.h"
#include "collector/port_owner.h"
#include "supervisor/process/process_scan.h"
#include "supervisor/process/service_cgroup.h"
#include "supervisor/spec/surroundings.h"

namespace idlewatt {
namespace {

// 0, or why `program` could not be executed by this process.
int ErrnoOfExecuting(const std::string& program) {
  struct stat status {};
  if (::stat(program.c_str(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return ::faccessat(AT_FDCWD, program.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

// 0, or why a process could not make `folder` its working directory.
int ErrnoOfEntering(const std::string& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno;
  return ::faccessat(AT_FDCWD, folder.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

bool IsMissing(int reason) { return reason == ENOENT || reason == ENOTDIR; }

// Collects what would make a start fail now.
class DoubtFinder {
 public:
  explicit DoubtFinder(const ServiceSpec& spec) : spec_(spec) {}

  std::vector<std::string> Find() &&;

 private:
  void Add(const Error& error) { doubts_.push_back(error.ToString()); }
  void Add(std::string_view key, std::string_view text) { Add(ServiceError(spec_, key, text)); }
  void CheckUser();
  void CheckModel();
  // These take the expanded service.
  void CheckEnvFile(const ServiceSpec& spec);
  void CheckFolder(const ServiceSpec& spec);
  void CheckProgram(std::string_view key, const std::vector<std::string>& command,
                    const ServiceSpec& spec);

  const ServiceSpec& spec_;
  std::vector<std::string> doubts_;
};

std::vector<std::string> DoubtFinder::Find() && {
  CheckUser();
  CheckModel();
  ServiceSpec with_port = spec_;
  if (spec_.auto_port) with_port.port = 1;
  const auto spec = Expand(with_port);
  if (!spec) {
    Add(spec.error());
    return std::move(doubts_);
  }
  CheckEnvFile(*spec);
  CheckFolder(*spec);
  CheckProgram("command", spec->command, *spec);
  CheckProgram("stop_command", spec->stop_command, *spec);
  if (spec->ready) CheckProgram("ready.exec", spec->ready->exec, *spec);
  if (spec->liveness) CheckProgram("liveness.exec", spec->liveness->exec, *spec);
  return std::move(doubts_);
}

void DoubtFinder::CheckUser() {
  if (spec_.user.empty() || ::geteuid() == 0) return;
  const auto account = FindAccount(spec_.user);
  if (account && !IsOurs(account->identity)) {
    Add("user", "only root may start a service as " + InQuotes(spec_.user));
  }
}

void DoubtFinder::CheckModel() {
  if (!spec_.model.starts_with('/') || ::access(spec_.model.c_str(), F_OK) == 0) return;
  if (IsMissing(errno)) Add("model", InQuotes(spec_.model) + " does not exist");
}

void DoubtFinder::CheckEnvFile(const ServiceSpec& spec) {
  if (spec.env_file.empty()) return;
  const auto variables = ReadEnvFile(spec.env_file);
  if (!variables) {
    doubts_.push_back("service " + InQuotes(spec.name) + ": " + variables.error().ToString());
  }
}

void DoubtFinder::CheckFolder(const ServiceSpec& spec) {
  if (spec.working_dir.empty()) return;
  const int reason = ErrnoOfEntering(spec.working_dir);
  if (reason == 0) return;
  Error error =
      ServiceError(spec_, "working_dir", InQuotes(spec.working_dir) + " cannot be entered");
  error.sys_errno = reason;
  Add(error);
}

// As exec will look for it: a relative path begins at the working directory.
void DoubtFinder::CheckProgram(std::string_view key, const std::vector<std::string>& command,
                               const ServiceSpec& spec) {
  if (command.empty()) return;
  int worst = ENOENT;
  for (std::string path : ProgramPaths(command.front())) {
    if (!path.starts_with('/') && !spec.working_dir.empty()) {
      path.insert(0, spec.working_dir + "/");
    }
    const int reason = ErrnoOfExecuting(path);
    if (reason == 0) return;
    if (!IsMissing(reason)) worst = reason;
  }
  const bool in_path = command.front().find('/') == std::string::npos;
  const char* missing = in_path ? " was not found in PATH" : " was not found";
  Add(key, InQuotes(command.front()) + (IsMissing(worst) ? missing : " may not be executed"));
}

bool HasMark(const FileRoot& proc, int32_t pid, const std::string& service) {
  const std::string mark = std::string(kServiceVariable) + "=" + service;
  const auto environment = proc.Read(std::to_string(pid) + "/environ");
  return environment && std::ranges::count(Split(*environment, '\0'), mark) != 0;
}

bool IsInCgroup(const FileRoot& proc, int32_t pid, const std::string& service) {
  const auto text = proc.Read(std::to_string(pid) + "/cgroup");
  if (!text) return false;
  return std::ranges::any_of(Split(*text, '\n'), [&](std::string_view path) {
    return ServiceCgroup::IsNameOf(service, path.substr(path.rfind('/') + 1));
  });
}

// Some programs (nginx, redis) write their title over the environment that has the mark. Their
// cgroup tells, or who leads the session: the root may be a shell that kept it.
bool IsOfTheService(const FileRoot& proc, int32_t pid, const std::string& service) {
  if (HasMark(proc, pid, service) || IsInCgroup(proc, pid, service)) return true;
  const auto process = ReadProcess(proc, pid);
  return process && process->session > 0 && HasMark(proc, process->session, service);
}

}  // namespace

std::vector<std::string> Doubts(const ServiceSpec& spec) { return DoubtFinder(spec).Find(); }

std::optional<std::string> PortDoubt(const ServiceSpec& spec, const FileRoot& proc) {
  if (!spec.port) return std::nullopt;
  const std::vector<int32_t> owners = FindPortOwners(proc, *spec.port);
  const bool is_own = std::ranges::any_of(
      owners, [&](int32_t pid) { return IsOfTheService(proc, pid, spec.name); });
  if (owners.empty() || is_own) return std::nullopt;
  const std::string pid = std::to_string(owners.front());
  const std::string name(Trim(proc.Read(pid + "/comm").value_or("")));
  return ServiceError(spec, "port",
                      std::to_string(*spec.port) + " is in use by process " + pid +
                          (name.empty() ? "" : " (" + ToValidUtf8(name) + ")"))
      .ToString();
}

}  // namespace idlewatt
