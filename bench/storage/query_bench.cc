// What it costs to open a history and to ask for one series.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>

#include "bench/storage/bench_history.h"
#include "storage/backfill.h"
#include "storage/database_file.h"
#include "storage/range_query.h"

namespace idlewatt {
namespace {

constexpr size_t kSeries = 79;

// A file with `hours` of the made-up machine. Made once for each length and kept to the end.
class FilledFile {
 public:
  static const FilledFile& OfHours(int64_t hours) {
    static std::map<int64_t, std::unique_ptr<FilledFile>> made;
    std::unique_ptr<FilledFile>& file = made[hours];
    if (!file) file.reset(new FilledFile(hours));
    return *file;
  }
  std::string db_path() const { return folder_.db_path(); }
  double bytes_per_sample() const {
    return static_cast<double>(FileBytes(db_path())) / static_cast<double>(samples_);
  }

 private:
  explicit FilledFile(int64_t hours) {
    GeneratedMachine machine = GeneratedMachine::WithSeries(kSeries);
    const auto backfill = Must(Backfill::Open(db_path()));
    std::vector<size_t> handles;
    for (const auto& series : machine.series()) handles.push_back(AddSeries(*backfill, series));
    const int64_t frames = hours * 3'600'000 / GeneratedMachine::kIntervalMs;
    for (int64_t i = 0; i < frames; ++i, machine.Tick()) {
      for (size_t n = 0; n < handles.size(); ++n) {
        Must(backfill->Add(handles[n], machine.time_ms(), machine.values()[n]));
      }
    }
    samples_ = Must(backfill->Finish()).added;
  }

  static size_t AddSeries(Backfill& backfill, const GeneratedMachine::Series& series) {
    Labels labels;
    for (size_t i = 0; i < series.labels.size(); ++i) {
      labels.emplace_back(series.metric->labels.names[i], series.labels[i]);
    }
    std::sort(labels.begin(), labels.end());
    const SeriesName name{std::string(series.metric->name), labels};
    return backfill.AddSeries(name, series.metric->kind, std::string(series.metric->unit));
  }

  BenchFolder folder_;
  uint64_t samples_ = 0;
};

// One series over the second half of the file, as it was measured: opening, finding, reading.
void BM_RangeQuery_OneSeries(benchmark::State& state) {
  const int64_t hours = state.range(0);
  const FilledFile& file = FilledFile::OfHours(2 * hours);
  const Selector selector = *Selector::Parse("idlewatt_power_watts{domain=\"system\"}");
  const auto begin = WallTime(std::chrono::milliseconds(GeneratedMachine::kStartMs));
  const RangeWindow window{begin + std::chrono::hours(hours),
                           begin + std::chrono::hours(2 * hours) - std::chrono::seconds(1)};
  size_t points = 0;
  for (auto _ : state) {
    HistoryReader reader = Must(HistoryReader::Open(file.db_path()));
    const RangeAnswer answer = Must(QueryRange(selector, window, nullptr, &reader));
    points = answer.series.empty() ? 0 : answer.series[0].points.size();
  }
  const int64_t wanted = hours * 3'600'000 / GeneratedMachine::kIntervalMs;
  if (points != static_cast<size_t>(wanted)) state.SkipWithError("points are missing");
  state.counters["points"] = static_cast<double>(points);
  state.counters["bytes_per_sample"] = file.bytes_per_sample();
}
BENCHMARK(BM_RangeQuery_OneSeries)->ArgName("hours")->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_RangeQuery_OneSeries)
    ->Name("BM_RangeQuery_OneSeries_Large")
    ->ArgName("hours")
    ->Arg(24)
    ->Unit(benchmark::kMillisecond);

// A file of this size, with rows of zeros where chunks would stand: what is in them is not read.
class BigFile {
 public:
  static const BigFile& OfMib(int64_t mib) {
    static std::map<int64_t, std::unique_ptr<BigFile>> made;
    std::unique_ptr<BigFile>& file = made[mib];
    if (!file) file.reset(new BigFile(mib));
    return *file;
  }
  const DataDir& dir() const { return folder_.dir(); }
  std::string db_path() const { return folder_.db_path(); }

 private:
  // Days of 1,000 series, one after the other.
  explicit BigFile(int64_t mib) {
    Database db = Must(OpenForWriting(db_path())).db;
    const int64_t rows = mib * (int64_t{1} << 20) / 6100;
    Must(
        db.Execute("PRAGMA synchronous = off; PRAGMA journal_mode = off;"
                   "INSERT INTO series(metric, labels, kind, unit)"
                   " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)"
                   " SELECT 'bench_value', '{\"n\":\"' || i || '\"}', 'gauge', '' FROM n;"
                   "INSERT INTO chunks(series_id, start_ms, end_ms, count, times_id, body)"
                   " WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT " +
                   std::to_string(rows) +
                   ")"
                   " SELECT i % 1000 + 1, i / 1000 * 86400000, i / 1000 * 86400000 + 86399999,"
                   " 17280, 1, zeroblob(6000) FROM n;"
                   "PRAGMA journal_mode = wal;"));
  }

  BenchFolder folder_;
};

double MibOf(const BigFile& file) {
  return static_cast<double>(FileBytes(file.db_path())) / (1 << 20);
}

// As each query of the API and each command does, up to the list of the series.
void BM_HistoryReader_Open(benchmark::State& state) {
  const BigFile& file = BigFile::OfMib(state.range(0));
  for (auto _ : state) {
    HistoryReader reader = Must(HistoryReader::Open(file.db_path()));
    if (Must(reader.FindSeries(nullptr)).size() != 1000) state.SkipWithError("series are missing");
  }
  state.counters["file_mib"] = MibOf(file);
}
BENCHMARK(BM_HistoryReader_Open)->ArgName("mib")->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_HistoryReader_Open)
    ->Name("BM_HistoryReader_Open_Large")
    ->ArgName("mib")
    ->Arg(2048)
    ->Unit(benchmark::kMillisecond);

// As the daemon does when it starts, until it could record.
void BM_History_Open(benchmark::State& state) {
  const BigFile& file = BigFile::OfMib(state.range(0));
  const SeriesRegistry registry;
  for (auto _ : state) {
    const auto history = Must(History::Open(file.dir(), HistoryOptions(), registry));
    state.PauseTiming();
    history->Stop();
    state.ResumeTiming();
  }
  state.counters["file_mib"] = MibOf(file);
}
BENCHMARK(BM_History_Open)->ArgName("mib")->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(BM_History_Open)
    ->Name("BM_History_Open_Large")
    ->ArgName("mib")
    ->Arg(2048)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
