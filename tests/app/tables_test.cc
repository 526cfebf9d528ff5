#include "app/tables.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

TEST(TextTableTest, AlignsColumnsByTheirWidestCell) {
  TextTable table({"NAME", "WATTS>"});
  table.Add({"größer", "1.5"});
  table.Add({"b", "12.25"});
  EXPECT_EQ(table.ToString(),
            "NAME    WATTS\n"
            "größer    1.5\n"
            "b       12.25\n");
}

TEST(SensorsTableTest, SaysWhyAndWhatWouldHelp) {
  SourceStatus refused{"rapl", "energy", Error{ErrorCode::kPermission, "energy_uj", 13, ""},
                       "run as root"};
  const std::string table = SensorsTable({refused});
  EXPECT_NE(table.find("permission: energy_uj: Permission denied"), std::string::npos) << table;
  EXPECT_NE(table.find("run as root"), std::string::npos);
}

TEST(StatusTableTest, ShowsUnknownAsADash) {
  const auto table = StatusTable(
      R"({"services":[{"name":"a","kind":"supervised","state":"ready","pid":7,"port":null,
          "cpu_percent":null,"memory_bytes":1048576,"watts":null,"idle":true,"idle_seconds":65.2,
          "last_exit":null,"failure":null}]})",
      R"({"alerts":[]})");
  ASSERT_TRUE(table) << table.error().ToString();
  EXPECT_NE(
      table->find("a     supervised  ready    7     -      -         1.0      -       1m 5s  -"),
      std::string::npos)
      << *table;
}

TEST(StatusTableTest, AnAnswerOfAnotherProgramIsAnErrorNotACrash) {
  for (const char* body : {"", "[]", "{}", "<html>", R"({"services":5})",
                           R"({"services":[{"idle":[]}]})", R"({"services":[7]})"}) {
    const auto table = StatusTable(body, R"({"alerts":[]})");
    ASSERT_FALSE(table) << body;
    EXPECT_EQ(table.error().code, ErrorCode::kParse) << body;
  }
}

TEST(RangeTextTest, GivesTableAndCsv) {
  const std::string answer =
      R"({"series":[{"metric":"m","labels":{"a":"x"},"points":[[1.5,2.0],[2.0,-0.5]]}]})";
  EXPECT_EQ(*RangeText(answer, "table"),
            "m{a=\"x\"}\n"
            "  1970-01-01T00:00:01.500Z  2.0\n"
            "  1970-01-01T00:00:02.000Z  -0.5\n");
  EXPECT_EQ(*RangeText(answer, "csv"),
            "series,time,value\n"
            "\"m{a=\"\"x\"\"}\",1970-01-01T00:00:01.500Z,2.0\n"
            "\"m{a=\"\"x\"\"}\",1970-01-01T00:00:02.000Z,-0.5\n");
}

TEST(RangeTextTest, AnAnswerOfAnotherProgramIsAnErrorNotACrash) {
  for (const char* body : {"", "7", "{}", R"({"series":7})", R"({"series":[7]})",
                           R"({"series":[{"metric":"m","labels":{},"points":[[]]}]})",
                           R"({"series":[{"metric":"m","labels":{},"points":[["x",1]]}]})"}) {
    EXPECT_FALSE(RangeText(body, "table")) << body;
  }
}

TEST(RangeTextTest, SaysThatNothingIsThere) {
  EXPECT_EQ(*RangeText(R"({"series":[]})", "table"), "no values in this range\n");
}

}  // namespace
}  // namespace idlewatt
