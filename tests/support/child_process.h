#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace idlewatt {

// How a program ended: exactly one of the two is set.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
};

// A program under test, with its standard output and error together on one pipe.
// Waits use poll on the pipe and on a pidfd, with a deadline; nothing sleeps.
// Threads: one. The program is killed when that thread or this object ends before it.
// Owns:    the process (reaped by Wait or at destruction), the pipe and the pidfd.
class ChildProcess {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // `command[0]` is searched in PATH when it holds no slash. `environment` is added to ours.
  explicit ChildProcess(const std::vector<std::string>& command,
                        const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ADD_FAILURE() << "pipe2: " << std::strerror(errno);
    output_fd_.reset(ends[0]);
    const UniqueFd write_end(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) Exec(command, environment, write_end.get());
    if (pid_ < 0) ADD_FAILURE() << "fork: " << std::strerror(errno);
    // glibc 2.36 declares pidfd_open without extern "C".
    pid_fd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!pid_fd_) ADD_FAILURE() << "pidfd_open: " << std::strerror(errno);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    if (exited_ || pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  // All that was read so far: the waits below read.
  const std::string& output() const { return output_; }

  // The first line after the one found last that holds `part`, without its newline. Nothing at the
  // deadline, or when the program closed its output.
  std::optional<std::string> WaitForLine(std::string_view part,
                                         Milliseconds timeout = Milliseconds(10'000)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
      if (auto line = NextLineWith(part)) return line;
      if (!output_fd_ || !PollUntil(deadline, /*for_exit=*/false)) return std::nullopt;
    }
  }

  // Nothing once it was waited for: its pid may be another's then.
  void Signal(int signal) const {
    if (!exited_) ::kill(pid_, signal);
  }

  // How it ended; nothing when it still runs at the deadline. Output is read meanwhile, so a
  // program that writes much can end. May be called again.
  std::optional<ExitStatus> Wait(Milliseconds timeout = Milliseconds(10'000)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!exited_) {
      if (!PollUntil(deadline, /*for_exit=*/true)) return std::nullopt;
    }
    return exited_;
  }

  // CPU time, user and system, of the program and the children it waited for. After Wait.
  std::chrono::duration<double> cpu_time() const {
    const auto seconds = [](const timeval& t) {
      return std::chrono::duration<double>(static_cast<double>(t.tv_sec) +
                                           static_cast<double>(t.tv_usec) / 1e6);
    };
    return seconds(usage_.ru_utime) + seconds(usage_.ru_stime);
  }

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  // In the child.
  [[noreturn]] static void Exec(const std::vector<std::string>& command,
                                const std::vector<std::pair<std::string, std::string>>& environment,
                                int output) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }

  std::optional<std::string> NextLineWith(std::string_view part) {
    size_t end = 0;
    while ((end = output_.find('\n', searched_)) != std::string::npos) {
      std::string line = output_.substr(searched_, end - searched_);
      searched_ = end + 1;
      if (line.find(part) != std::string::npos) return line;
    }
    return std::nullopt;
  }

  // Waits for output, and for the end when asked to; handles what came. False at the deadline.
  bool PollUntil(Deadline deadline, bool for_exit) {
    const auto left =
        std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    // poll leaves out entries with a negative descriptor.
    std::array<pollfd, 2> fds{
        {{.fd = output_fd_.get(), .events = POLLIN, .revents = 0},
         {.fd = for_exit ? pid_fd_.get() : -1, .events = POLLIN, .revents = 0}}};
    if (left <= 0 || ::poll(fds.data(), fds.size(), static_cast<int>(left)) <= 0) return false;
    if (fds[0].revents != 0) {
      ReadSome();
    } else if (fds[1].revents != 0) {
      Reap();
    }
    return true;
  }

  void ReadSome() {
    std::array<char, 65536> buffer{};
    const ssize_t count = ::read(output_fd_.get(), buffer.data(), buffer.size());
    if (count > 0) {
      output_.append(buffer.data(), static_cast<size_t>(count));
    } else {
      output_fd_.reset();
    }
  }

  void Reap() {
    int status = 0;
    if (::wait4(pid_, &status, 0, &usage_) != pid_) return;
    exited_ = ExitStatus{};
    if (WIFEXITED(status)) exited_->code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) exited_->signal = WTERMSIG(status);
  }

  pid_t pid_ = -1;
  UniqueFd output_fd_;
  UniqueFd pid_fd_;
  std::string output_;
  size_t searched_ = 0;  // lines before here were looked at by WaitForLine
  std::optional<ExitStatus> exited_;
  rusage usage_{};
};

}  // namespace idlewatt
