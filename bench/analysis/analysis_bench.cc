#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include "analysis/analyzer.h"
#include "collector/frame.h"
#include "collector/metrics.h"
#include "collector/snapshot.h"

namespace {

// Allocations of this process so far.
std::atomic<int64_t> allocations = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }

namespace idlewatt {
namespace {

constexpr SamplerInfo kEverything{"everything", "", false, {}};

// A machine with that many services and RAPL zones, and about as many series of no concern to the
// analysis as a real one has.
class BusyMachine {
 public:
  BusyMachine(int services, int zones) : services_(services), zones_(zones) {}

  // What the samplers would give in the next tick, five seconds later.
  const Snapshot& NextTick() {
    ++tick_;
    Readings readings(registry_);
    const auto count = static_cast<double>(tick_);
    for (const std::string_view mode : {"user", "system", "idle", "iowait"}) {
      readings.Add(metrics::kHostCpuSeconds, {mode}, 10 * count);
    }
    for (int i = 0; i < services_; ++i) AddService(i, count, readings);
    readings.Add(metrics::kEnergyJoules, {"nvml", "gpu0"}, 70 * count);
    readings.Add(metrics::kGpuUtilization, {"gpu0"}, 0.4);
    for (int i = 1; i < zones_; ++i) {
      std::string domain = i % 2 == 0 ? "package-" : "dram-";
      domain += std::to_string(i / 2);
      readings.Add(metrics::kEnergyJoules, {"rapl", domain}, 50 * count);
    }
    return Apply(readings, &kEverything);
  }
  void TakeBack(const Readings& derived) { Apply(derived, &Analyzer::Info()); }
  SeriesRegistry& registry() { return registry_; }

 private:
  void AddService(int i, double count, Readings& readings) {
    std::string name = "service-";
    name += std::to_string(i);
    const std::string_view kind = i % 2 == 0 ? "supervised" : "discovered";
    readings.Add(metrics::kServiceCpuSeconds, {name, kind, "user"}, 0.2 * count);
    readings.Add(metrics::kServiceCpuSeconds, {name, kind, "system"}, 0.1 * count);
    readings.Add(metrics::kServiceMemoryBytes, {name, kind}, 1e6);
    readings.Add(metrics::kServiceProcesses, {name, kind}, 3);
    readings.Add(metrics::kServiceThreads, {name, kind}, 9);
    if (i % 2 != 0) return;
    readings.Add(metrics::kServiceGpuMemoryBytes, {name, kind, "gpu0"}, 1e8);
    readings.Add(metrics::kServiceGpuSeconds, {name, kind, "gpu0"}, 0.05 * count);
    for (const std::string_view state : {"starting", "ready", "failed"}) {
      readings.Add(metrics::kServiceState, {name, state}, state == "ready" ? 1 : 0);
    }
    readings.Add(metrics::kServiceConnectionsSeen, {name}, 1);
    readings.Add(metrics::kServiceNetworkBytes, {name, "in"}, 1000);
    readings.Add(metrics::kServiceNetworkBytes, {name, "out"}, 1000);
  }
  const Snapshot& Apply(const Readings& readings, const SamplerInfo* info) {
    Frame frame;
    frame.begin.boot = BootTime(std::chrono::seconds(5) * tick_);
    frame.samples = readings.samples;
    SamplerRun run{info, SamplerRun::Outcome::kOk};
    run.count = frame.samples.size();
    frame.runs.push_back(std::move(run));
    builder_.Apply(frame);
    return builder_.Current();
  }

  const int services_;
  const int zones_;
  int tick_ = 0;
  SeriesRegistry registry_;
  SnapshotBuilder builder_{registry_};
};

void BM_Analyzer_Tick(benchmark::State& state) {  // NOLINT(readability-identifier-naming)
  BusyMachine machine(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  Analyzer analyzer{AnalysisOptions()};
  Readings derived(machine.registry());
  for (int i = 0; i < 800; ++i) {  // more than an hour: half of them are idle and have alerts
    derived.Clear();
    analyzer.Analyze(machine.NextTick(), derived);
    machine.TakeBack(derived);
  }
  int64_t allocated = 0;
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    state.PauseTiming();
    const Snapshot& snapshot = machine.NextTick();
    derived.Clear();
    const int64_t before = allocations;
    state.ResumeTiming();
    analyzer.Analyze(snapshot, derived);
    state.PauseTiming();
    allocated += allocations - before;
    machine.TakeBack(derived);
    state.ResumeTiming();
  }
  state.counters["samples"] = static_cast<double>(derived.samples.size());
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocated), benchmark::Counter::kAvgIterations);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(derived.samples.size()));
}
BENCHMARK(BM_Analyzer_Tick)
    ->ArgNames({"services", "domains"})
    ->Args({10, 2})
    ->Args({50, 8})
    ->Args({500, 8});

}  // namespace
}  // namespace idlewatt
