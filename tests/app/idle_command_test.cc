#include "app/idle_command.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/answering_server.h"
#include "tests/support/full_output.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;

// Two services in two hours; the second bucket knows nothing.
Json Report() {
  return Json::parse(R"({
    "since": "2026-11-20T03:00:00.000Z", "until": "2026-11-20T05:00:00.000Z",
    "generated_at": "2026-11-20T05:00:00.000Z", "meter": "meter", "sources": ["rapl"],
    "measured_seconds": 7140.0,
    "machine": {"joules": 72000.0, "mean_watts": 10.084, "idle_seconds": 3600.0,
      "idle_joules": 21600.0, "idle_mean_watts": 6.0, "service_active_joules": 9000.0,
      "service_idle_joules": 27000.0, "floor_joules": 34200.0, "unattributed_joules": 1800.0},
    "services": [
      {"service": "burner, the", "kind": "supervised", "active_seconds": 60.0,
       "idle_seconds": 7080.0, "active_joules": 1800.0, "idle_joules": 25200.0,
       "idle_mean_watts": 3.559, "idle_share": 0.9333, "components": {}},
      {"service": "chat", "kind": null, "active_seconds": 10.5, "idle_seconds": null,
       "active_joules": null, "idle_joules": null, "idle_mean_watts": null, "idle_share": null,
       "components": {}}],
    "step_seconds": 3600.0,
    "buckets": [
      {"start": "2026-11-20T03:00:00.000Z", "joules": 72000.0, "mean_watts": 20.0,
       "idle_joules": 27000.0, "active_joules": 9000.0, "floor_joules": 34200.0,
       "unattributed_joules": 1800.0,
       "services": [{"service": "burner, the", "idle_joules": 25200.0, "active_joules": 1800.0}]},
      {"start": "2026-11-20T04:00:00.000Z", "joules": null, "mean_watts": null,
       "idle_joules": null, "active_joules": null, "floor_joules": null,
       "unattributed_joules": null, "services": []}],
    "recommendations": [{"kind": "unload", "service": "burner, the"}, {"kind": "leak", "service": "chat"}],
    "alerts": [{"alert": "IdleBaseline", "service": null}]})");
}

std::string Text(const Json& report, const std::string& by, const std::string& format = "table",
                 const std::string& service = "") {
  const Result<std::string> text = IdlePowerText(report.dump(), {by, service, format});
  EXPECT_TRUE(text) << text.error().ToString();
  return text.value_or("");
}

TEST(IdlePowerTextTest, RanksServicesAndTellsOfTheMachine) {
  EXPECT_EQ(
      Text(Report(), "service"),
      "SERVICE      KIND        IDLE FOR  IDLE Wh  IDLE W  ACTIVE Wh  IDLE SHARE\n"
      "burner, the  supervised    1h 58m     7.00    3.56      0.500        93 %\n"
      "chat         -                  -        -       -          -           -\n"
      "the machine: 20.0 Wh in 1h 59m, 10.1 W, 7.50 Wh idle services, 9.50 Wh floor, 0.500 Wh "
      "unattributed\n    idle for 1h at 6.00 W\n");
}

TEST(IdlePowerTextTest, SaysWhatTheModelEstimated) {
  Json report = Report();
  report["meter"] = "model";
  EXPECT_NE(Text(report, "service").find("6.00 W; estimated by the model\n"), std::string::npos);
  report["meter"] = "mixed";
  EXPECT_NE(Text(report, "hour").find("6.00 W; partly estimated by the model\n"),
            std::string::npos);
}

TEST(IdlePowerTextTest, WhatIsNotKnownOfTheMachineIsNotTold) {
  Json report = Report();
  for (auto& [name, value] : report["machine"].items()) value = nullptr;
  report["measured_seconds"] = nullptr;
  const std::string text = Text(report, "service");
  EXPECT_NE(text.find("\nthe machine: - Wh\n"), std::string::npos) << text;
}

TEST(IdlePowerTextTest, ByHourAndDayTellsTheMostIdleServiceOfEach) {
  const std::string hours = Text(Report(), "hour");
  EXPECT_TRUE(hours.starts_with(
      "START              WATTS  IDLE Wh  ACTIVE Wh  FLOOR Wh  UNATTRIBUTED Wh  MOST IDLE\n"
      "2026-11-20T03:00Z   20.0     7.50       2.50      9.50            0.500  burner, the (7.00 "
      "Wh)\n"
      "2026-11-20T04:00Z      -        -          -         -                -  -\n"
      "the machine: 20.0 Wh"))
      << hours;
  EXPECT_NE(Text(Report(), "day").find("\n2026-11-20   20.0"), std::string::npos);
}

TEST(IdlePowerTextTest, OfOneServiceOnlyItsRowsAreGiven) {
  const std::string service = Text(Report(), "service", "table", "chat");
  EXPECT_EQ(service.find("burner"), std::string::npos);
  EXPECT_NE(service.find("\nchat "), std::string::npos);
  const std::string hours = Text(Report(), "hour", "table", "burner, the");
  EXPECT_TRUE(
      hours.starts_with("START              IDLE Wh  ACTIVE Wh\n"
                        "2026-11-20T03:00Z     7.00      0.500\n"
                        "2026-11-20T04:00Z        -          -\n"))
      << hours;
  const Json json = Json::parse(Text(Report(), "service", "json", "chat"));
  EXPECT_EQ(json["services"].size(), 1u);
  EXPECT_EQ(json["recommendations"].size(), 1u);
  EXPECT_EQ(json["recommendations"][0]["kind"], "leak");
  EXPECT_TRUE(json["alerts"].empty());
  EXPECT_TRUE(json["buckets"][0]["services"].empty());
}

TEST(IdlePowerTextTest, CsvHasJoulesAndNothingForWhatIsNotKnown) {
  EXPECT_EQ(Text(Report(), "service", "csv"),
            "service,kind,idle_seconds,active_seconds,idle_joules,active_joules,idle_mean_watts,"
            "idle_share\n"
            "\"burner, the\",supervised,7080.0,60.0,25200.0,1800.0,3.559,0.9333\n"
            "chat,,,10.5,,,,\n");
  EXPECT_EQ(Text(Report(), "hour", "csv"),
            "start,joules,mean_watts,idle_joules,active_joules,floor_joules,unattributed_joules,"
            "most_idle_service,most_idle_joules\n"
            "2026-11-20T03:00:00.000Z,72000.0,20.0,27000.0,9000.0,34200.0,1800.0,\"burner, the\","
            "25200.0\n"
            "2026-11-20T04:00:00.000Z,,,,,,,,\n");
  EXPECT_EQ(Text(Report(), "day", "csv", "burner, the"),
            "start,service,idle_joules,active_joules\n"
            "2026-11-20T03:00:00.000Z,\"burner, the\",25200.0,1800.0\n"
            "2026-11-20T04:00:00.000Z,\"burner, the\",,\n");
}

TEST(IdlePowerTextTest, JsonIsTheWholeReport) {
  EXPECT_EQ(Json::parse(Text(Report(), "service", "json")), Report());
}

TEST(IdlePowerTextTest, NothingRecordedIsOneSentence) {
  Json report = Report();
  report["services"] = Json::array();
  report["buckets"] = Json::array();
  const std::string window =
      " is recorded from 2026-11-20T03:00:00.000Z to 2026-11-20T05:00:00.000Z\n";
  EXPECT_EQ(Text(report, "service"), "no energy and no idle time" + window);
  EXPECT_EQ(Text(report, "day"), "no energy and no idle time" + window);
  EXPECT_EQ(Text(Report(), "service", "table", "nobody"), "nothing of nobody" + window);
  EXPECT_EQ(Text(Report(), "hour", "table", "nobody"), "nothing of nobody" + window);
  EXPECT_EQ(Text(report, "hour", "csv"),
            "start,joules,mean_watts,idle_joules,active_joules,floor_joules,unattributed_joules,"
            "most_idle_service,most_idle_joules\n");
}

TEST(IdlePowerTextTest, NamesCannotMoveTheCursor) {
  Json report = Report();
  report["services"][0]["service"] = "evil\x1b[2J\n";
  report["buckets"][0]["services"][0]["service"] = "evil\x1b[2J\n";
  for (const char* by : {"service", "hour"}) {
    EXPECT_EQ(Text(report, by).find('\x1b'), std::string::npos);
    EXPECT_NE(Text(report, by).find("evil [2J"), std::string::npos);
  }
}

TEST(IdlePowerTextTest, AnotherAnswerIsRefused) {
  for (const char* answer : {"", "[]", "{}", R"({"services":[]})", R"({"services":1})",
                             R"({"services":[{}],"buckets":[]})"}) {
    for (const char* by : {"service", "hour"}) {
      const auto text = IdlePowerText(answer, {by, "", "table"});
      ASSERT_FALSE(text) << answer;
      EXPECT_EQ(text.error().code, ErrorCode::kParse);
    }
  }
  Json report = Report();
  report["services"][0].erase("idle_seconds");
  EXPECT_FALSE(IdlePowerText(report.dump(), {"service", "", "table"}));
  report = Report();
  report["buckets"][0]["services"][0].erase("idle_joules");
  EXPECT_FALSE(IdlePowerText(report.dump(), {"hour", "", "csv"}));
}

QueryIdlePowerArguments ArgumentsFor(const AnsweringServer& server, const std::string& by) {
  QueryIdlePowerArguments arguments;
  arguments.view.by = by;
  arguments.http = server.address();
  return arguments;
}

TEST(QueryIdlePowerTest, HoursAndDaysAreAskedForAsSteps) {
  const AnsweringServer server("/api/v1/idle", Report().dump());
  const auto step = [&](const std::string& by) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(QueryIdlePowerCommand(ArgumentsFor(server, by)), 0);
    EXPECT_NE(testing::internal::GetCapturedStdout(), "");
    return server.last_request().Query("step").value_or("");
  };
  EXPECT_EQ(step("service"), "");
  EXPECT_EQ(step("hour"), "1h");
  EXPECT_EQ(step("day"), "1d");
}

TEST(QueryIdlePowerTest, TooManyRowsNameWhatTheCommandTakes) {
  const AnsweringServer server("/api/v1/idle", Report().dump());
  const auto refused = [&](const std::string& by, const std::string& since) {
    QueryIdlePowerArguments arguments = ArgumentsFor(server, by);
    arguments.since = since;
    testing::internal::CaptureStderr();
    EXPECT_EQ(QueryIdlePowerCommand(arguments), 1);
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(refused("hour", "90d"),
            "idlewatt: --by hour: makes 2000 rows or more: ask for --by day or a shorter time\n");
  EXPECT_EQ(refused("day", "2000d"),
            "idlewatt: --by day: makes 2000 rows or more: ask for a shorter time\n");
}

TEST(QueryIdlePowerTest, AnEmptyWindowOfAFileIsRefused) {
  QueryIdlePowerArguments arguments;
  arguments.db = "/nonexistent";
  arguments.since = "now";
  testing::internal::CaptureStderr();
  EXPECT_EQ(QueryIdlePowerCommand(arguments), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "idlewatt: window: is empty: it ends when it begins\n");
}

TEST(QueryIdlePowerTest, WhatCannotBeWrittenIsAFailure) {
  const AnsweringServer server("/api/v1/idle", Report().dump());
  for (const char* format : {"table", "json", "csv"}) {
    QueryIdlePowerArguments arguments = ArgumentsFor(server, "service");
    arguments.view.format = format;
    EXPECT_EQ(WithFullOutput([&] { return QueryIdlePowerCommand(arguments); }), 1) << format;
  }
}

}  // namespace
}  // namespace idlewatt
