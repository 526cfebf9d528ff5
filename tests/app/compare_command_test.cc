#include "app/compare_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/support/answering_server.h"
#include "tests/support/full_output.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json RowOf(const Json& service, const std::string& quantity, const std::string& unit) {
  return {{"service", service},
          {"quantity", quantity},
          {"unit", unit},
          {"before", nullptr},
          {"after", nullptr},
          {"difference", nullptr},
          {"low", nullptr},
          {"high", nullptr},
          {"relative", nullptr},
          {"verdict", "too little data"},
          {"samples", {{"before", 0}, {"after", 0}}}};
}

Json PowerThatFell(const Json& service = nullptr) {
  Json row = RowOf(service, "power", "W");
  row.update({{"before", 14.1},
              {"after", 11.0},
              {"difference", -3.1},
              {"low", -3.42},
              {"high", -2.78},
              {"relative", -3.1 / 14.1},
              {"verdict", "less"},
              {"samples", {{"before", 1440}, {"after", 1439}}}});
  return row;
}

Json AnswerOf(const std::vector<Json>& rows, const Json& service = nullptr) {
  Json answer{{"before",
               {{"since", "2026-11-19T00:00:00.000Z"},
                {"until", "2026-11-20T00:00:00.000Z"},
                {"seconds", 86400.0},
                {"step_seconds", 60.0},
                {"measured", 1.0}}},
              {"after",
               {{"since", "2026-11-20T00:00:00.000Z"},
                {"until", "2026-11-20T12:00:00.000Z"},
                {"seconds", 43200.0},
                {"step_seconds", 60.0},
                {"measured", 0.984}}},
              {"service", service},
              {"note", nullptr},
              {"damaged_rows", 0},
              {"rows", rows}};
  return answer;
}

std::string Table(const Json& answer) {
  const Result<std::string> text = CompareText(answer.dump(), "table");
  EXPECT_TRUE(text) << text.error().ToString();
  return text.value_or("");
}

// The last line.
std::string SentenceOf(const Json& answer) {
  const std::string table = Table(answer);
  return std::string(Split(table, '\n').back());
}

TEST(CompareTextTest, TellsTheWindowsTheRowsAndWhatCameOfIt) {
  Json energy = PowerThatFell();
  energy.update({{"quantity", "energy"},
                 {"unit", "Wh/day"},
                 {"before", 338.4},
                 {"after", 264.0},
                 {"difference", -74.4},
                 {"low", -82.1},
                 {"high", -66.7},
                 {"watt_hours", {{"before", 338.4}, {"after", 129.9}}}});
  Json memory = RowOf("llama", "memory", "bytes");
  memory.update({{"before", 2e9},
                 {"after", 2.1e9},
                 {"difference", 1e8},
                 {"low", -3e7},
                 {"high", 2.3e8},
                 {"relative", 0.05},
                 {"verdict", "no difference shown"},
                 {"samples", {{"before", 60}, {"after", 60}}}});
  EXPECT_EQ(
      Table(AnswerOf({PowerThatFell(), energy, memory})),
      "before  2026-11-19T00:00:00.000Z to 2026-11-20T00:00:00.000Z, 1d, 100 % of it measured\n"
      "after   2026-11-20T00:00:00.000Z to 2026-11-20T12:00:00.000Z, 12h, 98 % of it measured\n"
      "\n"
      "OF       QUANTITY  UNIT    BEFORE  AFTER  DIFFERENCE  95 % INTERVAL  RELATIVE     SAMPLES"
      "  VERDICT\n"
      "machine  power     W         14.1   11.0        -3.1   -3.4 to -2.8     -22 %  1440, 1439"
      "  less\n"
      "machine  energy    Wh/day     338    264         -74     -82 to -67     -22 %  1440, 1439"
      "  less\n"
      "llama    memory    MiB       1907   2003          95     -29 to 219    +5.0 %      60, 60"
      "  no difference shown\n"
      "\n"
      "machine: 338.4 Wh measured before, 129.9 Wh after\n"
      "The machine drew 3.1 W less (95 % interval 2.8 to 3.4 W, -22 %).\n");
}

TEST(CompareTextTest, TheLastSentenceSaysMore) {
  Json row = PowerThatFell();
  row.update({{"difference", 3.1}, {"low", 2.78}, {"high", 3.42}, {"relative", 0.22}});
  row["verdict"] = "more";
  EXPECT_EQ(SentenceOf(AnswerOf({row})),
            "The machine drew 3.1 W more (95 % interval 2.8 to 3.4 W, +22 %).");
}

TEST(CompareTextTest, TheLastSentenceIsAboutTheServiceThatWasAskedFor) {
  EXPECT_EQ(SentenceOf(AnswerOf({RowOf(nullptr, "power", "W"), PowerThatFell("llama")}, "llama")),
            "llama drew 3.1 W less (95 % interval 2.8 to 3.4 W, -22 %).");
}

TEST(CompareTextTest, WithoutPowerTheLastSentenceIsAboutCpu) {
  Json cpu = PowerThatFell();
  cpu.update({{"quantity", "CPU"}, {"unit", "CPUs"}});
  EXPECT_EQ(SentenceOf(AnswerOf({RowOf(nullptr, "power", "W"), cpu})),
            "The machine used 3.1 CPUs less (95 % interval 2.8 to 3.4 CPUs, -22 %).");
}

TEST(CompareTextTest, NoDifferenceTellsHowGreatItMayBe) {
  Json row = PowerThatFell();
  row.update({{"difference", 0.2}, {"low", -0.9}, {"high", 1.3}, {"relative", 0.014}});
  row["verdict"] = "no difference shown";
  EXPECT_EQ(SentenceOf(AnswerOf({row})),
            "No difference shown: the machine drew between 0.9 W less and 1.3 W more.");
  row.update({{"difference", 0.0}, {"low", -0.0}, {"high", 0.0}});
  EXPECT_EQ(SentenceOf(AnswerOf({row})),
            "No difference shown: the machine drew between 0.000 W less and 0.000 W more.");
}

TEST(CompareTextTest, TooLittleDataSaysWhatHelps) {
  Json row = RowOf(nullptr, "power", "W");
  row.update({{"before", 14.123}, {"after", 11.0}, {"difference", -3.123}, {"relative", -0.22}});
  row["samples"] = {{"before", 3}, {"after", 40}};
  const Json answer = AnswerOf({row});
  EXPECT_EQ(SentenceOf(answer),
            "Too little data to say whether the machine drew more or less (3 samples before, 40 "
            "after): take longer windows.");
  EXPECT_THAT(Table(answer), HasSubstr("14.1   11.0        -3.1              -     -22 %"));
}

TEST(CompareTextTest, NotesAndDamageAreTold) {
  Json answer = AnswerOf({PowerThatFell()});
  answer["note"] = "The windows overlap.";
  answer["damaged_rows"] = 3;
  EXPECT_THAT(Table(answer), HasSubstr("\nThe windows overlap.\n3 damaged rows of the history were "
                                       "skipped.\nThe machine drew"));
}

TEST(CompareTextTest, ANameDoesNotMoveTheCursor) {
  EXPECT_THAT(SentenceOf(AnswerOf({PowerThatFell("a\x1b[2Jb")}, "a\x1b[2Jb")),
              StartsWith("a [2Jb drew"));
}

TEST(CompareTextTest, JsonIsPassedOn) {
  const Json answer = AnswerOf({PowerThatFell()});
  EXPECT_EQ(CompareText(answer.dump(), "json").value(), answer.dump(2) + "\n");
}

TEST(CompareCommandTest, WhatCannotBeWrittenIsAFailure) {
  const AnsweringServer server("/api/v1/compare", AnswerOf({PowerThatFell()}).dump());
  const CompareArguments arguments{"2h..1h", "1h..now", "", server.address(), ""};
  for (const char* format : {"table", "json"}) {
    CompareArguments one = arguments;
    one.format = format;
    EXPECT_EQ(WithFullOutput([&] { return CompareCommand(one); }), 1) << format;
  }
}

TEST(CompareTextTest, AnythingElseIsRefused) {
  for (const char* body : {"", "[]", "{}", R"({"rows":[{}]})", R"({"rows":3})"}) {
    const Result<std::string> text = CompareText(body, "table");
    ASSERT_FALSE(text.ok()) << body;
    EXPECT_EQ(text.error().code, ErrorCode::kParse);
  }
}

}  // namespace
}  // namespace idlewatt
