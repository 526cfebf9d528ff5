#include "bench/storage/bench_history.h"

#include <unistd.h>

#include <filesystem>

#include "storage/calendar.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

// One that no other benchmark uses: several may be kept at the same time.
std::string FolderName() {
  static int count = 0;
  const auto name = "idlewatt-bench-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  return (std::filesystem::temp_directory_path() / name).string();
}

SeriesId Intern(const GeneratedMachine::Series& series, SeriesRegistry& registry) {
  const std::shared_ptr<const Metric> borrowed(std::shared_ptr<void>(), series.metric);
  const std::vector<std::string_view> labels(series.labels.begin(), series.labels.end());
  return *registry.Intern(borrowed, labels, Readings::kMostSeries);
}

constexpr std::string_view kFillRollUps = R"sql(
(id, count, min, max, avg, last, increase)
WITH RECURSIVE span(t) AS (SELECT @ UNION ALL SELECT t + 1 FROM span LIMIT @)
SELECT (t << 24) + series.id, 720, 0, 1, 0.75, t, 5000.0 + t % 7
FROM span CROSS JOIN series ORDER BY t, series.id;
)sql";

constexpr std::string_view kFillIntervals = R"sql(
INSERT INTO idle_interval(service, start_ms, end_ms, joules, avg_watts, cpu_seconds,
                          peak_rss_bytes, reason)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT @),
               s(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM s LIMIT @)
SELECT 'service' || k, @ + i * 1800000, @ + i * 1800000 + 1500000, 2250.5, 1.5, 3.25,
       1073741824, 'used'
FROM n CROSS JOIN s;
)sql";

}  // namespace

std::string WithNumbers(std::string_view sql, std::initializer_list<int64_t> numbers) {
  std::string out(sql);
  for (const int64_t number : numbers) out.replace(out.find('@'), 1, std::to_string(number));
  return out;
}

void FillRollUps(Database& db, int64_t first_day, int64_t days) {
  Must(db.Execute("INSERT OR IGNORE INTO rollup_1h" +
                  WithNumbers(kFillRollUps, {first_day * 24, days * 24})));
  Must(
      db.Execute("INSERT OR IGNORE INTO rollup_1d" + WithNumbers(kFillRollUps, {first_day, days})));
}

void FillIdleIntervals(Database& db, int64_t services, int64_t first_day, int64_t days) {
  const int64_t first_ms = first_day * kDayMs;
  Must(db.Execute(WithNumbers(kFillIntervals, {days * 48, services, first_ms, first_ms})));
}

BenchFolder::BenchFolder() : dir_(Must(DataDir::Lock(FolderName()))) {}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_.path(), ignored);
}

std::string BenchFolder::db_path() const { return dir_.PathOf(kHistoryFile); }

BenchHistory::BenchHistory(size_t series) : machine_(GeneratedMachine::WithSeries(series)) {
  for (const auto& each : machine_.series()) ids_.push_back(Intern(each, registry_));
  NextFrame();
}

void BenchHistory::Open() {
  HistoryOptions options;
  options.flush_interval = std::chrono::hours(1);
  history_ = Must(History::Open(folder_.dir(), options, registry_));
}

void BenchHistory::NextFrame() {
  frame_.begin.wall = WallTime(std::chrono::milliseconds(machine_.time_ms()));
  frame_.samples.clear();
  for (size_t n = 0; n < ids_.size(); ++n)
    frame_.samples.push_back({ids_[n], machine_.values()[n]});
  machine_.Tick();
}

void BenchHistory::PushFlush() {
  for (size_t i = 0; i < kFlushFrames; ++i) {
    history_->Push(frame_);
    NextFrame();
  }
}

void BenchHistory::Record(int64_t hours) {
  for (int64_t i = 0; i < hours * kFlushesPerHour; ++i) {
    PushFlush();
    Must(history_->Flush());
  }
}

}  // namespace idlewatt
