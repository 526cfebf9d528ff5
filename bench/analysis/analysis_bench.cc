#include <benchmark/benchmark.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "analysis/analyzer.h"
#include "collector/frame.h"
#include "collector/metrics.h"
#include "collector/selector.h"
#include "collector/snapshot.h"
#include "tests/support/allocations.h"

namespace idlewatt {
namespace {

constexpr SamplerInfo kEverything{"everything", "", false, {}};

// A machine with that many services and RAPL zones, and about as many series of no concern to the
// analysis as a real one has. It is hot: one core nears its limit, and one CPU is slowed down.
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
    AddChips(readings);
    AddZones(readings);
    AddCooling(readings);
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
  void AddChips(Readings& readings) const {
    using Limit = std::pair<std::string_view, double>;
    for (int i = 0; i < kChips * kTemperatures; ++i) {
      const std::string chip = "coretemp-isa-000" + std::to_string(i / kTemperatures);
      const std::string sensor = "temp" + std::to_string(i % kTemperatures + 1);
      const std::string label = "Core " + std::to_string(i % kTemperatures);
      // The core that nears its limit has another temperature in every tick, so another text.
      readings.Add(metrics::kTemperature, {chip, sensor, label}, i == 9 ? 86 + tick_ % 3 : 50 + i);
      for (const auto& [limit, celsius] :
           {Limit("max", 90), Limit("crit", 100), Limit("emergency", 105)}) {
        readings.Add(metrics::kTemperatureLimit, {chip, sensor, label, limit}, celsius);
      }
    }
  }
  static void AddZones(Readings& readings) {
    using Trip = std::pair<std::string_view, double>;
    for (int i = 0; i < kThermalZones; ++i) {
      const std::string zone = std::to_string(i);
      readings.Add(metrics::kZoneCelsius, {zone, "acpitz"}, 50 + i);
      for (const auto& [trip, celsius] :
           {Trip("passive", 80), Trip("passive#2", 90), Trip("critical", 110)}) {
        readings.Add(metrics::kZoneTripCelsius, {zone, "acpitz", trip}, celsius);
      }
    }
  }
  static void AddCooling(Readings& readings) {
    for (int i = 0; i < kThrottleCounts; ++i) {
      readings.Add(metrics::kThrottleEvents, {"core", std::to_string(i)}, 7);
    }
    for (int i = 0; i < kCoolingDevices; ++i) {
      const std::string number = std::to_string(i);
      const std::string_view type = i % 2 == 0 ? "Processor" : "pwm-fan";
      readings.Add(metrics::kCoolingState, {number, type}, i == 4 ? 2 : 0);
      readings.Add(metrics::kCoolingMaxState, {number, type}, 10);
    }
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

  static constexpr int kChips = 4;
  static constexpr int kTemperatures = 8;  // of a chip
  static constexpr int kThermalZones = 6;
  static constexpr int kThrottleCounts = 16;
  static constexpr int kCoolingDevices = 10;

  const int services_;
  const int zones_;
  int tick_ = 0;
  SeriesRegistry registry_;
  SnapshotBuilder builder_{registry_};
};

// Ticks of a machine with as many services and domains as the arguments say.
void RunTicks(benchmark::State& state, AnalysisOptions options) {
  BusyMachine machine(static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  Analyzer analyzer(std::move(options));
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

// A rule of a metric whose alerts fire for every service.
AnalysisOptions WithMetricRule() {
  AlertRule rule{.name = "Memory"};
  rule.metric = Selector::Parse(R"(idlewatt_service_resident_memory_bytes{kind!=""})").value();
  rule.advice = "see what it holds, and whether it needs all of it";
  rule.warning = 1000;
  AnalysisOptions options;
  options.alerts.push_back(std::move(rule));
  return options;
}

// NOLINTBEGIN(readability-identifier-naming)
void BM_Analyzer_Tick(benchmark::State& state) { RunTicks(state, {}); }
void BM_Analyzer_TickWithMetricRule(benchmark::State& state) { RunTicks(state, WithMetricRule()); }
// NOLINTEND(readability-identifier-naming)

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"services", "domains"})->Args({10, 2})->Args({50, 8});
}
void LargeSize(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"services", "domains"})->Args({500, 8});
}
BENCHMARK(BM_Analyzer_Tick)->Apply(Sizes);
BENCHMARK(BM_Analyzer_Tick)->Name("BM_Analyzer_Tick_Large")->Apply(LargeSize);
BENCHMARK(BM_Analyzer_TickWithMetricRule)->Apply(Sizes);
BENCHMARK(BM_Analyzer_TickWithMetricRule)
    ->Name("BM_Analyzer_TickWithMetricRule_Large")
    ->Apply(LargeSize);

}  // namespace
}  // namespace idlewatt
