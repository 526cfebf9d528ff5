#include "supervisor/spawner.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <vector>

#include "supervisor/pidfd.h"

namespace idlewatt {
namespace {

// RAII of the two objects that posix_spawn takes.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    // Blocked and ignored signals pass through exec: a child of a daemon that blocks SIGTERM would
    // never see one.
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() { posix_spawnattr_destroy(&attributes_); }
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

class SpawnFileActions {
 public:
  SpawnFileActions(int output, const std::string& working_dir) {
    posix_spawn_file_actions_init(&actions_);
    // In this order `output` may itself be 0, 1 or 2.
    posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    if (!working_dir.empty()) {
      posix_spawn_file_actions_addchdir_np(&actions_, working_dir.c_str());
    }
  }
  SpawnFileActions(const SpawnFileActions&) = delete;
  SpawnFileActions& operator=(const SpawnFileActions&) = delete;
  ~SpawnFileActions() { posix_spawn_file_actions_destroy(&actions_); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

std::vector<std::string> Environment(const ServiceSpec& spec, const std::string& data_dir) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [key, value] : spec.environment) variables[key] = value;
  variables[std::string(kServiceVariable)] = spec.name;
  variables[std::string(kDataDirVariable)] = data_dir;
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

// 0, or why a process could not make `path` its working directory.
int ErrnoOfEntering(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno;
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

// posix_spawn gives one errno for chdir and exec together: look which of the two it was.
Error WhyNotSpawned(const ServiceSpec& spec, int spawn_errno) {
  if (!spec.working_dir.empty()) {
    if (const int reason = ErrnoOfEntering(spec.working_dir); reason != 0) {
      return {ErrorCode::kInvalid, spec.working_dir, reason,
              "the working directory cannot be entered"};
    }
  }
  const std::string& program = spec.command.front();
  switch (spawn_errno) {
    case ENOENT:
    case ENOTDIR:
      return {ErrorCode::kInvalid, program, spawn_errno,
              program.find('/') == std::string::npos
                  ? "the command was not found in PATH"
                  : "the command, or the interpreter it names, was not found"};
    case EACCES:
    case EPERM:
      return {ErrorCode::kInvalid, program, spawn_errno, "the command may not be executed"};
    case ENOEXEC:
      return {ErrorCode::kInvalid, program, spawn_errno, "the command is not a program"};
    case E2BIG:
    case ELOOP:
    case ENAMETOOLONG:
      return {ErrorCode::kInvalid, program, spawn_errno, "the command could not be started"};
    default:
      return {ErrorCode::kTransient, program, spawn_errno, "the command could not be started"};
  }
}

}  // namespace

Result<SpawnedProcess> Spawn(const ServiceSpec& spec, const std::string& data_dir) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error{ErrorCode::kTransient, spec.command.front(), errno, "no pipe for its output"};
  }
  SpawnedProcess process;
  process.output.reset(ends[0]);
  const UniqueFd child_end(ends[1]);
  // Of our end only: the child's stays blocking, as programs expect of stdout.
  ::fcntl(process.output.get(), F_SETFL, O_NONBLOCK);

  const SpawnAttributes attributes;
  const SpawnFileActions actions(child_end.get(), spec.working_dir);
  const std::vector<std::string> environment = Environment(spec, data_dir);
  const int failure =
      ::posix_spawnp(&process.pid, spec.command.front().c_str(), actions.get(), attributes.get(),
                     Pointers(spec.command).data(), Pointers(environment).data());
  if (failure != 0) return WhyNotSpawned(spec, failure);

  process.pidfd.reset(::pidfd_open(process.pid, 0));
  if (process.pidfd) return process;
  const int reason = errno;
  ::kill(-process.pid, SIGKILL);
  ::waitpid(process.pid, nullptr, 0);
  return Error{ErrorCode::kTransient, spec.command.front(), reason, "no descriptor to watch it"};
}

}  // namespace idlewatt
