#include <benchmark/benchmark.h>

#include <memory>

#include "collector/process/process_sampler.h"
#include "collector/snapshot.h"
#include "collector/socket_sampler.h"
#include "tests/support/fake_proc.h"
#include "tests/support/process_herd.h"

namespace idlewatt {
namespace {

using benchmark::Counter;

// One tick over a made-up /proc of /pids processes in 40 units, of which 10 are a service's.
// Files of a disk file system are a little cheaper to read than those of the real /proc.
void BM_ProcessSampler_Tick(benchmark::State& state) {
  FakeProc proc;
  const auto pids = static_cast<int32_t>(state.range(0));
  for (int32_t pid = 1000; pid < 1000 + pids; ++pid) {
    proc.Put({.pid = pid, .comm = "worker", .parent = pid < 1010 ? 1000 : 1, .user = 100});
    proc.PutFile(pid, "cgroup", "0::/system.slice/unit-" + std::to_string(pid % 40) + ".service\n");
    proc.PutFile(pid, "io", "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n");
  }
  const FakeTree sys;
  const MachineRoots roots{proc.Root(), sys.Root()};
  FakeDirectory directory;
  directory.roots = {{"web", 1000, {}}};
  ProcessSampler sampler(roots, MakeProcBackend(roots.proc), {}, &directory,
                         std::make_shared<GpuBoard>());
  SeriesRegistry registry;
  ManualClock clock;
  Readings readings(registry);
  const auto tick = [&] {
    readings.Clear();
    clock.Advance(std::chrono::seconds(5));
    if (!sampler.Read(clock.Now(), readings)) state.SkipWithError("cannot read");
  };
  for (int warm_up = 0; warm_up < 3; ++warm_up) tick();  // new processes are looked at twice
  for (auto _ : state) tick();
  state.SetItemsProcessed(state.iterations() * pids);
  state.counters["time/process"] =
      Counter(static_cast<double>(pids), Counter::kIsIterationInvariantRate | Counter::kInvert);
}
BENCHMARK(BM_ProcessSampler_Tick)->ArgName("pids")->Arg(300)->Arg(2000);

// One tick over /pids real processes that do nothing, and those this machine has besides.
void RealTick(benchmark::State& state, std::unique_ptr<ProcessBackend> backend,
              const MachineRoots& roots) {
  const ProcessHerd herd(static_cast<size_t>(state.range(0)));
  ProcessSampler sampler(roots, std::move(backend), {}, nullptr, std::make_shared<GpuBoard>());
  SeriesRegistry registry;
  const RealClock clock;
  Readings readings(registry);
  size_t processes = 0;
  const auto tick = [&] {
    readings.Clear();
    if (!sampler.Read(clock.Now(), readings)) state.SkipWithError("cannot read");
    processes += readings.processes->size();
  };
  for (int warm_up = 0; warm_up < 3; ++warm_up) tick();  // new processes are looked at twice
  processes = 0;
  for (auto _ : state) tick();
  state.SetItemsProcessed(static_cast<int64_t>(processes));
  state.counters["time/process"] =
      Counter(static_cast<double>(processes), Counter::kIsRate | Counter::kInvert);
}

MachineRoots RealRoots() {
  return {std::move(*FileRoot::Open("/proc")), std::move(*FileRoot::Open("/sys"))};
}

void BM_ProcessSampler_Proc(benchmark::State& state) {
  const MachineRoots roots = RealRoots();
  RealTick(state, MakeProcBackend(roots.proc), roots);
}
BENCHMARK(BM_ProcessSampler_Proc)->ArgName("pids")->Arg(0)->Arg(2000)->Arg(10000);

void BM_ProcessSampler_Bpf(benchmark::State& state) {
  const MachineRoots roots = RealRoots();
  Result<std::unique_ptr<ProcessBackend>> bpf = MakeBpfBackend();
  if (!bpf) return state.SkipWithError(bpf.error().ToString().c_str());
  RealTick(state, std::move(*bpf), roots);
}
BENCHMARK(BM_ProcessSampler_Bpf)->ArgName("pids")->Arg(0)->Arg(2000)->Arg(10000);

constexpr Metric kMetric{"bench_value", MetricKind::kGauge, "", {{"service", "kind"}}, "a value"};
constexpr SamplerInfo kInfo{"bench", "a sampler", false, {}};

// Taking in a frame of /series values and publishing a copy, as at the end of every tick.
void BM_SnapshotBuilder_ApplyAndPublish(benchmark::State& state) {
  SeriesRegistry registry;
  SnapshotBuilder builder(registry);
  ManualClock clock;
  Frame frame;
  SamplerRun run{&kInfo, SamplerRun::Outcome::kOk};
  run.count = static_cast<size_t>(state.range(0));
  for (size_t i = 0; i < run.count; ++i) {
    frame.samples.push_back({registry.Intern(kMetric, {std::to_string(i), "discovered"}), 1});
  }
  frame.runs.push_back(run);
  for (auto _ : state) {
    clock.Advance(std::chrono::seconds(5));
    frame.begin = clock.Now();
    builder.Apply(frame);
    benchmark::DoNotOptimize(std::make_shared<const Snapshot>(builder.Current()));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SnapshotBuilder_ApplyAndPublish)->ArgName("series")->Arg(2000);

// Interning the labels of a series that is known: what every value of every tick costs.
void BM_SeriesRegistry_Intern(benchmark::State& state) {
  SeriesRegistry registry;
  for (int i = 0; i < 2000; ++i) registry.Intern(kMetric, {std::to_string(i), "discovered"});
  for (auto _ : state) benchmark::DoNotOptimize(registry.Intern(kMetric, {"1234", "discovered"}));
}
BENCHMARK(BM_SeriesRegistry_Intern);

// Listing the connections of one port among all sockets that this machine has.
void BM_SockDiag_List(benchmark::State& state) {
  const SocketSampler::Lister lister = MakeSockDiagLister();
  for (auto _ : state) {
    if (!lister({80})) state.SkipWithError("cannot list");
  }
}
BENCHMARK(BM_SockDiag_List);

}  // namespace
}  // namespace idlewatt
