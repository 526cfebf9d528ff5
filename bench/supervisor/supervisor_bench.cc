// The whole supervisor, beside the least that could do the same: a loop around the system call, and
// runsv of runit.
#include <benchmark/benchmark.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "bench/supervisor/bench_bed.h"
#include "bench/supervisor/bench_server.h"
#include "supervisor/process/pidfd.h"
#include "supervisor/process/service_cgroup.h"
#include "supervisor/process/spawner.h"

namespace idlewatt {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

const std::vector<std::string> kSleep = {"/bin/sleep", "infinity"};

double SecondsSince(SteadyClock::time_point begin) {
  return std::chrono::duration<double>(SteadyClock::now() - begin).count();
}

// --- From the kill to the news ------------------------------------------------------------------

// Gives the iterations their times and the quantiles of them.
class Latencies {
 public:
  explicit Latencies(benchmark::State& state) : state_(state) {}
  void Add(double seconds) {
    state_.SetIterationTime(seconds);
    milliseconds_.push_back(seconds * 1e3);
  }
  void Tell() {
    std::ranges::sort(milliseconds_);
    const size_t last = milliseconds_.size() - 1;
    state_.counters["p50_ms"] = milliseconds_[last / 2];
    state_.counters["p99_ms"] = milliseconds_[last * 99 / 100];
    state_.counters["slowest_ms"] = milliseconds_[last];
  }

 private:
  benchmark::State& state_;
  std::vector<double> milliseconds_;
};

void BM_Supervisor_CrashKnown(benchmark::State& state) {
  BenchBed bed({BenchService("a", kSleep)});
  Latencies latencies(state);
  for (auto _ : state) {
    (void)bed.supervisor().Start("a");
    bed.AwaitChangeTo(ServiceState::kReady);
    const pid_t pid = bed.supervisor().Status()[0].pid.value_or(0);
    if (pid <= 0) BenchBed::Give("a ready service without a process");
    const auto begin = SteadyClock::now();
    ::kill(pid, SIGKILL);
    bed.AwaitChangeTo(ServiceState::kFailed);
    latencies.Add(SecondsSince(begin));
  }
  latencies.Tell();
}
BENCHMARK(BM_Supervisor_CrashKnown)
    ->Iterations(300)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// The least there can be: a thread that waits in epoll, and one that waits for its news.
void BM_SupervisorPeer_PidfdCrashKnown(benchmark::State& state) {
  std::mutex mutex;
  std::condition_variable changed;
  Latencies latencies(state);
  for (auto _ : state) {
    const pid_t pid = PosixSpawn(kSleep);
    const UniqueFd pidfd(::pidfd_open(pid, 0));
    const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN;
    ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, pidfd.get(), &event);
    bool known = false;
    std::jthread waiter([&] {
      epoll_event came{};
      ::epoll_wait(epoll.get(), &came, 1, -1);
      ::waitpid(pid, nullptr, 0);
      const std::scoped_lock lock(mutex);
      known = true;
      changed.notify_all();
    });
    std::this_thread::sleep_for(2ms);  // until both wait
    std::unique_lock lock(mutex);
    const auto begin = SteadyClock::now();
    ::kill(pid, SIGKILL);
    changed.wait(lock, [&] { return known; });
    latencies.Add(SecondsSince(begin));
  }
  latencies.Tell();
}
BENCHMARK(BM_SupervisorPeer_PidfdCrashKnown)
    ->Iterations(300)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

std::string ReadAll(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Until runsv has put another file into its folder `supervise`, which is where it tells its state.
void AwaitStatus(int notify) {
  std::array<char, 4096> events;
  if (::read(notify, events.data(), events.size()) <= 0) BenchBed::Give("runsv says nothing");
}

void ForgetStatus(int notify) {
  pollfd ready{notify, POLLIN, 0};
  while (::poll(&ready, 1, 20) > 0) AwaitStatus(notify);
}

// runsv starts the service anew a second after an end, so there are few iterations.
void BM_SupervisorPeer_RunsvCrashKnown_Large(benchmark::State& state) {
  if (std::system("command -v runsv >/dev/null") != 0) {  // NOLINT(cert-env33-c)
    state.SkipWithError("runsv is not in PATH; tools/bench fetches it");
    return;
  }
  const BenchFolder folder;
  std::ofstream(folder.PathOf("run")) << "#!/bin/sh\nexec sleep infinity\n";
  ::chmod(folder.PathOf("run").c_str(), 0755);
  std::filesystem::create_directory(folder.PathOf("supervise"));
  const UniqueFd notify(::inotify_init1(IN_CLOEXEC));
  ::inotify_add_watch(notify.get(), folder.PathOf("supervise").c_str(), IN_MOVED_TO);
  const pid_t runsv = PosixSpawn({"runsv", folder.path()});
  Latencies latencies(state);
  for (auto _ : state) {
    pid_t pid = 0;
    while (pid == 0) {
      AwaitStatus(notify.get());
      pid = ParseNumber<int>(Trim(ReadAll(folder.PathOf("supervise/pid")))).value_or(0);
    }
    ForgetStatus(notify.get());
    const auto begin = SteadyClock::now();
    ::kill(pid, SIGKILL);
    AwaitStatus(notify.get());
    latencies.Add(SecondsSince(begin));
    ForgetStatus(notify.get());
  }
  latencies.Tell();
  ::kill(runsv, SIGTERM);
  ::waitpid(runsv, nullptr, 0);
}
BENCHMARK(BM_SupervisorPeer_RunsvCrashKnown_Large)
    ->Iterations(20)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// --- Starting -----------------------------------------------------------------------------------

const std::vector<std::string> kReadyAfterASecond = {
    "/bin/sh", "-c", "sleep 1; echo listening; exec sleep infinity"};

void BM_Supervisor_StartAll(benchmark::State& state) {
  const auto count = static_cast<int>(state.range(0));
  for (auto _ : state) {
    std::vector<ServiceSpec> specs;
    for (int i = 0; i < count; ++i) {
      specs.push_back(BenchService("s" + std::to_string(i), kReadyAfterASecond));
      specs.back().ready.emplace().log_patterns = {"listening"};
    }
    BenchBed bed(std::move(specs));
    const auto begin = SteadyClock::now();
    bed.supervisor().StartAutostart();
    bed.AwaitAllReady();
    state.SetIterationTime(SecondsSince(begin));
  }
}
BENCHMARK(BM_Supervisor_StartAll)
    ->ArgName("services")
    ->Arg(100)
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// The same programs, each started by posix_spawn, their output in one pipe.
void BM_SupervisorPeer_PosixSpawnAll(benchmark::State& state) {
  for (auto _ : state) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) BenchBed::Give("no pipe");
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    const auto begin = SteadyClock::now();
    std::vector<pid_t> pids;
    for (int64_t i = 0; i < state.range(0); ++i) {
      pids.push_back(PosixSpawn(kReadyAfterASecond, -1, writer.get()));
    }
    std::array<char, 4096> buffer;
    for (int64_t lines = 0; lines < state.range(0);) {
      const ssize_t got = ::read(reader.get(), buffer.data(), buffer.size());
      lines += std::count(buffer.data(), buffer.data() + std::max<ssize_t>(got, 0), '\n');
    }
    state.SetIterationTime(SecondsSince(begin));
    for (const pid_t pid : pids) KillAndReap(pid);
  }
}
BENCHMARK(BM_SupervisorPeer_PosixSpawnAll)
    ->ArgName("services")
    ->Arg(100)
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

// From the call until the program runs.
void BM_Supervisor_Spawn(benchmark::State& state) {
  ServiceSpec spec = BenchService("bench", kSleep);
  const auto plan = MakeSpawnPlan(spec, spec.command, {"/", "run", ""});
  const FileRoot proc = std::move(*FileRoot::Open("/proc"));
  const FileRoot sys = std::move(*FileRoot::Open("/sys"));
  const UniqueFd output(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const auto cgroup = state.range(0) != 0 ? ServiceCgroup::Create(proc, sys, "bench")
                                          : Result<ServiceCgroup>(Error{});
  if (state.range(0) != 0 && !cgroup) {
    state.SkipWithError(cgroup.error().ToString().c_str());
    return;
  }
  for (auto _ : state) {
    const auto begin = SteadyClock::now();
    auto process = Spawn(*plan, output.get(), cgroup ? cgroup->folder() : -1);
    if (!process) BenchBed::Give(process.error().ToString());
    pollfd report{process->report.get(), POLLIN, 0};
    ::poll(&report, 1, -1);
    const auto done = ReadExecReport(*plan, process->report.get());
    state.SetIterationTime(SecondsSince(begin));
    if (!done) BenchBed::Give(done.error().ToString());
    KillAndReap(process->pid);
  }
  if (cgroup) (void)cgroup->Remove();
}
BENCHMARK(BM_Supervisor_Spawn)
    ->ArgName("cgroup")
    ->Arg(0)
    ->Arg(1)
    ->Iterations(500)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

void BM_SupervisorPeer_PosixSpawn(benchmark::State& state) {
  for (auto _ : state) {
    const auto begin = SteadyClock::now();
    const pid_t pid = PosixSpawn(kSleep);
    state.SetIterationTime(SecondsSince(begin));
    KillAndReap(pid);
  }
}
BENCHMARK(BM_SupervisorPeer_PosixSpawn)
    ->Iterations(500)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// --- Starting and stopping, again and again -----------------------------------------------------

void Cycle(BenchBed& bed, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    (void)bed.supervisor().Start("a");
    bed.AwaitAllReady();
    (void)bed.supervisor().Stop("a");
    bed.AwaitAll([](const ServiceStatus& s) {
      return s.state == ServiceState::kStopped && !s.has_processes;
    });
  }
}

void BM_Supervisor_Cycles(benchmark::State& state) {
  BenchBed bed({BenchService("a", kSleep)});
  Cycle(bed, 50);  // what is kept from the first ones is no growth
  const Leftovers before = CountLeftovers();
  for (auto _ : state) Cycle(bed, state.range(0));
  const Leftovers after = CountLeftovers();
  state.SetItemsProcessed(state.iterations() * state.range(0));
  const auto as_double = [](int64_t value) { return static_cast<double>(value); };
  state.counters["descriptors_before"] = as_double(before.descriptors);
  state.counters["descriptors_after"] = as_double(after.descriptors);
  state.counters["zombies"] = as_double(after.zombies);
  state.counters["resident_mib_before"] = before.resident_mib;
  state.counters["resident_mib_after"] = after.resident_mib;
}
BENCHMARK(BM_Supervisor_Cycles)
    ->ArgName("cycles")
    ->Arg(100)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Supervisor_Cycles)
    ->Name("BM_Supervisor_Cycles_Large")
    ->ArgName("cycles")
    ->Arg(10'000)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_SupervisorPeer_PosixSpawnCycles(benchmark::State& state) {
  for (auto _ : state) {
    const pid_t pid = PosixSpawn(kSleep);
    ::kill(pid, SIGTERM);
    ::waitpid(pid, nullptr, 0);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SupervisorPeer_PosixSpawnCycles)->Iterations(500)->UseRealTime();

// --- Doing nothing ------------------------------------------------------------------------------

// What the loop thread has used.
struct LoopUse {
  int64_t wake_ups = 0;
  double cpu_seconds = 0;
};

LoopUse ReadLoopUse() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (ReadAll(task.path() / "comm") != "idlewatt-super\n") continue;
    LoopUse use;
    std::ifstream status(task.path() / "status");
    for (std::string word; status >> word;) {
      if (word == "voluntary_ctxt_switches:") status >> use.wake_ups;
    }
    double nanoseconds = 0;
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    use.cpu_seconds = nanoseconds * 1e-9;
    return use;
  }
  BenchBed::Give("no thread of the supervisor");
}

// Half of them were asked over HTTP until they were ready.
void BM_Supervisor_Idle(benchmark::State& state) {
  const BenchServer server;
  std::vector<ServiceSpec> specs;
  for (int64_t i = 0; i < state.range(0); ++i) {
    specs.push_back(BenchService("s" + std::to_string(i), kSleep));
    if (i % 2 != 0) continue;
    specs.back().ready.emplace().http_get =
        "http://127.0.0.1:" + std::to_string(server.port()) + "/";
  }
  BenchBed bed(std::move(specs));
  bed.supervisor().StartAutostart();
  bed.AwaitAllReady();
  std::this_thread::sleep_for(200ms);  // what was put off is told meanwhile
  const LoopUse before = ReadLoopUse();
  for (auto _ : state) std::this_thread::sleep_for(std::chrono::milliseconds(state.range(1)));
  const LoopUse after = ReadLoopUse();
  state.counters["wake_ups"] = static_cast<double>(after.wake_ups - before.wake_ups);
  state.counters["loop_cpu_ms"] = (after.cpu_seconds - before.cpu_seconds) * 1e3;
  state.counters["resident_mib"] = CountLeftovers().resident_mib;
}
BENCHMARK(BM_Supervisor_Idle)
    ->ArgNames({"services", "ms"})
    ->Args({20, 200})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_Supervisor_Idle)
    ->Name("BM_Supervisor_Idle_Large")
    ->ArgNames({"services", "ms"})
    ->Args({200, 10'000})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// --- A service that floods ----------------------------------------------------------------------

constexpr int64_t kFileBytes = int64_t{16} << 20;
constexpr int64_t kFiles = 32;  // that one flood writes

// cat of a file of lines in the page cache, many times.
std::vector<std::string> FloodCommand(const std::string& file) {
  std::ofstream out(file);
  for (int64_t i = 0, written = 0; written < kFileBytes; ++i) {
    const std::string line = "slot update_slots: id " + std::to_string(i % 4) + " | task " +
                             std::to_string(i * 7919 % 100'003) +
                             " | n_past = " + std::to_string(i % 8192) + ", progress = 0.5\n";
    out << line;
    written += static_cast<int64_t>(line.size());
  }
  std::vector<std::string> command = {"/bin/cat"};
  command.insert(command.end(), static_cast<size_t>(kFiles), file);
  return command;
}

void BM_Supervisor_Flood(benchmark::State& state) {
  const BenchFolder files;
  ServiceSpec spec = BenchService("flood", FloodCommand(files.PathOf("lines")));
  spec.log.compress = state.range(0) != 0;
  BenchBed bed({spec});
  const int64_t bytes =
      kFiles * static_cast<int64_t>(std::filesystem::file_size(files.PathOf("lines")));
  int64_t expected = 0;
  for (auto _ : state) {
    expected += bytes;
    (void)bed.supervisor().Start("flood");
    bed.AwaitAll([&](const ServiceStatus& s) {
      return s.log_bytes + s.log_dropped_bytes >= expected && !s.has_processes;
    });
  }
  const ServiceStatus status = bed.supervisor().Status()[0];
  state.SetBytesProcessed(state.iterations() * bytes);
  state.counters["dropped_bytes"] = static_cast<double>(status.log_dropped_bytes);
}
BENCHMARK(BM_Supervisor_Flood)
    ->ArgName("compress")
    ->Arg(0)
    ->Arg(1)
    ->Iterations(4)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_SupervisorPeer_CatFlood(benchmark::State& state) {
  const BenchFolder folder;
  const std::vector<std::string> command = FloodCommand(folder.PathOf("lines"));
  ::mkfifo(folder.PathOf("fifo").c_str(), 0600);
  for (auto _ : state) {
    UniqueFd both(::open(folder.PathOf("fifo").c_str(), O_RDWR | O_CLOEXEC));
    ::fcntl(both.get(), F_SETPIPE_SZ, 1 << 20);
    UniqueFd writer(::open(folder.PathOf("fifo").c_str(), O_WRONLY | O_CLOEXEC));
    const UniqueFd reader(::open(folder.PathOf("fifo").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd file(
        ::open(folder.PathOf("file").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const pid_t drain = PosixSpawn({"/bin/cat"}, reader.get(), file.get());
    const pid_t flood = PosixSpawn(command, -1, writer.get());
    both.reset();
    writer.reset();
    ::waitpid(flood, nullptr, 0);
    ::waitpid(drain, nullptr, 0);
  }
  state.SetBytesProcessed(state.iterations() * kFiles *
                          static_cast<int64_t>(std::filesystem::file_size(folder.PathOf("lines"))));
}
BENCHMARK(BM_SupervisorPeer_CatFlood)->Iterations(4)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
