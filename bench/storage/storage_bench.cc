// What a flush and a query cost. Values look like a machine's: ticks in hundredths, temperatures in
// thousandths, energy in microjoules, and some with all bits in use.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "storage/column_codec.h"
#include "storage/data_dir.h"
#include "storage/database_file.h"
#include "storage/flush_body.h"
#include "storage/history.h"
#include "storage/range_query.h"

namespace idlewatt {
namespace {

constexpr int64_t kStartMs = 1'700'000'000'000;
constexpr int64_t kIntervalMs = 5000;
constexpr size_t kFlushFrames = 3;
constexpr Metric kValue{"bench_value", MetricKind::kGauge, "", {{"n"}}, ""};

// The next value of series `n`, which had `before`.
double NextValue(size_t n, double before, std::mt19937_64& random) {
  const auto step = static_cast<double>(random() % 200);
  switch (n % 10) {
    case 0:
    case 1:
    case 2:
      return std::round(before * 100 + step) / 100;  // CPU seconds
    case 3:
    case 4:
      return std::round(1000 * (40 + step / 37)) / 1000;  // a temperature
    case 5:
      return std::round(before * 1e6 + step * 12345) / 1e6;  // energy
    case 6:
      return before + step * 4096;  // bytes
    case 7:
      return static_cast<double>(random() % 1000) / 997;  // a ratio
    default:
      return before;  // most do not change
  }
}

class Machine {
 public:
  explicit Machine(size_t series) : values_(series) {
    for (size_t n = 0; n < series; ++n) values_[n] = static_cast<double>(n) * 17;
  }
  void Tick() {
    for (size_t n = 0; n < values_.size(); ++n) values_[n] = NextValue(n, values_[n], random_);
  }
  const std::vector<double>& values() const { return values_; }

 private:
  std::mt19937_64 random_{42};
  std::vector<double> values_;
};

FlushTable SomeTable(size_t series) {
  Machine machine(series);
  FlushTable table;
  table.values.resize(series * kFlushFrames);
  for (size_t n = 0; n < series; ++n) table.series_ids.push_back(static_cast<int64_t>(n) + 1);
  for (size_t i = 0; i < kFlushFrames; ++i) {
    machine.Tick();
    table.times_ms.push_back(kStartMs + static_cast<int64_t>(i) * kIntervalMs);
    for (size_t n = 0; n < series; ++n) table.values[n * kFlushFrames + i] = machine.values()[n];
  }
  return table;
}

// A data folder under the temporary one, removed at the end.
class Workplace {
 public:
  explicit Workplace(size_t series) : machine_(series) {
    for (size_t n = 0; n < series; ++n)
      ids_.push_back(registry_.Intern(kValue, {std::to_string(n)}));
    HistoryOptions options;
    options.flush_interval = std::chrono::hours(1);
    history_ = std::move(*History::Open(folder_, options, registry_));
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace() {
    history_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(folder_.path(), ignored);
  }

  void PushFrame() {
    machine_.Tick();
    Frame frame;
    frame.begin.wall = WallTime(std::chrono::milliseconds(kStartMs + frames_++ * kIntervalMs));
    for (size_t n = 0; n < ids_.size(); ++n)
      frame.samples.push_back({ids_[n], machine_.values()[n]});
    history_->Push(frame);
  }
  History& history() { return *history_; }
  void Close() { history_.reset(); }
  std::string db_path() const { return folder_.PathOf(kHistoryFile); }
  WallTime end() const {
    return WallTime(std::chrono::milliseconds(kStartMs + frames_ * kIntervalMs));
  }

 private:
  static std::string FolderName() {
    const auto name = "idlewatt-bench-" + std::to_string(getpid());
    return (std::filesystem::temp_directory_path() / name).string();
  }

  DataDir folder_ = std::move(*DataDir::Lock(FolderName()));
  SeriesRegistry registry_;
  Machine machine_;
  std::vector<SeriesId> ids_;
  int64_t frames_ = 0;
  std::unique_ptr<History> history_;
};

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
  SetSamples(state, series * kFlushFrames, bytes);
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
      benchmark::DoNotOptimize(DecodeColumn(column.bytes, kFlushFrames, values).ok());
    }
  }
  SetSamples(state, series * kFlushFrames, body.size());
}
BENCHMARK(BM_FlushBody_Decode)->ArgName("series")->Arg(300)->Arg(1000);

void BM_History_Flush(benchmark::State& state) {
  const auto series = static_cast<size_t>(state.range(0));
  Workplace place(series);
  for (auto _ : state) {
    state.PauseTiming();
    for (size_t i = 0; i < kFlushFrames; ++i) place.PushFrame();
    state.ResumeTiming();
    if (!place.history().Flush().ok()) state.SkipWithError("not written");
  }
  const auto flushes = static_cast<double>(place.history().Stats().flushes);
  state.counters["file_bytes_per_flush"] =
      static_cast<double>(place.history().Stats().file_bytes) / flushes;
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(series * kFlushFrames));
}
BENCHMARK(BM_History_Flush)->ArgName("series")->Arg(300)->Arg(1000)->UseRealTime();

// One of 300 series over `hours` at 5 s.
void BM_RangeQuery_OneSeries(benchmark::State& state) {
  Workplace place(300);
  const int64_t frames = state.range(0) * 3600 * 1000 / kIntervalMs;
  for (int64_t i = 0; i < frames; ++i) {
    place.PushFrame();
    if (i % static_cast<int64_t>(kFlushFrames) == 0) (void)place.history().Flush();
  }
  place.Close();
  const Selector selector = *Selector::Parse("bench_value{n=\"7\"}");
  size_t points = 0;
  for (auto _ : state) {
    HistoryReader reader = std::move(*HistoryReader::Open(place.db_path()));
    const RangeWindow window{WallTime(std::chrono::milliseconds(kStartMs)), place.end()};
    const Result<RangeAnswer> answer = QueryRange(selector, window, nullptr, &reader);
    points = answer.ok() && !answer->series.empty() ? answer->series[0].points.size() : 0;
  }
  if (points != static_cast<size_t>(frames)) state.SkipWithError("points are missing");
  state.counters["points"] = static_cast<double>(points);
  state.counters["bytes_per_sample"] =
      static_cast<double>(std::filesystem::file_size(place.db_path())) /
      (300 * static_cast<double>(frames));
}
BENCHMARK(BM_RangeQuery_OneSeries)
    ->ArgName("hours")
    ->Arg(1)
    ->Arg(24)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
