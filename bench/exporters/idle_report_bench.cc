// What the idle report costs: 20 services, roll-ups of a month, measured values where they matter.
#include "exporters/idle_report.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <random>

#include "analysis/metrics.h"
#include "bench/storage/bench_history.h"
#include "collector/metrics.h"
#include "storage/calendar.h"
#include "storage/database_file.h"

namespace idlewatt {
namespace {

constexpr int64_t kServices = 20;
constexpr int64_t kOthers = 250;  // series that no report asks for
constexpr int64_t kStepMs = 5000;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kDays = 30;
constexpr int64_t kMidnight = 1'700'006'400'000;
// The afternoon of the last of 30 days, some minutes after the hour and the last flush.
constexpr int64_t kNow = kMidnight + kDays * kDayMs + 14 * kHourMs + 25 * kMinuteMs;

constexpr Metric kOther{"bench_value", MetricKind::kGauge, "", {{"n"}}, ""};

// Counters that grow by a little of their own at each frame.
class Machine {
 public:
  Machine() {
    for (int64_t i = 0; i < kServices; ++i) {
      const std::string name = "service" + std::to_string(i);
      for (const std::string_view state : {"active", "idle"}) {
        for (const std::string_view component : {"cpu", "dram"}) {
          Add(metrics::kServiceEnergyJoules, {name, component, state}, 3.0 / kServices);
        }
        Add(metrics::kServiceActivitySeconds, {name, state}, 2.5);
      }
      Add(metrics::kServiceProcesses, {name, "supervised"}, 0);
    }
    for (const std::string_view state : {"active", "idle"}) {
      Add(metrics::kHostEnergyJoules, {state}, 60);
      Add(metrics::kHostActivitySeconds, {state}, 2.5);
    }
    for (const std::string_view domain : {"package-0", "dram"}) {
      Add(metrics::kHostFloorJoules, {domain}, 20);
      Add(metrics::kUnattributedJoules, {domain}, 1);
      Add(metrics::kEnergyJoules, {"rapl", domain}, 60);
    }
    for (int64_t i = 0; i < kOthers; ++i) Add(kOther, {std::to_string(i)}, 1);
  }

  const SeriesRegistry& registry() const { return registry_; }
  Frame FrameAt(int64_t time_ms) {
    Frame frame;
    frame.begin = {WallTime(std::chrono::milliseconds(time_ms)),
                   BootTime(std::chrono::milliseconds(time_ms))};
    for (size_t i = 0; i < samples_.size(); ++i) {
      const auto thousandths = static_cast<double>(random_() % 2000);
      samples_[i].value += std::round(rates_[i] * thousandths) / 1000;
    }
    frame.samples = samples_;
    return frame;
  }

 private:
  void Add(const Metric& metric, std::initializer_list<std::string_view> labels, double rate) {
    samples_.push_back({registry_.Intern(metric, labels), 0});
    rates_.push_back(rate);
  }

  SeriesRegistry registry_;
  std::vector<Sample> samples_;
  std::vector<double> rates_;
  std::mt19937 random_{7};
};

// Of which a tenth are alerts.
constexpr std::string_view kFillEvents = R"sql(
INSERT INTO event(time_ms, kind, service, detail_json)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
SELECT @ + i * 500000, iif(i % 10, 'service_state', 'alert'), 'service1',
       '{"alert":"IdleServiceCpu","state":"firing","summary":"busy","advice":"look"}' FROM n;
)sql";

// A month: roll-ups of all of it, measured values of the last day and of that of a week ago. Made
// once.
class Month {
 public:
  static Month& Get() {
    static Month month;
    return month;
  }
  std::string path() const { return folder_.db_path(); }

 private:
  Month() {
    HistoryOptions options;
    options.flush_interval = std::chrono::hours(1);
    options.store.synchronous = "off";
    const auto history = Must(History::Open(folder_.dir(), options, machine_.registry()));
    Record(*history, kNow - 8 * kDayMs, kNow - 7 * kDayMs + kDayMs / 2);
    Record(*history, kNow - kDayMs - kDayMs / 2, kNow);
    Database db = Must(Database::Open(path(), Database::Mode::kReadWrite));
    const int64_t first_day = kMidnight / kDayMs - 1;
    Must(db.Execute("PRAGMA synchronous = off; PRAGMA busy_timeout = 5000"));
    FillRollUps(db, first_day, kDays);
    FillIdleIntervals(db, kServices, kMidnight / kDayMs, kDays);
    Must(db.Execute(WithNumbers(kFillEvents, {kMidnight})));
  }
  // Flushed every 15 s; a flush compacts what is over.
  void Record(History& history, int64_t from_ms, int64_t to_ms) {
    for (int64_t at = from_ms; at < to_ms; at += kStepMs) {
      history.Push(machine_.FrameAt(at));
      if (at % 15'000 < kStepMs) Must(history.Flush());
    }
    Must(history.Flush());
  }

  BenchFolder folder_;
  Machine machine_;
};

void BM_IdleReport(benchmark::State& state) {
  const std::string path = Month::Get().path();
  const WallTime now{std::chrono::milliseconds(kNow)};
  const IdleWindow window{now - std::chrono::days(state.range(0)), now, {}, now};
  for (auto _ : state) {
    HistoryReader history = Must(HistoryReader::Open(path));
    const IdleReport report = Must(QueryIdleReport(window, nullptr, history));
    if (report.services.size() != kServices) state.SkipWithError("services are missing");
    benchmark::DoNotOptimize(IdleReportJson(report).dump());
  }
}

BENCHMARK(BM_IdleReport)
    ->Name("BM_IdleReport_Large")
    ->ArgName("days")
    ->Arg(1)
    ->Arg(7)
    ->Arg(30)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
