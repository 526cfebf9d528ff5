#include "app/idle_answer.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/app/idle_report_samples.h"

namespace idlewatt {
namespace {

IdleAnswer Parsed(const SampleJson& json) {
  auto report = IdleAnswer::Parse(json.dump());
  EXPECT_TRUE(report) << report.error().ToString();
  return report ? *report : IdleAnswer();
}
// What is said of the rich answer after `change`.
std::string Refusal(const std::function<void(SampleJson&)>& change) {
  SampleJson json = RichIdleJson();
  change(json);
  const auto report = IdleAnswer::Parse(json.dump());
  if (report) return "none";
  EXPECT_EQ(report.error().code, ErrorCode::kParse);
  return report.error().text;
}

TEST(IdleAnswerTest, HoldsWhatTheAnswerSays) {
  const IdleAnswer report = Parsed(RichIdleJson());
  EXPECT_EQ(report.basis, IdleAnswer::Basis::kMeter);
  EXPECT_EQ(report.services.size(), 8U);
  EXPECT_EQ(report.services[0].name, "llama-70b");
  EXPECT_EQ(report.services[0].components.at(0).name, "gpu");
  EXPECT_EQ(report.services[0].components[0].idle_joules, report.services[0].idle_joules);
  EXPECT_EQ(report.buckets.size(), 44U);
  EXPECT_EQ(report.step, std::chrono::hours(1));
  EXPECT_EQ(report.recommendations.size(), 6U);
  EXPECT_EQ(report.recommendations[3].saves_joules, std::nullopt);
  EXPECT_EQ(report.alerts.size(), 3U);
  EXPECT_NEAR(*report.Coverage(), 43.0 / 48, 1e-9);
  EXPECT_EQ(report.IdleJoules(), report.machine.service_idle_joules);
}

TEST(IdleAnswerTest, WhatIsNotKnownIsNothingAndNotZero) {
  const IdleAnswer report = Parsed(UnknownIdleJson());
  EXPECT_EQ(report.basis, IdleAnswer::Basis::kUnknown);
  EXPECT_FALSE(report.KnowsEnergy());
  EXPECT_EQ(report.machine.joules, std::nullopt);
  EXPECT_EQ(report.services[0].idle_joules, std::nullopt);
  EXPECT_TRUE(report.services[0].components.empty());
  EXPECT_EQ(report.services[0].name, "comfyui") << "then it is how long they were idle that counts";
}

TEST(IdleAnswerTest, AnAnswerOfAnotherProgramIsAnErrorNotACrash) {
  for (const char* body : {"", "[]", "{}", "<html>", "null", R"({"since":5})",
                           R"({"services":[7]})", R"({"series":[]})"}) {
    const auto report = IdleAnswer::Parse(body);
    ASSERT_FALSE(report) << body;
    EXPECT_EQ(report.error().code, ErrorCode::kParse) << body;
    EXPECT_NE(report.error().text.find("not what this version expects"), std::string::npos);
  }
}

TEST(IdleAnswerTest, AWrongValueIsNamed) {
  EXPECT_EQ(Refusal([](SampleJson&) {}), "none");
  const std::string begin = "the daemon's answer is not what this version expects (";
  EXPECT_EQ(Refusal([](SampleJson& json) { json.erase("machine"); }),
            begin + "machine is missing)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["machine"]["joules"] = "12"; }),
            begin + "joules is not a number)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["machine"]["joules"] = true; }),
            begin + "joules is not a number)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["services"][2]["idle_joules"] = -5; }),
            begin + "idle_joules is out of range)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["machine"]["joules"] = 1e30; }),
            begin + "joules is out of range)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["services"] = "none"; }),
            begin + "services is not a list)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["services"][0]["service"] = 7; }),
            begin + "service is not a text)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["services"][0]["components"] = 7; }),
            begin + "components is not an object)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["since"] = "24h"; }),
            begin + "since is not a time)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["until"] = json["since"]; }),
            begin + "until is not after since)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["since"] = "0001-01-01"; }),
            begin + "until is out of range)");
  EXPECT_EQ(Refusal([](SampleJson& json) { json["step_seconds"] = 0; }),
            begin + "step_seconds is out of range)");
}

TEST(IdleAnswerTest, RoundingBelowZeroIsZero) {
  SampleJson json = RichIdleJson();
  json["machine"]["unattributed_joules"] = -1e-9;
  EXPECT_EQ(Parsed(json).machine.unattributed_joules, 0.0);
}

TEST(IdleAnswerTest, TextsAreOnOneLineAndSteerNothing) {
  const auto report = IdleAnswer::Parse(HostileIdleAnswer());
  ASSERT_TRUE(report) << report.error().ToString();
  const std::string& name = report->services[0].name;
  for (const char c : name) EXPECT_GE(static_cast<unsigned char>(c), ' ');
  EXPECT_EQ(name.find("\xE2\x80\xAE"), std::string::npos);
  EXPECT_EQ(name.find("\xC2\x9B"), std::string::npos);
  EXPECT_NE(name.find("<script"), std::string::npos) << "markup is for the page to escape";
  EXPECT_EQ(report->services[1].name, "not UTF-8:  \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(IdleAnswerTest, TextsOfAllLanguagesStayAsTheyAre) {
  SampleJson json = RichIdleJson();
  const std::string name = "größe 日本語 \xF0\x9F\x94\xA5 עברית";
  json["services"][0]["service"] = name;
  EXPECT_EQ(Parsed(json).services[0].name, name);
}

TEST(IdleAnswerTest, AYearIsProjectedFromAnHourOrMore) {
  SampleJson json = RichIdleJson();
  json["measured_seconds"] = 3600;
  EXPECT_NEAR(*Parsed(json).TimesAYear(), 8760, 1e-6);
  json["measured_seconds"] = 3599;
  EXPECT_EQ(Parsed(json).TimesAYear(), std::nullopt);
  json["measured_seconds"] = nullptr;
  EXPECT_EQ(Parsed(json).TimesAYear(), std::nullopt);
}

TEST(IdleAnswerTest, IdleEnergyIsTheSumOfTheServicesWhereNoSumIsTold) {
  SampleJson json = RichIdleJson();
  const double sum = json["machine"]["service_idle_joules"];
  json["machine"]["service_idle_joules"] = nullptr;
  EXPECT_NEAR(*Parsed(json).IdleJoules(), sum, 1e-3);
}

}  // namespace
}  // namespace idlewatt
