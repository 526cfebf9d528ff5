#include "exporters/api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "collector/metrics.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

class ApiTest : public testing::Test {
 protected:
  ApiTest()
      : endpoints_(MakeEndpoints(
            {.snapshot = snapshot_,
             .alerts = alerts_,
             .control = [] { return nullptr; },
             .token = [] { return std::string(); },
             .reload = [] { return ReloadOutcome(); },
             .range = [this](const Selector& selector,
                             const RangeWindow& window) { return Range(selector, window); },
             .series = [this](const Selector* selector) { return Series(selector); },
             .events = [this](const TimeSpan& span, size_t limit) { return Events(span, limit); },
             .idle = [this](const IdleWindow& window) { return Idle(window); },
             .storage = [this] { return storage_; },
             .clock = clock_})) {}

  void PublishOneTick() {
    maker_.Add(metrics::kPowerWatts, {"rapl", "package-0"}, 12.5);
    snapshot_.Publish(std::make_shared<const Snapshot>(maker_.Tick()));
  }

  HttpResponse Get(const std::string& path, std::map<std::string, std::string> query = {}) {
    std::string at = path;
    while (!endpoints_.contains(at) && at.rfind('/') != 0) at.resize(at.rfind('/'));
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    request.query = std::move(query);
    return endpoints_.at(at).get(request);
  }

  Result<RangeAnswer> Range(const Selector& selector, const RangeWindow& window) {
    asked_metric_ = selector.metric();
    asked_window_ = window;
    if (history_error_) return *history_error_;
    SeriesPoints points;
    points.metric = selector.metric();
    points.labels = {{"domain", "package-0"}, {"source", "rapl"}};
    points.points = {{1000, 1}, {2000, 2}, {3000, 3}};
    RangeAnswer answer;
    answer.series.push_back(points);
    return answer;
  }

  Result<SeriesAnswer> Series(const Selector* selector) {
    asked_metric_ = selector == nullptr ? "" : selector->metric();
    if (history_error_) return *history_error_;
    SeriesAnswer answer;
    answer.series.push_back({{1, {"a_total", {{"x", "y"}}}, MetricKind::kCounter, "joules"},
                             3,
                             1'700'000'000'000,
                             1'700'000'010'500});
    answer.series.push_back({{2, {"b", {}}, MetricKind::kGauge, ""}, 0, {}, {}});
    return answer;
  }

  Result<std::vector<HistoryEvent>> Events(const TimeSpan& span, size_t limit) {
    asked_window_ = RangeWindow{span.since, span.until};
    asked_limit_ = limit;
    if (history_error_) return *history_error_;
    return events_;
  }

  Result<IdleReport> Idle(const IdleWindow& window) {
    asked_idle_ = window;
    if (history_error_) return *history_error_;
    IdleReport report;
    report.window = window;
    report.sources = {"rapl"};
    return report;
  }

  std::optional<StorageStatus> storage_;
  std::optional<IdleWindow> asked_idle_;
  std::optional<Error> history_error_;
  size_t asked_limit_ = 0;
  SnapshotMaker maker_;
  Slot<Snapshot> snapshot_;
  Slot<std::vector<AlertStatus>> alerts_;
  ManualClock clock_;
  std::string asked_metric_;
  std::optional<RangeWindow> asked_window_;
  std::vector<HistoryEvent> events_;
  HttpServer::Endpoints endpoints_;
};

TEST_F(ApiTest, StorageTellsWhereTheHistoryIs) {
  EXPECT_EQ(Get("/api/v1/storage").status, 503) << "the daemon starts";
  storage_ = StorageStatus{"/somewhere/history.db", {}};
  storage_->history.file_bytes = 4096;
  const HttpResponse response = Get("/api/v1/storage");
  ASSERT_EQ(response.status, 200);
  const nlohmann::json body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["path"], "/somewhere/history.db");
  EXPECT_EQ(body["bytes"], 4096);
  EXPECT_TRUE(body["oldest"].is_null());
}

TEST_F(ApiTest, IsReadyOnlyAfterTheFirstMeasurement) {
  EXPECT_EQ(Get("/-/healthy").status, 200);
  EXPECT_EQ(Get("/-/ready").status, 503);
  PublishOneTick();
  EXPECT_EQ(Get("/-/ready").status, 200);
}

TEST_F(ApiTest, SystemAliasesGiveTheSameAnswers) {
  PublishOneTick();
  for (const char* name : {"metrics", "power", "power/history", "thermal", "processes"}) {
    const HttpResponse first = Get(std::string("/api/v1/") + name);
    EXPECT_EQ(first.status, 200) << name;
    EXPECT_EQ(first.body, Get(std::string("/api/system/") + name).body) << name;
  }
}

TEST_F(ApiTest, MetricsAreTheSnapshotInPrometheusText) {
  PublishOneTick();
  const HttpResponse response = Get("/metrics");
  EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_NE(response.body.find("# TYPE idlewatt_power_watts gauge\n"
                               "idlewatt_power_watts{source=\"rapl\",domain=\"package-0\"} 12.5\n"),
            std::string::npos)
      << response.body;
}

TEST_F(ApiTest, UnknownServiceAndUnknownPathAre404) {
  EXPECT_EQ(Get("/api/v1/services/nobody").status, 404);
  EXPECT_EQ(Get("/api/v1/power/futures").status, 404);
}

TEST_F(ApiTest, HistoryGivesTheNewestPointsUpToTheLimit) {
  const HttpResponse response = Get("/api/v1/power/history", {{"limit", "2"}, {"since", "24h"}});
  ASSERT_EQ(response.status, 200) << response.body;
  const auto json = nlohmann::json::parse(response.body);
  EXPECT_EQ(asked_metric_, "idlewatt_power_watts");
  EXPECT_EQ(asked_window_->until - asked_window_->since, std::chrono::hours(24));
  EXPECT_EQ(json["series"][0]["points"], nlohmann::json::parse("[[2.0,2.0],[3.0,3.0]]"));
}

TEST_F(ApiTest, RangeTakesMetricAndMatch) {
  const HttpResponse response =
      Get("/api/v1/range",
          {{"metric", "idlewatt_power_watts"}, {"match", "{source=\"rapl\"}"}, {"step", "1m"}});
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(asked_window_->step, std::chrono::minutes(1));
}

TEST_F(ApiTest, CompareTakesTwoWindows) {
  const HttpResponse response =
      Get("/api/v1/compare", {{"before", "2h..1h"}, {"after", "1h..now"}, {"service", "llama"}});
  ASSERT_EQ(response.status, 200) << response.body;
  const auto json = nlohmann::json::parse(response.body);
  EXPECT_EQ(json["service"], "llama");
  EXPECT_EQ(json["before"]["until"], json["after"]["since"]);
  EXPECT_EQ(json["rows"].size(), 7U);
  EXPECT_EQ(asked_window_->step, std::chrono::minutes(1));
  EXPECT_EQ(asked_window_->until, clock_.Now().wall - std::chrono::milliseconds(1));
  EXPECT_EQ(Get("/api/v1/compare", {{"before", "2h..1h"}}).status, 400) << "after is missing";
  EXPECT_EQ(Get("/api/v1/compare", {{"before", "1h..2h"}, {"after", "1h..now"}}).status, 400);
}

TEST_F(ApiTest, SeriesTellsWhatThereIsAndTakesASelector) {
  const HttpResponse all = Get("/api/v1/series");
  ASSERT_EQ(all.status, 200) << all.body;
  EXPECT_EQ(asked_metric_, "");
  EXPECT_EQ(nlohmann::json::parse(all.body), nlohmann::json::parse(R"({"damaged_rows":0,"series":[
    {"metric":"a_total","labels":{"x":"y"},"kind":"counter","unit":"joules",
     "first":"2023-11-14T22:13:20.000Z","last":"2023-11-14T22:13:30.500Z","samples":3},
    {"metric":"b","labels":{},"kind":"gauge","unit":"","first":null,"last":null,"samples":0}]})"));
  EXPECT_EQ(Get("/api/v1/series", {{"match", "a_total{x=\"y\"}"}}).status, 200);
  EXPECT_EQ(asked_metric_, "a_total");
  EXPECT_EQ(Get("/api/v1/series", {{"match", "a_total{"}}).status, 400);
}

TEST_F(ApiTest, WrongParametersAre400WithASentence) {
  using Query = std::map<std::string, std::string>;
  const Query wrong[] = {{{"metric", ""}},
                         {{"metric", "a{"}},
                         {{"metric", "a"}, {"since", "yesterday"}},
                         {{"metric", "a"}, {"step", "5"}},
                         {{"metric", "a"}, {"since", "1h"}, {"until", "2h"}}};
  for (const Query& query : wrong) {
    const HttpResponse response = Get("/api/v1/range", query);
    EXPECT_EQ(response.status, 400) << query.rbegin()->second;
    const auto json = nlohmann::json::parse(response.body);
    EXPECT_FALSE(json["error"]["message"].get<std::string>().empty());
  }
  for (const char* limit : {"0", "-1", "x", "99999999999"}) {
    EXPECT_EQ(Get("/api/v1/processes", {{"limit", limit}}).status, 400) << limit;
  }
}

TEST_F(ApiTest, NamesThatAreNotUtf8DoNotSpoilTheAnswer) {
  ProcessRow row;
  row.name = "bad\xff";
  row.service = std::make_shared<const std::string>("s");
  maker_.processes = {row};
  PublishOneTick();
  const HttpResponse response = Get("/api/v1/processes");
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(nlohmann::json::accept(response.body));
}

TEST_F(ApiTest, ThePageIsServed) {
  const HttpResponse response = Get("/");
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_NE(response.body.find("<title>idlewatt</title>"), std::string::npos);
}

TEST_F(ApiTest, EventsAreThoseOfTheHistory) {
  events_.push_back({1'700'000'000'000, "service_state", "llama", R"({"to":"ready"})"});
  events_.push_back({1'700'000'000'001, "alert", "", "damaged"});
  const HttpResponse response =
      Get("/api/v1/events", {{"since", "2023-11-14"}, {"until", "2023-11-15"}, {"limit", "7"}});
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(asked_limit_, 7U);
  EXPECT_EQ(asked_window_->until - asked_window_->since, std::chrono::hours(24));
  const auto events = nlohmann::json::parse(response.body)["events"];
  EXPECT_EQ(events[0],
            nlohmann::json::parse(R"({"time":"2023-11-14T22:13:20.000Z","kind":"service_state",
                                     "service":"llama","detail":{"to":"ready"}})"));
  EXPECT_TRUE(events[1]["service"].is_null());
  EXPECT_TRUE(events[1]["detail"].is_null());
  for (const char* limit : {"0", "-1", "x", "50001"}) {
    EXPECT_EQ(Get("/api/v1/events", {{"limit", limit}}).status, 400) << limit;
  }
  EXPECT_EQ(Get("/api/v1/events", {{"since", "1h"}, {"until", "2h"}}).status, 400);
}

TEST_F(ApiTest, TheIdleReportIsOfTheLastDayUnlessAskedElse) {
  const HttpResponse response = Get("/api/v1/idle");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(asked_idle_->until, clock_.Now().wall);
  EXPECT_EQ(asked_idle_->until - asked_idle_->since, std::chrono::hours(24));
  EXPECT_EQ(asked_idle_->step.count(), 0);
  EXPECT_EQ(asked_idle_->now, clock_.Now().wall);
  EXPECT_EQ(nlohmann::json::parse(response.body)["meter"], "meter");
  EXPECT_EQ(Get("/api/v1/idle/", {{"since", "7d"}, {"until", "1d"}, {"step", "1h"}}).status, 200);
  EXPECT_EQ(asked_idle_->until - asked_idle_->since, std::chrono::hours(6 * 24));
  EXPECT_EQ(asked_idle_->until, clock_.Now().wall - std::chrono::hours(24));
  EXPECT_EQ(asked_idle_->step, std::chrono::hours(1));
  EXPECT_EQ(Get("/api/v1/idle", {{"until", "2999-01-01"}}).status, 200);
  EXPECT_EQ(asked_idle_->until, clock_.Now().wall) << "what is to come is not unwatched";
}

TEST_F(ApiTest, TheIdleReportRefusesWhatMakesNoSense) {
  using Query = std::map<std::string, std::string>;
  for (const Query& query : {Query{{"since", "yesterday"}}, Query{{"step", "5"}},
                             Query{{"since", "1h"}, {"until", "2h"}}}) {
    EXPECT_EQ(Get("/api/v1/idle", query).status, 400) << query.begin()->second;
  }
  const auto message = [this](const Query& query) {
    const HttpResponse response = Get("/api/v1/idle", query);
    EXPECT_EQ(response.status, 400) << response.body;
    return nlohmann::json::parse(response.body)["error"]["message"];
  };
  EXPECT_EQ(message({{"since", "now"}}), "window: is empty: it ends when it begins");
  EXPECT_EQ(message({{"since", "2998-01-01"}, {"until", "2999-01-01"}}),
            "window: has not begun yet");
  EXPECT_FALSE(asked_idle_.has_value());
  EXPECT_EQ(Get("/api/v1/idle/more").status, 404);
  history_error_ = Error{ErrorCode::kInvalid, "step", 0, "is negative"};
  EXPECT_EQ(Get("/api/v1/idle").status, 400);
}

TEST_F(ApiTest, WhatNeedsTheHistoryIs503WhileTheDaemonStarts) {
  history_error_ = Error{ErrorCode::kTransient, "", 0, "the daemon starts"};
  const std::map<std::string, std::map<std::string, std::string>> requests{
      {"/api/v1/range", {{"metric", "m"}}},
      {"/api/v1/compare", {{"before", "2h..1h"}, {"after", "1h..now"}}},
      {"/api/v1/power/history", {}},
      {"/api/v1/series", {}},
      {"/api/v1/events", {}},
      {"/api/v1/idle", {}}};
  for (const auto& [path, query] : requests) {
    const HttpResponse response = Get(path, query);
    EXPECT_EQ(response.status, 503) << path;
    EXPECT_EQ(nlohmann::json::parse(response.body)["error"]["message"], "the daemon starts");
  }
}

}  // namespace
}  // namespace idlewatt
