// How fast the output of a service that floods is taken, beside programs that do the same: cat,
// which only copies, and svlogd of runit, which rotates too.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "supervisor/log/output.h"

namespace idlewatt {
namespace {

constexpr int64_t kBytes = int64_t{256} << 20;  // that one flood writes
constexpr size_t kWrite = size_t{64} << 10;
constexpr int kPipeBytes = 1 << 20;
constexpr int64_t kLogSize = int64_t{10} << 20;
constexpr int kBackups = 5;

// Lines as a model server writes them, of which gzip makes a tenth.
std::string MakeLines() {
  std::string lines;
  for (uint32_t i = 0, random = 1; lines.size() < kWrite; ++i) {
    random = random * 1664525 + 1013904223;
    lines += "slot update_slots: id " + std::to_string(i % 4) + " | task " +
             std::to_string(random >> 12) + " | n_past = " + std::to_string(random % 8192) +
             ", n_cache_tokens = " + std::to_string(i) + ", progress = 0." +
             std::to_string(random >> 16) + "\n";
  }
  lines.resize(kWrite);
  lines.back() = '\n';
  return lines;
}

double CpuSeconds(const rusage& usage) {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double CpuSecondsOf(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return CpuSeconds(usage);
}

// Waits for it, and gives the CPU time that it used.
double Reap(pid_t pid) {
  rusage usage{};
  int status = 0;
  ::wait4(pid, &status, 0, &usage);
  return CpuSeconds(usage);
}

// A folder with a FIFO, and a process that floods it.
class Flood {
 public:
  Flood() {
    std::string name = (std::filesystem::temp_directory_path() / "idlewatt-bench-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    ::mkfifo(fifo().c_str(), 0600);
  }
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;
  ~Flood() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string fifo() const { return PathOf("fifo"); }
  std::string PathOf(const char* name) const { return folder_ + "/" + name; }

  // Waits in open until somebody reads.
  void Start() {
    const std::string lines = MakeLines();
    writer_ = ::fork();
    if (writer_ != 0) return;
    const int pipe = ::open(fifo().c_str(), O_WRONLY);
    ::fcntl(pipe, F_SETPIPE_SZ, kPipeBytes);
    for (int64_t sent = 0; sent < kBytes; sent += static_cast<int64_t>(lines.size())) {
      if (::write(pipe, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) break;
    }
    ::_exit(0);
  }
  void WaitForWriter() const { Reap(writer_); }

 private:
  std::string folder_;
  pid_t writer_ = -1;
};

// As the supervisor does, without the services beside it.
void DrainAll(Output& output, int pipe, LogCompressor* compressor) {
  std::array<pollfd, 2> fds{
      {{.fd = pipe, .events = POLLIN, .revents = 0},
       {.fd = compressor != nullptr ? compressor->fd() : -1, .events = POLLIN, .revents = 0}}};
  while (true) {
    ::poll(fds.data(), fds.size(), -1);
    if (fds[1].revents != 0) compressor->Deliver();
    if (fds[0].revents != 0 && output.Drain(pipe, {}) == Output::Drained::kEnd) return;
  }
}

void BM_OutputFlood(benchmark::State& state) {
  int64_t dropped = 0;
  const double cpu = CpuSecondsOf(RUSAGE_SELF);
  const double loop_cpu = CpuSecondsOf(RUSAGE_THREAD);
  for (auto _ : state) {
    Flood flood;
    const auto compressor = LogCompressor::Create();
    const ServiceSpec::Log options{
        .max_size = kLogSize, .max_backups = kBackups, .compress = state.range(0) != 0};
    Output output(LogFile(flood.PathOf("a.log"), options, compressor->get()),
                  std::make_shared<LogTail>());
    const UniqueFd pipe(::open(flood.fifo().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    flood.Start();
    DrainAll(output, pipe.get(), compressor->get());
    dropped += output.log().dropped_bytes();
    flood.WaitForWriter();
  }
  const double gigabytes = static_cast<double>(state.iterations() * kBytes) / 1e9;
  state.SetBytesProcessed(state.iterations() * kBytes);
  state.counters["cpu_s_per_GB"] = (CpuSecondsOf(RUSAGE_SELF) - cpu) / gigabytes;
  state.counters["loop_cpu_s_per_GB"] = (CpuSecondsOf(RUSAGE_THREAD) - loop_cpu) / gigabytes;
  state.counters["dropped_bytes"] = static_cast<double>(dropped);
}
BENCHMARK(BM_OutputFlood)
    ->ArgName("compress")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// `command` with its input from the FIFO and its output to `file`.
pid_t StartPeer(const std::vector<std::string>& command, const Flood& flood) {
  const std::string file = flood.PathOf("file");
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::dup2(::open(flood.fifo().c_str(), O_RDONLY), STDIN_FILENO);
  ::dup2(::open(file.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

void MeasurePeer(benchmark::State& state, const std::vector<std::string>& command,
                 const std::string& config = {}) {
  double cpu = 0;
  for (auto _ : state) {
    Flood flood;
    std::vector<std::string> here = command;
    if (!config.empty()) {
      here.push_back(flood.PathOf("logs"));
      std::filesystem::create_directory(here.back());
      std::ofstream(here.back() + "/config") << config;
    }
    flood.Start();
    cpu += Reap(StartPeer(here, flood));
    flood.WaitForWriter();
  }
  state.SetBytesProcessed(state.iterations() * kBytes);
  state.counters["cpu_s_per_GB"] = cpu / (static_cast<double>(state.iterations() * kBytes) / 1e9);
}

void BM_OutputPeerCat(benchmark::State& state) { MeasurePeer(state, {"cat"}); }
BENCHMARK(BM_OutputPeerCat)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_OutputPeerSvlogd(benchmark::State& state) {
  if (std::system("command -v svlogd >/dev/null") != 0) {  // NOLINT(cert-env33-c)
    state.SkipWithError("svlogd is not in PATH; tools/bench fetches it");
    return;
  }
  MeasurePeer(state, {"svlogd", "-b", std::to_string(kWrite)},
              "s" + std::to_string(kLogSize) + "\nn" + std::to_string(kBackups) + "\n");
}
BENCHMARK(BM_OutputPeerSvlogd)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
