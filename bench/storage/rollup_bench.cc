// What plain SQL over the roll-ups and idle intervals costs: idle power by service.
#include <benchmark/benchmark.h>

#include <map>

#include "bench/storage/bench_history.h"
#include "storage/calendar.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

constexpr int64_t kServices = 20;
constexpr int64_t kSeries = 300;  // of the whole machine; the first ones are asked for
constexpr int64_t kFirstDay = GeneratedMachine::kStartMs / kDayMs;

// Of each service the joules that it used while it was idle, and whether it was; then others.
constexpr std::string_view kFillSeries = R"sql(
INSERT INTO series(id, metric, labels, kind, unit)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT @)
SELECT 2 * i + 1, 'idlewatt_service_energy_joules_total',
       json_object('component', 'cpu', 'service', 'service' || i, 'state', 'idle'),
       'counter', 'joules' FROM n
UNION ALL SELECT 2 * i + 2, 'idlewatt_service_idle',
       json_object('kind', 'supervised', 'service', 'service' || i), 'gauge', '' FROM n;
INSERT INTO series(id, metric, labels, kind, unit)
WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n LIMIT @)
SELECT i, 'bench_value', json_object('n', i), 'gauge', '' FROM n;
)sql";

// A history of so many days, without its raw values. Made once for each length.
class RolledUpFile {
 public:
  static Database& OfDays(int64_t days) {
    static std::map<int64_t, std::unique_ptr<RolledUpFile>> made;
    std::unique_ptr<RolledUpFile>& file = made[days];
    if (!file) file.reset(new RolledUpFile(days));
    return file->db_;
  }

 private:
  explicit RolledUpFile(int64_t days) : db_(Must(OpenForWriting(folder_.db_path())).db) {
    Must(db_.Execute("PRAGMA synchronous = off"));
    Must(db_.Execute(WithNumbers(kFillSeries, {kServices, kSeries - 2 * kServices})));
    FillRollUps(db_, kFirstDay, days);
    FillIdleIntervals(db_, kServices, kFirstDay, days);
  }

  BenchFolder folder_;
  Database db_;
};

// Mean watts of each service while it was idle, from a table of roll-ups. In the order of its keys,
// which have the time first: series by series takes twice as long.
constexpr std::string_view kFromRollups = R"sql(
WITH RECURSIVE span(t) AS (SELECT @ UNION ALL SELECT t + 1 FROM span LIMIT @),
wanted(id, service, metric) AS MATERIALIZED (
  SELECT id, json_extract(labels, '$.service'), metric FROM series
  WHERE metric = 'idlewatt_service_idle' OR (metric = 'idlewatt_service_energy_joules_total'
        AND json_extract(labels, '$.state') = 'idle'))
SELECT service, sum(r.increase) / sum(CASE metric WHEN 'idlewatt_service_idle' THEN r.avg * @ END)
FROM span CROSS JOIN wanted CROSS JOIN @ AS r ON r.id = (t << 24) + wanted.id GROUP BY service
)sql";

constexpr std::string_view kFromIntervals = R"sql(
SELECT service, 1000 * sum(joules) / sum(end_ms - start_ms) FROM idle_interval
WHERE start_ms >= @ GROUP BY service
)sql";

void AskForServices(benchmark::State& state, Database& db, const std::string& sql) {
  for (auto _ : state) {
    Statement statement = Must(db.Prepare(sql));
    int64_t rows = 0;
    while (Must(statement.Step())) ++rows;
    if (rows != kServices) state.SkipWithError("services are missing");
  }
}

std::string FromRollups(std::string_view table, int64_t span_seconds, int64_t first,
                        int64_t count) {
  std::string sql(kFromRollups);
  const size_t name = sql.rfind('@');
  sql.replace(name, 1, table);
  return WithNumbers(sql, {first, count, span_seconds});
}

void BM_IdlePower_ByDays(benchmark::State& state) {
  const int64_t days = state.range(0);
  AskForServices(state, RolledUpFile::OfDays(days),
                 FromRollups("rollup_1d", 86400, kFirstDay, days));
}

void BM_IdlePower_ByHours(benchmark::State& state) {
  const int64_t days = state.range(0);
  AskForServices(state, RolledUpFile::OfDays(days),
                 FromRollups("rollup_1h", 3600, kFirstDay * 24, days * 24));
}

void BM_IdlePower_ByIntervals(benchmark::State& state) {
  const int64_t days = state.range(0);
  AskForServices(state, RolledUpFile::OfDays(days),
                 WithNumbers(kFromIntervals, {kFirstDay * kDayMs}));
}

BENCHMARK(BM_IdlePower_ByDays)->ArgName("days")->Arg(3)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IdlePower_ByHours)->ArgName("days")->Arg(3)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IdlePower_ByIntervals)->ArgName("days")->Arg(3)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IdlePower_ByDays)
    ->Name("BM_IdlePower_ByDays_Large")
    ->ArgName("days")
    ->Arg(30)
    ->Arg(365)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IdlePower_ByHours)
    ->Name("BM_IdlePower_ByHours_Large")
    ->ArgName("days")
    ->Arg(30)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_IdlePower_ByIntervals)
    ->Name("BM_IdlePower_ByIntervals_Large")
    ->ArgName("days")
    ->Arg(30)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
