#include "exporters/idle_report.h"

#include <functional>

#include "analysis/metrics.h"
#include "collector/metrics.h"
#include "storage/calendar.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = kHourMs;
constexpr int64_t kBase = 1'700'006'400'000;  // midnight
static_assert(kBase % kDayMs == 0);

// A value at a time, both of the recording.
using Curve = std::function<double(int64_t)>;

// So many a second, from `from_ms` to `to_ms` after kBase.
Curve Grows(double per_second, int64_t from_ms = 0, int64_t to_ms = int64_t{1} << 50) {
  return [=](int64_t time_ms) {
    const int64_t grown = std::clamp(time_ms - kBase, from_ms, to_ms) - from_ms;
    return per_second * static_cast<double>(grown) / 1000;
  };
}

class IdleReportTest : public HistoryTest {
 protected:
  IdleReportTest() { Open(); }

  void Add(const Metric& metric, const std::vector<std::string>& labels, Curve curve) {
    std::vector<std::string_view> views(labels.begin(), labels.end());
    curves_.emplace_back(registry_.Intern(metric, views), std::move(curve));
  }
  void AddService(const std::string& service, const std::string& state, Curve joules,
                  Curve seconds) {
    Add(metrics::kServiceEnergyJoules, {service, "cpu", state}, std::move(joules));
    Add(metrics::kServiceActivitySeconds, {service, state}, std::move(seconds));
  }
  // A frame each `step_ms` from `from_ms` to `to_ms` after kBase, both included; flushed by the
  // hour.
  void Record(int64_t from_ms, int64_t to_ms, int64_t step_ms = kMinute) {
    for (int64_t at = kBase + from_ms; at <= kBase + to_ms; at += step_ms) {
      std::vector<Sample> samples;
      for (const auto& [id, curve] : curves_) samples.push_back({id, curve(at)});
      const Frame frame = FrameAt(at, std::move(samples));
      ring_.Append(frame);
      history_->Push(frame);
      if ((at - kBase) % (30 * kMinute) == 0) {
        ASSERT_TRUE(history_->Flush().ok());
      }
    }
    ASSERT_TRUE(history_->Flush().ok());
  }
  static IdleWindow Window(int64_t since_ms, int64_t until_ms, milliseconds step = {}) {
    return {At(kBase + since_ms), At(kBase + until_ms), step, At(kBase + until_ms)};
  }
  Result<IdleReport> Query(const IdleWindow& window) {
    ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(db_path()));
    return QueryIdleReport(window, &ring_, reader);
  }
  IdleReport Report(const IdleWindow& window) {
    Result<IdleReport> report = Query(window);
    if (report.ok()) return std::move(*report);
    ADD_FAILURE() << report.error().ToString();
    return {};
  }
  Json ReportJson(const IdleWindow& window) { return IdleReportJson(Report(window)); }

  Ring ring_{minutes(5), minutes(1), 1 << 20, registry_};
  std::vector<std::pair<SeriesId, Curve>> curves_;
};

TEST_F(IdleReportTest, OfAnEmptyHistoryNothingIsKnown) {
  EXPECT_EQ(ReportJson(Window(0, kHour)), Json::parse(R"({
    "since": "2023-11-15T00:00:00.000Z", "until": "2023-11-15T01:00:00.000Z",
    "generated_at": "2023-11-15T01:00:00.000Z", "meter": null, "sources": [],
    "measured_seconds": null,
    "machine": {"joules": null, "mean_watts": null, "idle_seconds": null, "idle_joules": null,
      "idle_mean_watts": null, "service_active_joules": null, "service_idle_joules": null,
      "floor_joules": null, "unattributed_joules": null},
    "services": [], "step_seconds": 3600.0, "buckets": [], "recommendations": [],
    "alerts": [], "damaged_rows": 0})"));
}

// Two hours: llama is used in the first and idle in the second; the machine draws 10 W, then 6 W.
TEST_F(IdleReportTest, TellsWhoUsedHowMuchWhileIdle) {
  AddService("llama", "active", Grows(4, 0, kHour), Grows(1, 0, kHour));
  AddService("llama", "idle", Grows(1.5, kHour), Grows(1, kHour));
  Add(metrics::kServiceEnergyJoules, {"llama", "dram", "active"}, Grows(1, 0, kHour));
  Add(metrics::kServiceEnergyJoules, {"llama", "dram", "idle"}, Grows(0.5, kHour));
  Add(metrics::kServiceProcesses, {"llama", "watched"}, Grows(0));
  Add(metrics::kHostEnergyJoules, {"active"}, Grows(10, 0, kHour));
  Add(metrics::kHostEnergyJoules, {"idle"}, Grows(6, kHour));
  Add(metrics::kHostActivitySeconds, {"active"}, Grows(1, 0, kHour));
  Add(metrics::kHostActivitySeconds, {"idle"}, Grows(1, kHour));
  Add(metrics::kHostFloorJoules, {"package-0"}, Grows(2));
  Add(metrics::kHostFloorJoules, {"dram"}, Grows(1));
  Add(metrics::kUnattributedJoules, {"package-0"}, Grows(1));
  Add(metrics::kEnergyJoules, {"rapl", "package-0"}, Grows(8));
  Record(0, 2 * kHour - kMinute);
  history_->PushInterval({"llama",
                          kBase + kHour,
                          kBase + 2 * kHour - kMinute,
                          {},
                          {},
                          118.0,
                          int64_t{3} << 30,
                          "open"});
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(ReportJson(Window(0, 2 * kHour)), Json::parse(R"({
    "since": "2023-11-15T00:00:00.000Z", "until": "2023-11-15T02:00:00.000Z",
    "generated_at": "2023-11-15T02:00:00.000Z", "meter": "meter", "sources": ["rapl"],
    "measured_seconds": 7140.0,
    "machine": {"joules": 57240.0, "mean_watts": 8.016806722689076, "idle_seconds": 3540.0,
      "idle_joules": 21240.0, "idle_mean_watts": 6.0, "service_active_joules": 18000.0,
      "service_idle_joules": 7080.0, "floor_joules": 21420.0, "unattributed_joules": 7140.0},
    "services": [{"service": "llama", "kind": "watched", "active_seconds": 3600.0,
      "idle_seconds": 3540.0, "active_joules": 18000.0, "idle_joules": 7080.0,
      "idle_mean_watts": 2.0, "idle_share": 0.2822966507177033,
      "components": {"cpu": {"active_joules": 14400.0, "idle_joules": 5310.0},
                     "dram": {"active_joules": 3600.0, "idle_joules": 1770.0}},
      "idle_cpu_seconds": 118.0, "idle_cpu_ratio": 0.03333333333333333, "peak_memory_bytes": 3221225472, "idle_intervals": 1,
      "longest_idle_seconds": 3540.0}],
    "step_seconds": 3600.0,
    "buckets": [
      {"start": "2023-11-15T00:00:00.000Z", "joules": 35400.0, "mean_watts": 10.0,
       "idle_joules": 0.0, "active_joules": 17700.0, "floor_joules": 10620.0,
       "unattributed_joules": 3540.0,
       "services": [{"service": "llama", "idle_joules": 0.0, "active_joules": 17700.0}]},
      {"start": "2023-11-15T01:00:00.000Z", "joules": 21840.0, "mean_watts": 6.066666666666666,
       "idle_joules": 7080.0, "active_joules": 300.0, "floor_joules": 10800.0,
       "unattributed_joules": 3600.0,
       "services": [{"service": "llama", "idle_joules": 7080.0, "active_joules": 300.0}]}],
    "recommendations": [], "alerts": [], "damaged_rows": 0})"));
}

TEST_F(IdleReportTest, ServicesAreRankedByWhatTheyUsedWhileIdleAndThoseThatAreGoneAreLeftOut) {
  AddService("small", "idle", Grows(1), Grows(1));
  AddService("large", "idle", Grows(3), Grows(1));
  AddService("middle", "idle", Grows(2), Grows(1));
  AddService("gone", "idle", Grows(0), Grows(0));
  Add(metrics::kServiceActivitySeconds, {"unmetered", "active"}, Grows(1));
  Record(0, kHour);
  std::vector<std::string> names;
  for (const ServiceUse& one : Report(Window(0, kHour)).services) names.push_back(one.service);
  EXPECT_EQ(names, (std::vector<std::string>{"large", "middle", "small", "unmetered"}));
  const Json json = ReportJson(Window(0, kHour));
  EXPECT_TRUE(json["services"][3]["idle_joules"].is_null()) << "not 0";
  EXPECT_TRUE(json["services"][3]["components"].empty());
  EXPECT_EQ(json["buckets"][0]["services"].size(), 3u) << "with any joules";
  EXPECT_EQ(json["buckets"][0]["services"][0]["service"], "large");
}

// The increase of a counter over the window, from the curve itself: a fall is a start at zero.
double TrueIncrease(const Curve& curve, int64_t since_ms, int64_t until_ms, int64_t step_ms) {
  double sum = 0;
  std::optional<double> before;
  for (int64_t at = kBase; at <= kBase + until_ms; at += step_ms) {
    const double value = curve(at);
    if (before && at >= kBase + since_ms) sum += value < *before ? value : value - *before;
    before = value;
  }
  return sum;
}

TEST_F(IdleReportTest, BucketsAddUpToTheIncreaseOfTheWindowWhateverTheStep) {
  // Whole numbers of 1/8, so that sums of doubles are exact; it begins anew after 7 hours.
  const Curve counter = [](int64_t time_ms) {
    const int64_t minute = (time_ms - kBase) / kMinute;
    return static_cast<double>((minute < 420 ? 0 : 50) + minute % 420 * (minute % 420 + 7)) / 8;
  };
  AddService("a", "idle", counter, Grows(1));
  Record(0, 31 * kHour);
  for (const auto& [since, until] :
       {std::pair(int64_t{0}, 31 * kHour), std::pair(3 * kHour, 9 * kHour),
        std::pair(5 * kHour + 17 * kMinute, 30 * kHour + 3 * kMinute),
        std::pair(30 * kHour + 10 * kMinute, 31 * kHour)}) {
    const double expected = TrueIncrease(counter, since, until, kMinute);
    for (const milliseconds step : {milliseconds(0), milliseconds(hours(24)),
                                    milliseconds(hours(1)), milliseconds(minutes(25))}) {
      const IdleReport report = Report(Window(since, until, step));
      SCOPED_TRACE(std::to_string(since) + " to " + std::to_string(until) + " by " +
                   std::to_string(step.count()));
      ASSERT_EQ(report.services.size(), 1u);
      double sum = 0;
      for (const IdleReportBucket& bucket : report.buckets) {
        sum += bucket.machine.services.idle.value_or(0);
      }
      EXPECT_EQ(sum, expected);
      EXPECT_EQ(report.services[0].joules.idle, expected);
      EXPECT_EQ(report.services[0].components.at("cpu").idle, expected);
      EXPECT_EQ(report.machine.services.idle, expected);
    }
  }
}

TEST_F(IdleReportTest, WhatIsNotFlushedYetComesFromTheRing) {
  AddService("a", "idle", Grows(1), Grows(1));
  Record(0, kHour - kMinute);
  for (int64_t at = kBase + kHour; at <= kBase + kHour + 3 * kMinute; at += kMinute) {
    ring_.Append(FrameAt(at, {{curves_[0].first, curves_[0].second(at)}}));
  }
  Add(metrics::kServiceProcesses, {"a", "discovered"}, Grows(0));
  ring_.Append(FrameAt(kBase + kHour + 4 * kMinute, {{curves_.back().first, 1}}));
  const IdleReport report = Report(Window(0, 2 * kHour));
  ASSERT_EQ(report.services.size(), 1u);
  EXPECT_EQ(report.services[0].joules.idle, 63 * 60);
  EXPECT_EQ(report.services[0].kind, "discovered");
}

TEST_F(IdleReportTest, OfSeveralKindsTheOneThatSaysMostIsNamed) {
  AddService("a", "idle", Grows(1), Grows(1));
  AddService("b", "idle", Grows(1), Grows(1));
  for (const char* kind : {"discovered", "supervised", "watched"}) {
    Add(metrics::kServiceProcesses, {"a", kind}, Grows(0));
  }
  Record(0, kHour);
  const Json services = ReportJson(Window(0, kHour))["services"];
  EXPECT_EQ(services[0]["kind"], "supervised");
  EXPECT_TRUE(services[1]["kind"].is_null());
}

TEST_F(IdleReportTest, TimeInWhichNothingWasMeasuredIsAnUnknownBucket) {
  AddService("a", "idle", Grows(1), Grows(1));
  Record(0, kHour - kMinute);
  Record(5 * kHour, 6 * kHour);
  const Json buckets = ReportJson(Window(-9 * kHour, 20 * kHour, hours(1)))["buckets"];
  ASSERT_EQ(buckets.size(), 7u) << "from the first with a value to the last";
  EXPECT_EQ(buckets[0]["start"], "2023-11-15T00:00:00.000Z");
  EXPECT_EQ(buckets[0]["idle_joules"], 3540);
  EXPECT_TRUE(buckets[2]["idle_joules"].is_null());
  EXPECT_TRUE(buckets[2]["services"].empty());
  EXPECT_EQ(buckets[5]["idle_joules"], 3540) << "nothing is assumed for the gap";
}

TEST_F(IdleReportTest, OfAnIntervalCountsThePartWithinTheWindow) {
  const auto push = [this](const char* service, int64_t from, int64_t to, double cpu,
                           int64_t memory) {
    history_->PushInterval(
        {service, kBase + from * kMinute, kBase + to * kMinute, {}, {}, cpu, memory, "used"});
  };
  push("a", 0, 100, 50, 7);     // 40 of 100 minutes lie within: 20 s
  push("a", 110, 120, 3, 9);    // all of it
  push("a", 150, 250, 100, 8);  // 30 of 100 minutes: 30 s
  push("a", 300, 400, 1000, 99);
  push("", 60, 180, 1, 1);  // the machine
  history_->PushInterval({"b", kBase + 70 * kMinute, kBase + 80 * kMinute, {}, {}, {}, {}, "gap"});
  ASSERT_TRUE(history_->Flush().ok());
  const IdleReport report = Report(Window(60 * kMinute, 180 * kMinute));
  ASSERT_EQ(report.services.size(), 2u);
  const IdleTime& a = report.services[0].idle;
  EXPECT_EQ(a.cpu_seconds, 53);
  EXPECT_EQ(a.peak_bytes, 9);
  EXPECT_EQ(a.intervals, 3);
  EXPECT_EQ(a.longest_seconds, 40 * 60);
  const IdleTime& b = report.services[1].idle;
  EXPECT_EQ(b.intervals, 1);
  EXPECT_FALSE(b.cpu_seconds || b.peak_bytes);
  EXPECT_TRUE(IdleReportJson(report)["services"][1]["idle_cpu_seconds"].is_null());
}

TEST_F(IdleReportTest, SaysWhatTheJoulesRestOn) {
  const auto meter = [this](int64_t since_ms, int64_t until_ms) {
    const Json report = ReportJson(Window(since_ms, until_ms));
    return report["meter"].dump() + " " + report["sources"].dump();
  };
  // By the hour: the model alone, then a battery and the packages in it, whose parts do not count.
  Add(metrics::kEnergyJoules, {"model", "system"}, Grows(5, 0, kHour));
  Add(metrics::kEnergyJoules, {"rapl", "package-0"}, Grows(5, kHour));
  Add(metrics::kEnergyJoules, {"rapl", "core"}, Grows(3, kHour));
  Add(metrics::kEnergyJoules, {"battery", "system"}, Grows(9, kHour));
  Record(0, 2 * kHour);
  EXPECT_EQ(meter(0, kHour), "\"model\" [\"model\"]");
  EXPECT_EQ(meter(kHour + kMinute, 2 * kHour), "\"meter\" [\"battery\",\"rapl\"]");
  EXPECT_EQ(meter(0, 2 * kHour), "\"mixed\" [\"battery\",\"model\",\"rapl\"]");
  EXPECT_EQ(meter(5 * kHour, 6 * kHour), "null []");
}

TEST_F(IdleReportTest, TellsTheAlertsOfTheWindow) {
  const auto push = [this](int64_t minute, const std::string& kind, const std::string& detail) {
    history_->PushEvent({kBase + minute * kMinute, kind, "a", detail});
  };
  for (int i = 0; i < 203; ++i) {
    push(1, "alert", R"({"alert":"Old","severity":"warning","state":"firing"})");
  }
  push(2, "service_state", R"({"to":"ready"})");
  push(3, "alert", "no JSON");
  push(4, "alert", R"({"alert":"Late","severity":"critical","state":"resolved","summary":"s",
                       "advice":7})");
  push(100, "alert", R"({"alert":"After"})");
  ASSERT_TRUE(history_->Flush().ok());
  const Json alerts = ReportJson(Window(0, kHour))["alerts"];
  ASSERT_EQ(alerts.size(), 199u) << "the newest 200, of which one can't be read";
  EXPECT_EQ(alerts[0]["alert"], "Old");
  EXPECT_EQ(alerts.back(), Json::parse(R"({"time":"2023-11-15T00:04:00.000Z","alert":"Late",
    "service":"a","severity":"critical","state":"resolved","summary":"s","advice":""})"));
}

TEST_F(IdleReportTest, AdviceCountsEachTimeAnAlertBeganOnceHoweverManyOthersFollowed) {
  const auto push = [this](int64_t minute, const std::string& service, const std::string& alert,
                           const std::string& severity, const std::string& summary) {
    const std::string begin = R"({"alert":)" + alert + R"(,"severity":")" + severity;
    const std::string end = R"(","summary":")" + summary + R"(","advice":"a"})";
    for (const char* state : {"firing", "resolved"}) {
      history_->PushEvent({kBase + minute * kMinute, "alert", service,
                           begin + R"(","state":")" + std::string(state) + end});
    }
  };
  const std::string leak = R"("Leak","builtin":"MemoryGrowth")";
  push(0, "a", leak, "warning", "before");
  for (const int64_t minute : {2, 5}) {
    push(minute, "a", leak, "warning", "100 MB");
    push(minute + 1, "a", leak, "critical", "500 MB");
    push(minute + 2, "a", leak, "critical", "600 MB");
  }
  push(8, "b", R"("MemoryGrowth")", "critical", "as events once were");
  push(9, "c", R"("MemoryGrowth","builtin":"")", "warning", "of a metric");
  history_->PushEvent({kBase + 10 * kMinute, "alert", "d", "no JSON"});
  for (int64_t i = 0; i < 250; ++i) {
    push(11 + i, "a", R"("Busy","builtin":"IdleServiceCpu")", "warning", "busy");
  }
  ASSERT_TRUE(history_->Flush().ok());
  const IdleReport report = Report(Window(kMinute, 10 * kHour));
  EXPECT_EQ(report.alerts.size(), 200u);
  ASSERT_EQ(report.recommendations.size(), 2u);
  using Texts = std::vector<std::string>;
  EXPECT_EQ(report.recommendations[0].service, "a");
  EXPECT_EQ(report.recommendations[0].evidence,
            (Texts{"600 MB", "The alert Leak fired 2 times in 9h 59m."}));
  EXPECT_EQ(report.recommendations[1].service, "b");
  EXPECT_EQ(report.recommendations[1].evidence,
            (Texts{"as events once were", "The alert MemoryGrowth fired 1 time in 9h 59m."}));
}

// Two hours of which the last 90 minutes are idle, with 2 W by the model.
TEST_F(IdleReportTest, RecommendsFromItsOwnNumbers) {
  AddService("llama", "idle", Grows(2, kHour / 2), Grows(1, kHour / 2));
  AddService("llama", "active", Grows(5, 0, kHour / 2), Grows(1, 0, kHour / 2));
  Add(metrics::kHostActivitySeconds, {"active"}, Grows(1));
  Add(metrics::kEnergyJoules, {"model", "system"}, Grows(10));
  constexpr Metric kSum{
      "idlewatt_service_start_seconds_sum", MetricKind::kCounter, "seconds", {{"service"}}, ""};
  constexpr Metric kCount{
      "idlewatt_service_start_seconds_count", MetricKind::kCounter, "", {{"service"}}, ""};
  static const Metric sum = kSum, count = kCount;
  Add(sum, {"llama"}, Grows(0.005));
  Add(count, {"llama"}, Grows(0.001));
  Record(0, 2 * kHour);
  history_->PushInterval(
      {"llama", kBase + kHour / 2, kBase + 2 * kHour, 10'800, 2, 810.0, {}, "used"});
  for (const char* state : {"firing", "resolved"}) {
    history_->PushEvent({kBase, "alert", "llama",
                         std::string(R"({"alert":"MemoryGrowth","state":")") + state +
                             R"(","summary":"s","advice":"a"})"});
  }
  ASSERT_TRUE(history_->Flush().ok());
  const Json all = ReportJson(Window(0, 2 * kHour))["recommendations"];
  ASSERT_EQ(all.size(), 3u) << all.dump(1);
  EXPECT_EQ(all[0]["kind"], "busy_loop");
  EXPECT_EQ(all[0]["saves_joules"], 10'800);
  EXPECT_EQ(all[0]["saves_watts"], 1.5);
  EXPECT_EQ(all[0]["seconds"], 7200);
  EXPECT_EQ(all[0]["confidence"], "model");
  EXPECT_EQ(all[0]["evidence"][0], "It used 15.0 % of a CPU over 1h 30m of idleness.");
  EXPECT_EQ(all[1]["kind"], "unload");
  EXPECT_TRUE(all[1]["saves_joules"].is_null() && all[1]["saves_watts"].is_null());
  EXPECT_EQ(
      all[1]["advice"],
      "Unloading llama after 5m would have saved 2.83 Wh (estimated by the model) in 2h, for 1 "
      "load more.");
  EXPECT_EQ(all[1]["evidence"][2], "A load took 5.00 s on average until it was ready.");
  EXPECT_EQ(all[2], Json::parse(R"({"kind":"leak","service":"llama",
    "title":"llama: the memory grows without end","advice":"a","saves_joules":null,
    "saves_watts":null,"seconds":7200.0,"confidence":"meter",
    "evidence":["s","The alert MemoryGrowth fired 1 time in 2h."]})"));
}

TEST_F(IdleReportTest, AFloorThatServicesBearIsNoSaving) {
  AddService("llama", "idle", Grows(2), Grows(1));
  Record(0, 2 * kHour);
  history_->PushInterval({"llama", kBase, kBase + 2 * kHour, {}, {}, 1440.0, {}, "open"});
  ASSERT_TRUE(history_->Flush().ok());
  IdleWindow window = Window(0, 2 * kHour);
  EXPECT_EQ(ReportJson(window)["recommendations"][0]["kind"], "busy_loop");
  EXPECT_EQ(ReportJson(window)["recommendations"][0]["saves_joules"], 14'400);
  window.floor_shared = true;
  EXPECT_TRUE(ReportJson(window)["recommendations"][0]["saves_joules"].is_null());
}

TEST_F(IdleReportTest, TheStepFollowsTheWindow) {
  EXPECT_EQ(Report(Window(0, 95 * kHour)).window.step, hours(1));
  EXPECT_EQ(Report(Window(0, 96 * kHour)).window.step, hours(24));
  EXPECT_EQ(Report(Window(0, kHour, minutes(5))).window.step, minutes(5));
}

TEST_F(IdleReportTest, EndsNowWhereTheWindowEndsLater) {
  const IdleReport report = Report({At(kBase), At(kBase + 200 * kHour), {}, At(kBase + kHour)});
  EXPECT_EQ(report.window.until, At(kBase + kHour));
  EXPECT_EQ(report.window.step, hours(1));
  EXPECT_EQ(IdleReportJson(report)["until"], "2023-11-15T01:00:00.000Z");
}

TEST_F(IdleReportTest, TellsHowManyRowsAreDamaged) {
  AddService("a", "idle", Grows(1), Grows(1));
  Record(0, kHour / 2);
  EXPECT_EQ(ReportJson(Window(0, 2 * kHour))["damaged_rows"], 0);
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(
        db.Execute("UPDATE frames SET body = x'01deadbeef'"
                   " WHERE time_ms = (SELECT max(time_ms) FROM frames)"));
  }
  EXPECT_EQ(ReportJson(Window(0, 2 * kHour))["damaged_rows"], 1);
}

TEST_F(IdleReportTest, RefusesWindowsAndStepsThatMakeNoSense) {
  const auto refusal = [this](const IdleWindow& window) {
    const Result<IdleReport> report = Query(window);
    if (report.ok()) return std::string("taken");
    EXPECT_EQ(report.error().code, ErrorCode::kInvalid);
    return report.error().ToString();
  };
  EXPECT_EQ(refusal(Window(1, 0)), "range: ends before it begins");
  EXPECT_EQ(refusal(Window(1, 1)), "range: is empty: it ends when it begins");
  EXPECT_EQ(refusal({At(2), At(3), {}, At(1)}), "range: is empty: all of it is yet to come");
  EXPECT_EQ(refusal({At(2), At(3), {}, At(2)}), "range: is empty: all of it is yet to come");
  EXPECT_EQ(refusal(Window(0, 1, milliseconds(-1))), "step: is negative");
  EXPECT_EQ(refusal(Window(0, 2000 * kHour, hours(1))),
            "step: makes more than 2000 steps: ask for one of 1h 1m or more");
  EXPECT_EQ(refusal(Window(0, 2000 * kHour, minutes(61))), "taken");
  EXPECT_EQ(refusal(Window(0, 1999 * kHour, hours(1))), "taken");
  EXPECT_EQ(refusal({At(0), At(kBase), {}, At(kBase)}), "taken") << "all there is";
}

}  // namespace
}  // namespace idlewatt
