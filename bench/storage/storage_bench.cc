// What a flush costs, and how its rows look: the way of a frame to the disk.
#include <benchmark/benchmark.h>

#include <algorithm>

#include "bench/storage/bench_history.h"
#include "storage/column_codec.h"
#include "storage/flush_body.h"

namespace idlewatt {
namespace {

constexpr size_t kFrames = BenchHistory::kFlushFrames;

FlushTable SomeTable(size_t series) {
  GeneratedMachine machine = GeneratedMachine::WithSeries(series);
  FlushTable table;
  table.values.resize(series * kFrames);
  for (size_t n = 0; n < series; ++n) table.series_ids.push_back(static_cast<int64_t>(n) + 1);
  for (size_t i = 0; i < kFrames; ++i, machine.Tick()) {
    table.times_ms.push_back(machine.time_ms());
    for (size_t n = 0; n < series; ++n) table.values[n * kFrames + i] = machine.values()[n];
  }
  return table;
}

void SetSamples(benchmark::State& state, size_t samples_each, size_t bytes_each) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(samples_each));
  state.counters["bytes_per_sample"] =
      static_cast<double>(bytes_each) / static_cast<double>(samples_each);
}

void BM_FlushBody_Encode(benchmark::State& state) {
  const auto series = static_cast<size_t>(state.range(0));
  const FlushTable table = SomeTable(series);

  size_t bytes = 0;
  for (auto _ : state) {
    bytes = EncodeFlush(table).size();
    benchmark::DoNotOptimize(bytes);
  }
  SetSamples(state, series * kFrames, bytes);
}
BENCHMARK(BM_FlushBody_Encode)->ArgName("series")->Arg(300)->Arg(1000);

void BM_FlushBody_Decode(benchmark::State& state) {
  const auto series = static_cast<size_t>(state.range(0));
  const std::string body = EncodeFlush(SomeTable(series));
  FlushDecoder decoder;
  std::vector<double> values;
  FlushDecoder::Column column;
  for (auto _ : state) {
    if (!decoder.Open(body).ok()) state.SkipWithError("damaged");
    while (*decoder.Next(column)) {
      benchmark::DoNotOptimize(DecodeColumn(column.bytes, kFrames, values).ok());
    }
  }
  SetSamples(state, series * kFrames, body.size());
}
BENCHMARK(BM_FlushBody_Decode)->ArgName("series")->Arg(300)->Arg(1000);

// Once the series are known. `longest_ms` is that of the slowest transaction.
void BM_History_Flush(benchmark::State& state) {
  BenchHistory place(static_cast<size_t>(state.range(0)));
  place.Open();
  place.PushFlush();
  Must(place.history().Flush());
  std::chrono::nanoseconds longest{0};
  for (auto _ : state) {
    state.PauseTiming();
    place.PushFlush();
    state.ResumeTiming();
    Must(place.history().Flush());
    longest = std::max(longest, place.history().Stats().last_flush_duration);
  }
  state.counters["longest_ms"] = std::chrono::duration<double, std::milli>(longest).count();
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(place.series() * kFrames));
}
BENCHMARK(BM_History_Flush)->ArgName("series")->Arg(300)->Arg(1000)->UseRealTime();

}  // namespace
}  // namespace idlewatt
