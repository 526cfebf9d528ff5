#include "exporters/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "analysis/metrics.h"
#include "collector/metrics.h"
#include "storage/range_query.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kSecondMs = 1000;
constexpr int64_t kHourMs = 3600 * kSecondMs;
constexpr int64_t kTickMs = 15 * kSecondMs;
// A whole hour.
constexpr int64_t kBeginMs = kStartMs / kHourMs * kHourMs;

TimeSpan HourFrom(int64_t begin_ms) { return {At(begin_ms), At(begin_ms + kHourMs)}; }

// A machine and its service "llama" between two ticks.
struct Load {
  double watts = 10;
  double cpus = 0.5;
  double service_cpu_watts = 2;
  double service_gpu_watts = 1;
  double service_cpus = 0.25;
  double service_bytes = 1e9;
  bool service_runs = true;
};

// A history of ticks every 15 s, read back from its file.
class CompareTest : public HistoryTest {
 protected:
  CompareTest() { Open(); }

  double Noise() { return 1 + 0.05 * normal_(random_); }

  // `count` ticks from `begin_ms` on; values have 5 % of noise.
  void Record(int64_t begin_ms, int count, const Load& load, int64_t tick_ms = kTickMs) {
    const double seconds = static_cast<double>(tick_ms) / kSecondMs;
    for (int i = 0; i < count; ++i) {
      const double watts = load.watts * Noise();
      joules_ += watts * seconds;
      watched_ += seconds;
      busy_ += load.cpus * seconds * Noise();
      idle_ += 3 * seconds;
      std::vector<Sample> samples{
          {registry_.Intern(metrics::kHostPowerWatts, {}), watts},
          {registry_.Intern(metrics::kHostEnergyJoules, {"active"}), joules_},
          {registry_.Intern(metrics::kHostActivitySeconds, {"active"}), watched_ / 4},
          {registry_.Intern(metrics::kHostActivitySeconds, {"idle"}), 3 * watched_ / 4},
          {registry_.Intern(metrics::kHostCpuSeconds, {"user"}), busy_},
          {registry_.Intern(metrics::kHostCpuSeconds, {"idle"}), idle_},
          {registry_.Intern(metrics::kHostCpuSeconds, {"iowait"}), idle_},
          {registry_.Intern(metrics::kServicePowerWatts, {"other", "cpu"}), 100}};
      if (load.service_runs) AddService(load, seconds, samples);
      history_->Push(FrameAt(begin_ms + i * tick_ms, std::move(samples)));
      // The queue of the writer is short.
      if (i % 50 == 49 || i + 1 == count) {
        ASSERT_TRUE(history_->Flush().ok());
      }
    }
  }
  void AddService(const Load& load, double seconds, std::vector<Sample>& samples) {
    const double cpu_watts = load.service_cpu_watts * Noise();
    service_watched_ += seconds;
    service_cpu_joules_ += cpu_watts * seconds;
    service_gpu_joules_ += load.service_gpu_watts * seconds;
    service_user_ += load.service_cpus * seconds * Noise() / 2;
    const std::vector<Sample> all{
        {registry_.Intern(metrics::kServicePowerWatts, {name_, "cpu"}), cpu_watts},
        {registry_.Intern(metrics::kServicePowerWatts, {name_, "gpu"}), load.service_gpu_watts},
        {registry_.Intern(metrics::kServiceEnergyJoules, {name_, "cpu", "idle"}),
         service_cpu_joules_},
        {registry_.Intern(metrics::kServiceEnergyJoules, {name_, "gpu", "idle"}),
         service_gpu_joules_},
        {registry_.Intern(metrics::kServiceActivitySeconds, {name_, "active"}), 0},
        {registry_.Intern(metrics::kServiceActivitySeconds, {name_, "idle"}), service_watched_},
        {registry_.Intern(metrics::kServiceCpuSeconds, {name_, "supervised", "user"}),
         service_user_},
        {registry_.Intern(metrics::kServiceCpuSeconds, {name_, "supervised", "system"}),
         service_user_},
        {registry_.Intern(metrics::kServiceMemoryBytes, {name_, "supervised"}),
         load.service_bytes * Noise()}};
    samples.insert(samples.end(), all.begin(), all.end());
  }
  void RecordHour(int64_t begin_ms, const Load& load) {
    Record(begin_ms, static_cast<int>(kHourMs / kTickMs), load);
  }

  Json Compare(const TimeSpan& before, const TimeSpan& after, const std::string& service = "") {
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    if (!reader.ok()) {
      ADD_FAILURE() << reader.error().ToString();
      return nullptr;
    }
    const Result<Json> answer = CompareJson(
        {before, after, service}, [&](const Selector& selector, const RangeWindow& window) {
          return QueryRange(selector, window, nullptr, &*reader);
        });
    if (!answer.ok()) ADD_FAILURE() << answer.error().ToString();
    return answer.value_or(Json(nullptr));
  }
  // The row of a quantity, of the machine without a service.
  static Json Row(const Json& answer, const std::string& quantity, const Json& service = nullptr) {
    for (const Json& row : answer.at("rows")) {
      if (row.at("quantity") == quantity && row.at("service") == service) return row;
    }
    ADD_FAILURE() << "no row of " << quantity << " in " << answer.dump(2);
    return nullptr;
  }

  std::string name_ = "llama";

 private:
  std::mt19937 random_{1};
  std::normal_distribution<double> normal_;
  double busy_ = 0, idle_ = 0, watched_ = 0, joules_ = 0;
  double service_user_ = 0, service_watched_ = 0, service_cpu_joules_ = 0, service_gpu_joules_ = 0;
};

TEST_F(CompareTest, TellsWhatTheMachineSaves) {
  RecordHour(kBeginMs, {.watts = 14, .cpus = 0.5});
  RecordHour(kBeginMs + kHourMs, {.watts = 11, .cpus = 0.5});
  const Json answer = Compare(HourFrom(kBeginMs), HourFrom(kBeginMs + kHourMs));
  const Json power = Row(answer, "power");
  EXPECT_EQ(power["unit"], "W");
  EXPECT_NEAR(power["before"], 14, 0.2);
  EXPECT_NEAR(power["after"], 11, 0.2);
  EXPECT_NEAR(power["difference"], -3, 0.3);
  EXPECT_LT(power["low"], power["difference"]);
  EXPECT_GT(power["high"], power["difference"]);
  EXPECT_LT(power["high"], -2.5);
  EXPECT_NEAR(power["relative"], -3.0 / 14, 0.03);
  EXPECT_EQ(power["verdict"], "less");
  EXPECT_EQ(power["samples"], Json({{"before", 60}, {"after", 60}}));
  const Json cpu = Row(answer, "CPU");
  EXPECT_EQ(cpu["unit"], "CPUs");
  EXPECT_NEAR(cpu["before"], 0.5, 0.02) << "idle and iowait do not count";
  EXPECT_EQ(cpu["verdict"], "no difference shown");
  EXPECT_TRUE(answer["note"].is_null()) << answer["note"];
  EXPECT_EQ(answer["rows"].size(), 3U);
}

TEST_F(CompareTest, EnergyIsToldPerDayAndAsMeasured) {
  RecordHour(kBeginMs, {.watts = 14});
  RecordHour(kBeginMs + kHourMs, {.watts = 11});
  // The second window is half an hour.
  const Json answer =
      Compare(HourFrom(kBeginMs), {At(kBeginMs + kHourMs), At(kBeginMs + kHourMs + kHourMs / 2)});
  const Json power = Row(answer, "power");
  const Json energy = Row(answer, "energy");
  EXPECT_EQ(energy["unit"], "Wh/day");
  for (const char* key : {"before", "after", "difference", "low", "high"}) {
    EXPECT_DOUBLE_EQ(energy[key].get<double>(), 24 * power[key].get<double>()) << key;
  }
  EXPECT_DOUBLE_EQ(energy["relative"].get<double>(), power["relative"].get<double>());
  EXPECT_NEAR(energy["watt_hours"]["before"], 14, 0.2);
  EXPECT_NEAR(energy["watt_hours"]["after"], 5.5, 0.1);
}

TEST_F(CompareTest, AServiceIsSummedOverComponentsAndModes) {
  RecordHour(kBeginMs, {.service_cpus = 0.4, .service_bytes = 1e9});
  RecordHour(kBeginMs + kHourMs, {.service_cpus = 0.2, .service_bytes = 2e9});
  const Json answer = Compare(HourFrom(kBeginMs), HourFrom(kBeginMs + kHourMs), "llama");
  EXPECT_EQ(answer["service"], "llama");
  const Json power = Row(answer, "power", "llama");
  EXPECT_NEAR(power["before"], 3, 0.1);
  EXPECT_EQ(power["verdict"], "no difference shown");
  EXPECT_NEAR(Row(answer, "energy", "llama")["before"], 72, 2);
  const Json cpu = Row(answer, "CPU", "llama");
  EXPECT_NEAR(cpu["before"], 0.4, 0.02);
  EXPECT_NEAR(cpu["after"], 0.2, 0.02);
  EXPECT_EQ(cpu["verdict"], "less");
  const Json memory = Row(answer, "memory", "llama");
  EXPECT_EQ(memory["unit"], "bytes");
  EXPECT_NEAR(memory["difference"], 1e9, 1e8);
  EXPECT_EQ(memory["verdict"], "more");
  EXPECT_TRUE(answer["note"].is_null()) << answer["note"];
}

TEST_F(CompareTest, OnlyWhatWasMeasuredCounts) {
  RecordHour(kBeginMs, {.watts = 14});
  Record(kBeginMs + kHourMs, 120, {.watts = 11});  // half of the hour
  const Json answer = Compare(HourFrom(kBeginMs), HourFrom(kBeginMs + kHourMs));
  EXPECT_NEAR(answer["before"]["measured"], 1, 0.01);
  EXPECT_NEAR(answer["after"]["measured"], 0.5, 0.01);
  EXPECT_EQ(answer["after"]["seconds"], 3600);
  EXPECT_NEAR(Row(answer, "power")["after"], 11, 0.2);
  EXPECT_EQ(Row(answer, "power")["samples"]["after"], 30);
  EXPECT_NEAR(Row(answer, "energy")["watt_hours"]["after"], 5.5, 0.1);
}

TEST_F(CompareTest, AWindowEndsBeforeTheOtherBegins) {
  Record(kBeginMs, 100, {.watts = 14});
  Record(kBeginMs + 100 * kTickMs, 100, {.watts = 11});
  const TimeSpan before{At(kBeginMs), At(kBeginMs + 100 * kTickMs)};
  const TimeSpan after{before.until, At(kBeginMs + 200 * kTickMs)};
  const Json power = Row(Compare(before, after), "power");
  EXPECT_EQ(power["samples"], Json({{"before", 99}, {"after", 100}}))
      << "for how long the first of all stands is not known";
}

TEST_F(CompareTest, NothingMeasuredIsNullAndTooLittleData) {
  RecordHour(kBeginMs, {});
  const Json answer = Compare(HourFrom(kBeginMs), HourFrom(kBeginMs + 100 * kHourMs), "nobody");
  const Json power = Row(answer, "power");
  EXPECT_NEAR(power["before"], 10, 0.2);
  for (const char* key : {"after", "difference", "low", "high", "relative"}) {
    EXPECT_TRUE(power[key].is_null()) << key;
  }
  EXPECT_EQ(power["verdict"], "too little data");
  EXPECT_TRUE(Row(answer, "energy")["watt_hours"]["after"].is_null());
  EXPECT_EQ(answer["after"]["measured"], 0);
  EXPECT_EQ(Row(answer, "memory", "nobody")["samples"], Json({{"before", 0}, {"after", 0}}));
  EXPECT_EQ(answer["note"], "Nothing was measured of a service \"nobody\" in these windows.");
}

TEST_F(CompareTest, ServicesMayHaveOddNames) {
  name_ = "a \"b\" \\c\n";
  RecordHour(kBeginMs, {});
  RecordHour(kBeginMs + kHourMs, {});
  const Json answer = Compare(HourFrom(kBeginMs), HourFrom(kBeginMs + kHourMs), name_);
  EXPECT_NEAR(Row(answer, "power", name_)["before"], 3, 0.1);
}

TEST_F(CompareTest, OddWindowsAreNoted) {
  RecordHour(kBeginMs, {});
  RecordHour(kBeginMs + kHourMs, {});
  const TimeSpan both{At(kBeginMs), At(kBeginMs + 2 * kHourMs)};
  EXPECT_THAT(Compare(both, HourFrom(kBeginMs + kHourMs))["note"].get<std::string>(),
              StartsWith("The windows overlap by 1h"));
  EXPECT_EQ(Compare(HourFrom(kBeginMs + kHourMs), HourFrom(kBeginMs))["note"],
            "The window that is called \"after\" came first.");
}

TEST_F(CompareTest, BothWindowsHaveTheStepOfTheShorter) {
  using std::chrono::hours;
  using std::chrono::minutes;
  const auto step = [&](minutes before, minutes after) {
    const Json answer =
        Compare({At(kBeginMs) - before, At(kBeginMs)}, {At(kBeginMs), At(kBeginMs) + after});
    EXPECT_EQ(answer["before"]["step_seconds"], answer["after"]["step_seconds"]);
    return answer["before"]["step_seconds"].get<double>();
  };
  RecordHour(kBeginMs, {});
  EXPECT_EQ(step(minutes(9), minutes(9)), 1);
  EXPECT_EQ(step(minutes(59), minutes(59)), 10);
  EXPECT_EQ(step(hours(71), hours(71)), 60);
  EXPECT_EQ(step(hours(73), hours(73)), 3600);
  EXPECT_EQ(step(hours(24 * 90), hours(24 * 365)), 24 * 3600);
  EXPECT_EQ(step(hours(96), hours(24)), 60);
  EXPECT_EQ(step(minutes(59), hours(24 * 365)), 3600) << "too many minutes";
  EXPECT_EQ(step(hours(24 * 365 * 10), minutes(9)), 24 * 3600) << "too many hours";
}

// 60 W for four hours of each day.
TEST_F(CompareTest, ThePcThatIsOffAtNightIsNotTakenToBeOn) {
  constexpr int kDays = 180;
  constexpr int64_t kDayMs = 24 * kHourMs;
  constexpr int64_t kMidnightMs = kStartMs / kDayMs * kDayMs;
  for (int day = 0; day < kDays; ++day) {
    for (int hour = 9; hour < 13; ++hour) {  // a flush each, so that all becomes roll-ups
      Record(kMidnightMs + day * kDayMs + hour * kHourMs, 2, {.watts = 60, .cpus = 1.5},
             kHourMs / 2);
    }
  }
  const WallTime middle = At(kMidnightMs + kDays / 2 * kDayMs);
  const Json answer =
      Compare({At(kMidnightMs), middle}, {middle, At(kMidnightMs + kDays * kDayMs)});
  EXPECT_EQ(answer["before"]["step_seconds"], 24 * 3600);
  constexpr double kHours = 3.5;  // of each day: what was before its first tick is not known
  for (const char* window : {"before", "after"}) {
    EXPECT_NEAR(answer[window]["measured"], kHours / 24, 0.005);
    EXPECT_NEAR(Row(answer, "power")[window], 60, 1);
    EXPECT_NEAR(Row(answer, "energy")["watt_hours"][window], 60 * kHours * kDays / 2, 500);
    EXPECT_NEAR(Row(answer, "CPU")[window], 1.5, 0.05) << "not spread over the night";
  }
  EXPECT_EQ(Row(answer, "CPU")["verdict"], "no difference shown");
}

// One CPU for five minutes of each hour, as five days ago and today.
TEST_F(CompareTest, AServiceThatComesAndGoesUsesAsMuchInALongWindowAsInAShortOne) {
  constexpr int kHours = 4 * 24 + 8;
  for (int hour = 0; hour < kHours; ++hour) {
    const int64_t begin_ms = kBeginMs + hour * kHourMs;
    Record(begin_ms, 5, {.service_cpus = 1}, 60 * kSecondMs);
    Record(begin_ms + 5 * 60 * kSecondMs, 11, {.service_runs = false}, 300 * kSecondMs);
  }
  const WallTime middle = At(kBeginMs + 4 * 24 * kHourMs);
  for (const auto after : {std::chrono::hours(8), std::chrono::hours(72)}) {
    const Json cpu =
        Row(Compare({At(kBeginMs), middle}, {middle, middle + after}, "llama"), "CPU", "llama");
    EXPECT_NEAR(cpu["before"], 1, 0.1) << after.count();
    EXPECT_NEAR(cpu["after"], 1, 0.1) << after.count();
    EXPECT_NE(cpu["verdict"], "more") << after.count();
  }
}

// An hour of a roll-up would else weigh as little as a minute that was measured.
TEST(CompareJsonTest, RollUpsAreReadByTheHourInBothWindows) {
  std::set<std::chrono::milliseconds> steps;
  const auto range = [&](const Selector& selector,
                         const RangeWindow& window) -> Result<RangeAnswer> {
    steps.insert(window.step);
    RangeAnswer answer;
    answer.rolled_up = window.since == At(kBeginMs);
    answer.damaged_rows = 2;
    const bool is_time = selector.metric() == metrics::kHostActivitySeconds.name;
    answer.series.push_back({"m",
                             {},
                             MetricKind::kGauge,
                             "",
                             {{window.since.time_since_epoch().count(), is_time ? 3600.0 : 1}}});
    return answer;
  };
  const TimeSpan day{At(kBeginMs), At(kBeginMs + 24 * kHourMs)};
  const TimeSpan next{day.until, day.until + std::chrono::hours(24)};
  const Result<Json> answer = CompareJson({day, next, ""}, range);
  ASSERT_TRUE(answer.ok());
  EXPECT_THAT(steps, ElementsAre(std::chrono::minutes(1), std::chrono::hours(1)));
  for (const char* window : {"before", "after"}) {
    EXPECT_EQ((*answer)[window]["step_seconds"], 3600);
    EXPECT_NEAR((*answer)[window]["measured"], 1.0 / 24, 1e-9);
  }
  EXPECT_EQ((*answer)["damaged_rows"], 2);
}

TEST(CompareJsonTest, ErrorsOfTheHistoryAreTold) {
  const auto range = [](const Selector&, const RangeWindow&) -> Result<RangeAnswer> {
    return Error{ErrorCode::kParse, "history.db", 0, "is damaged"};
  };
  const Result<Json> answer = CompareJson({HourFrom(0), HourFrom(kHourMs), ""}, range);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().ToString(), "history.db: is damaged");
}

TEST(ParseTimeSpanTest, TakesTimesAsEverywhere) {
  const WallTime now = At(kStartMs);
  const Result<TimeSpan> ago = ParseTimeSpan("before", "1.5h..30m", now);
  ASSERT_TRUE(ago.ok()) << ago.error().ToString();
  EXPECT_EQ(ago->since, now - std::chrono::minutes(90));
  EXPECT_EQ(ago->until, now - std::chrono::minutes(30));
  const Result<TimeSpan> dates = ParseTimeSpan("after", "2023-11-13..2023-11-14T12:00:00.5Z", now);
  ASSERT_TRUE(dates.ok()) << dates.error().ToString();
  EXPECT_EQ(FormatWallTime(dates->until), "2023-11-14T12:00:00.500Z");
  EXPECT_EQ(ParseTimeSpan("after", "1h..now", now)->until, now);
  EXPECT_EQ(ParseTimeSpan("after", "1h..2999-01-01", now)->until, now) << "the rest is to come";
}

TEST(ParseTimeSpanTest, SaysWhatIsWrong) {
  const auto refused = [](const std::string& text) {
    const Result<TimeSpan> span = ParseTimeSpan("before", text, At(kStartMs));
    return span.ok() ? "taken" : span.error().ToString();
  };
  EXPECT_EQ(refused("24h"), "before: \"24h\" is no window: write SINCE..UNTIL, as in \"48h..24h\"");
  EXPECT_EQ(refused(""), "before: \"\" is no window: write SINCE..UNTIL, as in \"48h..24h\"");
  EXPECT_EQ(refused("1h..2h"), "before: \"1h..2h\" ends before it begins");
  EXPECT_EQ(refused("now..now"), "before: \"now..now\" is empty: it ends when it begins");
  EXPECT_EQ(refused("2999-01-01..2999-01-02"),
            "before: \"2999-01-01..2999-01-02\" has not begun yet");
  EXPECT_THAT(refused("2h..soon"), HasSubstr("soon"));
  EXPECT_THAT(refused("2h..soon"), HasSubstr("is not a time"));
  EXPECT_THAT(refused("..now"), HasSubstr("is not a time"));
}

}  // namespace
}  // namespace idlewatt
