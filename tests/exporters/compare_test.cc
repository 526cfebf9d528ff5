#include "exporters/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
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
};

// A history of ticks every 15 s, read back from its file.
class CompareTest : public HistoryTest {
 protected:
  CompareTest() { Open(); }

  double Noise() { return 1 + 0.05 * normal_(random_); }

  // `count` ticks from `begin_ms` on; values have 5 % of noise.
  void Record(int64_t begin_ms, int count, const Load& load) {
    const double seconds = static_cast<double>(kTickMs) / kSecondMs;
    for (int i = 0; i < count; ++i) {
      busy_ += load.cpus * seconds * Noise();
      idle_ += 3 * seconds;
      service_user_ += load.service_cpus * seconds * Noise() / 2;
      history_->Push(FrameAt(
          begin_ms + i * kTickMs,
          {{registry_.Intern(metrics::kHostPowerWatts, {}), load.watts * Noise()},
           {registry_.Intern(metrics::kHostCpuSeconds, {"user"}), busy_},
           {registry_.Intern(metrics::kHostCpuSeconds, {"idle"}), idle_},
           {registry_.Intern(metrics::kHostCpuSeconds, {"iowait"}), idle_},
           {registry_.Intern(metrics::kServicePowerWatts, {name_, "cpu"}),
            load.service_cpu_watts * Noise()},
           {registry_.Intern(metrics::kServicePowerWatts, {name_, "gpu"}), load.service_gpu_watts},
           {registry_.Intern(metrics::kServicePowerWatts, {"other", "cpu"}), 100},
           {registry_.Intern(metrics::kServiceCpuSeconds, {name_, "supervised", "user"}),
            service_user_},
           {registry_.Intern(metrics::kServiceCpuSeconds, {name_, "supervised", "system"}),
            service_user_},
           {registry_.Intern(metrics::kServiceMemoryBytes, {name_, "supervised"}),
            load.service_bytes * Noise()}}));
      // The queue of the writer is short.
      if (i % 50 == 49 || i + 1 == count) {
        ASSERT_TRUE(history_->Flush().ok());
      }
    }
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
  double busy_ = 0, idle_ = 0, service_user_ = 0;
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
  EXPECT_EQ(power["samples"], Json({{"before", 100}, {"after", 100}}));
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

TEST_F(CompareTest, LongWindowsTakeFewSamples) {
  const auto step = [&](std::chrono::minutes length) {
    return Compare({At(kBeginMs) - length, At(kBeginMs)},
                   HourFrom(kBeginMs))["before"]["step_seconds"]
        .get<double>();
  };
  RecordHour(kBeginMs, {});
  EXPECT_EQ(step(std::chrono::minutes(9)), 1);
  EXPECT_EQ(step(std::chrono::minutes(59)), 10);
  EXPECT_EQ(step(std::chrono::hours(71)), 60);
  EXPECT_EQ(step(std::chrono::hours(73)), 3600);
  EXPECT_EQ(step(std::chrono::hours(24 * 365)), 24 * 3600);
}

// An hour of a roll-up would else weigh as little as a minute that was measured.
TEST(CompareJsonTest, RollUpsAreReadByTheHour) {
  std::vector<std::chrono::milliseconds> steps;
  const auto range = [&](const Selector&, const RangeWindow& window) -> Result<RangeAnswer> {
    steps.push_back(window.step);
    RangeAnswer answer;
    answer.rolled_up = window.since == At(kBeginMs);
    answer.damaged_rows = 2;
    answer.series.push_back({"m", {}, MetricKind::kGauge, "", {{kBeginMs, 1}}});
    return answer;
  };
  const TimeSpan day{At(kBeginMs), At(kBeginMs + 24 * kHourMs)};
  const TimeSpan next{day.until, day.until + std::chrono::hours(24)};
  const Result<Json> answer = CompareJson({day, next, ""}, range);
  ASSERT_TRUE(answer.ok());
  using std::chrono::hours;
  using std::chrono::minutes;
  EXPECT_THAT(steps,
              ElementsAre(minutes(1), hours(1), minutes(1), minutes(1), hours(1), minutes(1)));
  EXPECT_EQ((*answer)["before"]["step_seconds"], 3600);
  EXPECT_EQ((*answer)["after"]["step_seconds"], 60);
  EXPECT_NEAR((*answer)["before"]["measured"], 1.0 / 24, 1e-9);
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
}

TEST(ParseTimeSpanTest, SaysWhatIsWrong) {
  const auto refused = [](const std::string& text) {
    const Result<TimeSpan> span = ParseTimeSpan("before", text, At(kStartMs));
    return span.ok() ? "taken" : span.error().ToString();
  };
  EXPECT_EQ(refused("24h"), "before: \"24h\" is no window: write SINCE..UNTIL, as in \"48h..24h\"");
  EXPECT_EQ(refused(""), "before: \"\" is no window: write SINCE..UNTIL, as in \"48h..24h\"");
  EXPECT_EQ(refused("1h..2h"), "before: \"1h..2h\" ends before it begins");
  EXPECT_EQ(refused("now..now"), "before: \"now..now\" ends before it begins");
  EXPECT_THAT(refused("2h..soon"), HasSubstr("soon"));
  EXPECT_THAT(refused("2h..soon"), HasSubstr("is not a time"));
  EXPECT_THAT(refused("..now"), HasSubstr("is not a time"));
}

}  // namespace
}  // namespace idlewatt
