// What memory the writer of the history needs.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <fstream>

#include "base/text.h"
#include "bench/storage/bench_history.h"

namespace idlewatt {
namespace {

double StatusMib(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::string_view rest = line;
    if (NextField(rest, ':') != field) continue;
    std::string_view size = Trim(NextField(rest, ':'));  // "1234 kB"
    return static_cast<double>(ParseNumber<uint64_t>(NextField(size)).value_or(0)) / 1024;
  }
  return 0;
}

// Makes VmHWM count anew; see proc(5).
void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// How much resident memory grows at most, from before the history is opened: the connection with
// its caches, the queue, compaction and its buffers. The values and their names were there before.
void BM_History_Memory(benchmark::State& state) {
  for (auto _ : state) {
    BenchHistory place(static_cast<size_t>(state.range(0)));
    malloc_trim(0);  // else the writer lives in what others have freed
    ForgetPeak();
    const double before = StatusMib("VmRSS");
    place.Open();
    place.Record(state.range(1));
    state.counters["peak_mib"] = StatusMib("VmHWM") - before;
  }
}
// Two hours of many, so that one is compacted, and two days of a few, so that one is merged. The
// first that runs also pays for what SQLite makes only once.
BENCHMARK(BM_History_Memory)
    ->Name("BM_History_Memory_Large")
    ->ArgNames({"series", "hours"})
    ->Args({2000, 2})
    ->Args({50, 48})
    ->Iterations(1)
    ->Repetitions(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_History_Memory)
    ->ArgNames({"series", "hours"})
    ->Args({50, 2})
    ->Iterations(1)
    ->Repetitions(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
