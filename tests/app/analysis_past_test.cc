#include "app/analysis_past.h"

#include <gmock/gmock.h>

#include "analysis/metrics.h"
#include "collector/metrics.h"
#include "exporters/api_answers.h"
#include "exporters/baseline_api.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;

// A whole hour, and the moment at which the daemon starts again.
constexpr int64_t kHourMs = 3'600'000;
const WallTime kBegin = At(kStartMs / kHourMs * kHourMs);
const WallTime kNow = kBegin + minutes(150);

int64_t Ms(WallTime time) { return time.time_since_epoch().count(); }

// A history that an earlier run of the daemon wrote.
class AnalysisPastTest : public HistoryTest {
 protected:
  AnalysisPastTest() { Open(); }

  void Record(WallTime time, const Metric& metric, std::initializer_list<std::string_view> labels,
              double value) {
    history_->Push(FrameAt(Ms(time), {{registry_.Intern(metric, labels), value}}));
  }
  void Event(WallTime time, const std::string& kind, const std::string& detail) {
    history_->PushEvent({Ms(time), kind, "", detail});
  }
  static AlertStatus Alert(const std::string& service, AlertState state) {
    return {"IdleServiceCpu", service,    "warning", state,           kNow - minutes(70), 40.5, 5,
            "percent",        "it burns", "stop it", "IdleServiceCpu"};
  }
  void Alert(WallTime time, const AlertStatus& alert) {
    Event(time, "alert", DumpJson(AlertJson(alert)));
  }
  AnalysisPast Read(WallTime now = kNow) {
    EXPECT_TRUE(history_->Flush());
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    EXPECT_TRUE(reader);
    Result<AnalysisPast> past = ReadAnalysisPast(*reader, now);
    EXPECT_TRUE(past) << past.error().ToString();
    return past.ok() ? std::move(*past) : AnalysisPast();
  }
  // The services of the alerts that fire, by name.
  std::vector<std::string> Firing(WallTime now = kNow) {
    std::vector<std::string> services;
    for (const AlertStatus& alert : Read(now).firing) services.push_back(alert.service);
    std::sort(services.begin(), services.end());
    return services;
  }
};

TEST_F(AnalysisPastTest, OfAnEmptyHistoryIsEmpty) {
  const AnalysisPast past = Read();
  EXPECT_TRUE(past.services.empty());
  EXPECT_TRUE(past.memory.empty());
  EXPECT_TRUE(past.restarts.empty());
  EXPECT_TRUE(past.floor_watts.empty());
  EXPECT_TRUE(past.sources.empty());
  EXPECT_TRUE(past.firing.empty());
  EXPECT_FALSE(past.baseline);
}

TEST_F(AnalysisPastTest, HoldsWhenServicesWereUsedAndSeenLast) {
  const WallTime used = kNow - minutes(20) + milliseconds(500);
  for (const auto& [seen, service] :
       {std::pair(kNow - minutes(61), "long-gone"), std::pair(kNow - minutes(3), "a"),
        std::pair(kNow - minutes(2), "a")}) {
    Record(seen, metrics::kServiceLastActivity, {service}, static_cast<double>(Ms(used)) / 1000);
  }
  const AnalysisPast past = Read();
  ASSERT_EQ(past.services.size(), 1U);
  EXPECT_EQ(past.services.at("a").last_activity, used);
  EXPECT_EQ(past.services.at("a").seen, kNow - minutes(2));
}

TEST_F(AnalysisPastTest, HoldsTheMemoryOfConfiguredServicesByMinute) {
  for (int i = 0; i < 3; ++i) {
    for (const int second : {0, 30}) {
      const WallTime time = kNow - minutes(10 - i) + seconds(second);
      Record(time, metrics::kServiceMemoryBytes, {"a", "supervised"}, 1000 * i + second);
      Record(time, metrics::kServiceMemoryBytes, {"found", "discovered"}, 7);
    }
  }
  const AnalysisPast past = Read();
  ASSERT_EQ(past.memory.size(), 1U);
  EXPECT_EQ(past.memory[0].service, "a");
  EXPECT_THAT(past.memory[0].bytes,
              ElementsAre(std::pair(kNow - minutes(10), 15.0), std::pair(kNow - minutes(9), 1015.0),
                          std::pair(kNow - minutes(8), 2015.0)));
}

TEST_F(AnalysisPastTest, HoldsRestartsThatNobodyAskedFor) {
  Record(kNow - minutes(30), metrics::kServiceRestarts, {"a", "crash"}, 3);
  Record(kNow - minutes(20), metrics::kServiceRestarts, {"a", "crash"}, 4);
  Record(kNow - minutes(9), metrics::kServiceRestarts, {"a", "crash"}, 6);
  Record(kNow - minutes(8), metrics::kServiceRestarts, {"a", "crash"}, 6);
  Record(kNow - minutes(5), metrics::kServiceRestarts, {"a", "crash"}, 0);
  Record(kNow - minutes(4), metrics::kServiceRestarts, {"a", "crash"}, 1);
  Record(kNow - minutes(9), metrics::kServiceRestarts, {"a", "request"}, 0);
  Record(kNow - minutes(8), metrics::kServiceRestarts, {"a", "request"}, 5);
  const AnalysisPast past = Read();
  ASSERT_EQ(past.restarts.size(), 1U);
  EXPECT_THAT(past.restarts.at("a"), ElementsAre(kNow - minutes(20), kNow - minutes(9),
                                                 kNow - minutes(9), kNow - minutes(4)));
}

TEST_F(AnalysisPastTest, HoldsTheLastFloors) {
  Record(kNow - minutes(62), metrics::kHostFloorWatts, {"old"}, 9);
  Record(kNow - minutes(50), metrics::kHostFloorWatts, {"package-0"}, 5);
  Record(kNow - minutes(1), metrics::kHostFloorWatts, {"package-0"}, 4.5);
  Record(kNow - minutes(1), metrics::kHostFloorWatts, {"gpu0"}, 12);
  EXPECT_EQ(Read().floor_watts,
            (std::map<std::string, double, std::less<>>{{"gpu0", 12.0}, {"package-0", 4.5}}));
}

TEST_F(AnalysisPastTest, HoldsWhenSourcesCouldBeReadToTheHour) {
  Record(kBegin + minutes(5), metrics::kSourceAvailable, {"lost", ""}, 1);
  Record(kBegin + minutes(70), metrics::kSourceAvailable, {"lost", "permission"}, 0);
  Record(kNow - minutes(1), metrics::kSourceAvailable, {"there", ""}, 1);
  Record(kNow - minutes(1), metrics::kSourceAvailable, {"never", "no_data"}, 0);
  const AnalysisPast past = Read();
  ASSERT_EQ(past.sources.size(), 2U);
  EXPECT_EQ(past.sources.at("lost"), kBegin + hours(1));
  EXPECT_EQ(past.sources.at("there"), kNow);
}

TEST_F(AnalysisPastTest, HoldsTheAlertThatFiresAsItWasTold) {
  const AlertStatus told = Alert("a", AlertState::kFiring);
  Alert(kNow - minutes(70), told);
  const AnalysisPast past = Read();
  ASSERT_EQ(past.firing.size(), 1U);
  const AlertStatus& alert = past.firing[0];
  EXPECT_EQ(AlertJson(alert), AlertJson(told));
  EXPECT_EQ(alert.since, told.since);
}

TEST_F(AnalysisPastTest, TheNewestEventOfAnAlertCounts) {
  Alert(kNow - minutes(70), Alert("over", AlertState::kFiring));
  Alert(kNow - minutes(60), Alert("over", AlertState::kResolved));
  Alert(kNow - minutes(60), Alert("again", AlertState::kResolved));
  Alert(kNow - minutes(50), Alert("again", AlertState::kFiring));
  AlertStatus critical = Alert("over", AlertState::kFiring);
  critical.severity = "critical";
  Alert(kNow - minutes(80), critical);
  EXPECT_THAT(Firing(), ElementsAre("again", "over"));
}

TEST_F(AnalysisPastTest, AnAlertThatFiresForAMonthIsForgotten) {
  Alert(kNow - hours(24 * 30) - seconds(1), Alert("old", AlertState::kFiring));
  Alert(kNow - hours(24 * 30) + seconds(1), Alert("young", AlertState::kFiring));
  EXPECT_THAT(Firing(), ElementsAre("young"));
}

TEST_F(AnalysisPastTest, DamagedEventsAreSkipped) {
  Alert(kNow - minutes(70), Alert("a", AlertState::kFiring));
  std::string json = DumpJson(AlertJson(Alert("a", AlertState::kResolved)));
  Event(kNow - minutes(60), "alert", json.substr(0, json.size() / 2));
  for (const char* text : {"", "null", "[]", "7", "{}"}) Event(kNow - minutes(50), "alert", text);
  for (const char* key : {"alert", "service", "severity", "state", "since", "value", "threshold",
                          "unit", "summary", "advice"}) {
    Json event = AlertJson(Alert("a", AlertState::kResolved));
    event[key] = Json::array();
    Event(kNow - minutes(40), "alert", DumpJson(event));
    event.erase(key);
    Event(kNow - minutes(40), "alert", DumpJson(event));
  }
  Json event = AlertJson(Alert("a", AlertState::kResolved));
  event["since"] = "some day";
  Event(kNow - minutes(30), "alert", DumpJson(event));
  EXPECT_THAT(Firing(), ElementsAre("a"));
}

TEST_F(AnalysisPastTest, OtherEventsDoNotHideAnAlert) {
  Alert(kNow - hours(20), Alert("a", AlertState::kFiring));
  for (int i = 0; i < 6000; ++i) {
    Event(kNow - hours(10) + seconds(i), "service_state", "{}");
    if (i % 900 == 0) {
      ASSERT_TRUE(history_->Flush());
    }
  }
  EXPECT_THAT(Firing(), ElementsAre("a"));
}

TEST_F(AnalysisPastTest, HoldsTheBaselineThatWasSetLast) {
  const Baseline first{"first", 7.5, 60, kBegin, kBegin + hours(1)};
  Event(kNow - hours(2), "baseline", DumpJson(BaselineJson(first)));
  ASSERT_TRUE(Read().baseline);
  EXPECT_EQ(DumpJson(BaselineJson(Read().baseline)), DumpJson(BaselineJson(first)));
  Event(kNow - hours(1), "baseline", DumpJson(BaselineJson(std::nullopt)));
  EXPECT_FALSE(Read().baseline) << "it was cleared";
}

TEST_F(AnalysisPastTest, OfAHistoryThatEndedLongAgoOnlyTheBaselineIsLeft) {
  Record(kBegin, metrics::kServiceLastActivity, {"a"}, static_cast<double>(Ms(kBegin)) / 1000);
  Record(kBegin, metrics::kServiceMemoryBytes, {"a", "supervised"}, 1e9);
  Record(kBegin, metrics::kServiceRestarts, {"a", "crash"}, 1);
  Record(kBegin, metrics::kHostFloorWatts, {"package-0"}, 5);
  Record(kBegin, metrics::kSourceAvailable, {"rapl", ""}, 1);
  Event(kBegin, "baseline", DumpJson(BaselineJson(Baseline{"b", 7, 60, kBegin, kBegin})));
  const AnalysisPast past = Read(kBegin + hours(24 * 40));
  EXPECT_TRUE(past.services.empty());
  EXPECT_TRUE(past.memory.empty());
  EXPECT_TRUE(past.restarts.empty());
  EXPECT_TRUE(past.floor_watts.empty());
  EXPECT_TRUE(past.sources.empty());
  EXPECT_TRUE(past.baseline);
}

}  // namespace
}  // namespace idlewatt
