// idlewatt-demo-server: stands in for a model server in the example configuration, the tests and
// the benchmarks. It loads, becomes ready, answers, idles, wastes and misbehaves on request.
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "packaging/demo/chat_api.h"
#include "packaging/demo/options.h"
#include "packaging/demo/workload.h"

namespace idlewatt::demo {
namespace {

using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;

constexpr int kCrashStatus = 3;

SteadyTime After(SteadyTime start, std::chrono::duration<double> wait) {
  return start + std::chrono::duration_cast<SteadyClock::duration>(wait);
}

timespec ToTimespec(std::chrono::nanoseconds duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

// The signals that end the server, taken by the main thread when it waits for them.
class StopSignals {
 public:
  // Call before any thread starts, so that all of them inherit the mask.
  explicit StopSignals(bool ignore_sigterm) {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    if (ignore_sigterm) {
      ::signal(SIGTERM, SIG_IGN);
    } else {
      sigaddset(&set_, SIGTERM);
    }
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }

  // True when one came before `deadline`; without a deadline only a signal ends the wait.
  bool ArrivedBy(std::optional<SteadyTime> deadline) const {
    if (!deadline) {
      int signal = 0;
      return ::sigwait(&set_, &signal) == 0;
    }
    while (true) {
      const auto left = *deadline - SteadyClock::now();
      const timespec timeout = ToTimespec(std::max(left, SteadyClock::duration::zero()));
      if (::sigtimedwait(&set_, nullptr, &timeout) > 0) return true;
      if (left <= SteadyClock::duration::zero()) return false;
    }
  }

 private:
  sigset_t set_{};
};

// Waits for `until`, or for good without it. Ends the process when it is time to crash.
// True when a signal asked to stop.
bool WaitForStop(const StopSignals& signals, std::optional<SteadyTime> until,
                 std::optional<SteadyTime> crash_at) {
  const bool crashes_first = crash_at && (!until || *crash_at < *until);
  if (signals.ArrivedBy(crashes_first ? crash_at : until)) return true;
  if (!crashes_first) return false;
  PrintLastLine("main: crashing as told by --crash-after");
  std::_Exit(kCrashStatus);
}

void Load(const Options& options, std::vector<char>& memory) {
  PrintLine("main: loading model " + options.model);
  memory = TouchedMemory(options.memory_bytes);
  StartBurning(options.burn);
  if (options.flood_bytes_per_second > 0) StartFlood(options.flood_bytes_per_second);
}

// civetweb and the load threads need up to 2 s to stop in turn; the end of the process, which has
// nothing to save, stops them at once.
[[noreturn]] void EndProcess(IdleChildren& children) {
  PrintLastLine("main: stopping");
  children.End();
  std::_Exit(0);
}

// Comes back only with an exit status for a failed start.
int Serve(const Options& options, SteadyTime start) {
  IdleChildren children(options.fork_children);
  const StopSignals signals(options.ignore_sigterm);
  const Result<std::unique_ptr<ChatApi>> api = ChatApi::Start(options);
  if (!api) {
    std::fprintf(stderr, "idlewatt-demo-server: %s\n", api.error().ToString().c_str());
    return 1;
  }
  std::optional<SteadyTime> crash_at;
  if (options.crash_after) crash_at = After(start, *options.crash_after);

  std::vector<char> memory;
  Load(options, memory);
  if (WaitForStop(signals, After(start, options.load), crash_at)) EndProcess(children);
  (*api)->SetReady();
  PrintLine("main: server is listening on " + (*api)->Url());
  WaitForStop(signals, std::nullopt, crash_at);
  EndProcess(children);
}

}  // namespace
}  // namespace idlewatt::demo

int main(int argc, char** argv) {
  const auto start = std::chrono::steady_clock::now();
  const auto parsed = idlewatt::demo::ParseOptions(argc, argv);
  if (parsed.exit_code) return *parsed.exit_code;
  return idlewatt::demo::Serve(parsed.options, start);
}
