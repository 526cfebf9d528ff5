#include "packaging/demo/workload.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <string>
#include <thread>
#include <utility>

namespace idlewatt::demo {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Short against every sampling interval, so that the load looks smooth.
constexpr milliseconds kBurnPeriod(10);
constexpr milliseconds kFloodPeriod(10);
constexpr int64_t kFloodLineBytes = 128;
// A write of at most this much into a pipe (PIPE_BUF) is never mixed with another.
constexpr size_t kMaxLine = 4096;

nanoseconds ThreadCpuTime() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
}

void SpinFor(nanoseconds cpu_time) {
  const nanoseconds end = ThreadCpuTime() + cpu_time;
  while (ThreadCpuTime() < end) {
    // Keeps the compiler from dropping the loop, which spares the kernel some of our calls.
    for (int i = 0; i < 1000; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

// Uses `share` (0..1) of one CPU. A period that came late is not made up for.
[[noreturn]] void Burn(double share) {
  const auto busy = nanoseconds(static_cast<int64_t>(nanoseconds(kBurnPeriod).count() * share));
  auto next = SteadyClock::now();
  while (true) {
    SpinFor(busy);
    next = std::max(next + kBurnPeriod, SteadyClock::now());
    std::this_thread::sleep_until(next);
  }
}

// A line of `size` bytes, its newline included.
std::string FloodLine(uint64_t number, size_t size) {
  std::string line = "flood " + std::to_string(number) + " ";
  line.resize(std::max(size, line.size() + 1), '.');
  line.back() = '\n';
  return line;
}

[[noreturn]] void Flood(int64_t bytes_per_second) {
  const auto start = SteadyClock::now();
  int64_t written = 0;
  for (uint64_t number = 0;;) {
    const std::chrono::duration<double> elapsed = SteadyClock::now() - start;
    if (static_cast<double>(written) >= elapsed.count() * static_cast<double>(bytes_per_second)) {
      std::this_thread::sleep_for(kFloodPeriod);
    } else {
      PrintLine(FloodLine(++number, kFloodLineBytes));
      written += kFloodLineBytes;
    }
  }
}

}  // namespace

std::vector<char> TouchedMemory(int64_t bytes) {
  return std::vector<char>(static_cast<size_t>(bytes), 1);
}

void StartBurning(double cpus) {
  const int count = static_cast<int>(std::ceil(cpus));
  for (int i = 0; i < count; ++i) std::thread([share = cpus / count] { Burn(share); }).detach();
}

void StartFlood(int64_t bytes_per_second) {
  std::thread([bytes_per_second] { Flood(bytes_per_second); }).detach();
}

void PrintLine(std::string_view line) {
  std::string text(line.substr(0, kMaxLine - 1));
  if (!text.ends_with('\n')) text += '\n';
  // Nobody may be reading any more; then there is nothing left to tell.
  [[maybe_unused]] const ssize_t ignored = ::write(STDOUT_FILENO, text.data(), text.size());
}

void PrintLastLine(std::string_view line) {
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&output, 1, 0) == 1) PrintLine(line);
}

IdleChildren::IdleChildren(int count) {
  for (int i = 0; i < count; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      while (true) ::pause();
    }
    if (pid > 0) pids_.push_back(pid);
  }
}

void IdleChildren::End() {
  for (const pid_t pid : std::exchange(pids_, {})) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}

}  // namespace idlewatt::demo
