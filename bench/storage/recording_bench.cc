// The whole way of values to where they stay: flushes, the chunks and roll-ups of each hour, and
// the chunks of a day; and what memory the writer needs for it.
#include <benchmark/benchmark.h>

#include "bench/storage/bench_history.h"

namespace idlewatt {
namespace {

void SetSamples(benchmark::State& state, BenchHistory& place, int64_t hours) {
  const auto frames = hours * kFlushesPerHour * int64_t{BenchHistory::kFlushFrames};
  state.SetItemsProcessed(state.iterations() * frames * static_cast<int64_t>(place.series()));
}

// CPU time of all threads while `hours` are recorded, the making of the values left out. The hour
// that ends before is compacted in the time, and the last one is not.
void BM_History_Record(benchmark::State& state) {
  BenchHistory place(static_cast<size_t>(state.range(0)));
  const int64_t hours = state.range(1);
  place.Open();
  place.Record(1);
  for (auto _ : state) {
    for (int64_t i = 0; i < hours * kFlushesPerHour; ++i) {
      state.PauseTiming();
      place.PushFlush();
      state.ResumeTiming();
      Must(place.history().Flush());
    }
  }
  SetSamples(state, place, hours);
}
BENCHMARK(BM_History_Record)
    ->ArgNames({"series", "hours"})
    ->Args({50, 1})
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);
// An hour of many, and a day of fewer with its merge.
BENCHMARK(BM_History_Record)
    ->Name("BM_History_Record_Large")
    ->ArgNames({"series", "hours"})
    ->Args({1000, 2})
    ->Args({100, 24})
    ->Iterations(1)
    ->Repetitions(3)
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
