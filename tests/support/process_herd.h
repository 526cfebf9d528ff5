#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <vector>

namespace idlewatt {

// Many real processes that do nothing. They share the memory of this one, so that ten thousand
// of them cost what the kernel keeps of them and no more.
// Owns:    the processes; they end with this object, or with the thread that made it.
class ProcessHerd {
 public:
  explicit ProcessHerd(size_t count) : stacks_bytes_(count * kStackBytes) {
    stacks_ = static_cast<char*>(::mmap(nullptr, stacks_bytes_, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (size_t i = 0; i < count; ++i) {
      const int pid = ::clone(Graze, stacks_ + (i + 1) * kStackBytes, CLONE_VM | SIGCHLD, nullptr);
      if (pid > 0) pids_.push_back(pid);
    }
  }
  ProcessHerd(const ProcessHerd&) = delete;
  ProcessHerd& operator=(const ProcessHerd&) = delete;
  ~ProcessHerd() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
    ::munmap(stacks_, stacks_bytes_);
  }

  // Fewer than asked for when the machine allows no more.
  size_t size() const { return pids_.size(); }
  const std::vector<pid_t>& pids() const { return pids_; }

 private:
  static constexpr size_t kStackBytes = 8192;

  static int Graze(void* /*unused*/) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }

  const size_t stacks_bytes_;
  char* stacks_ = nullptr;
  std::vector<pid_t> pids_;
};

// Makes a process that ends at once, and waits for it. False when the machine allows no more.
inline bool RunShortLivedProcess() {
  alignas(16) static std::array<char, 8192> stack;
  const auto end = [](void* /*unused*/) -> int { ::_exit(0); };
  const int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
  const pid_t pid = ::clone(end, stack.data() + stack.size(), flags, nullptr);
  return pid > 0 && ::waitpid(pid, nullptr, 0) == pid;
}

}  // namespace idlewatt
