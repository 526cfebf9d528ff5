#include "app/tables.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"

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
  refused.period = std::chrono::seconds(5);
  refused.cost = std::chrono::microseconds(1234);
  SourceStatus read{"thermal_zone", "2 thermal zones", std::nullopt, {}};
  read.period = std::chrono::seconds(15);
  read.cost = std::chrono::microseconds(80);
  read.age = std::chrono::seconds(65);
  const SourceStatus derived{"model", "power", std::nullopt, {}};
  EXPECT_EQ(SensorsTable({refused, read, derived}),
            "SOURCE        STATE       EVERY    COST    AGE  GIVES\n"
            "rapl          permission     5s  1.2 ms      -  energy\n"
            "    why:    energy_uj: Permission denied\n"
            "    remedy: run as root\n"
            "thermal_zone  ok            15s   80 us  1m 5s  2 thermal zones\n"
            "model         ok              -       -      -  power\n"
            "COST is that of one read of all sources of a sampler together, AGE that of the last "
            "good one.\n");
}

TEST(SensorsTableTest, FitsATerminalOf120Columns) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "größe ";
  const SourceStatus refused{"hwmon:nvme-pci-0300/temp1", text,
                             Error{ErrorCode::kTransient, text, 0, text}, text};
  const std::string table = SensorsTable({refused});
  size_t lines = 0;
  for (const std::string_view line : Split(table, '\n')) {
    const auto letters = std::count_if(line.begin(), line.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    });
    EXPECT_LE(letters, 120) << line;
    ++lines;
  }
  EXPECT_GT(lines, 20U);
  // A word that is longer than a line stays whole: it may be a command or a path.
  const std::string path(200, 'x');
  const SourceStatus odd{"a", "b", Error{ErrorCode::kGone, path, 0, "is gone"}, {}};
  EXPECT_NE(SensorsTable({odd}).find(path + ":"), std::string::npos);
}

TEST(SensorsTableTest, WithoutSourcesThereIsTheHead) {
  EXPECT_EQ(SensorsTable({}).find("SOURCE"), 0U);
}

TEST(TextTableTest, CutsTheWidestColumnsThatMayBeCut) {
  TextTable table({"A", "LONG", "LONGER", "N>"});
  table.Add({"x", "0123456789", "äöü0123456789", "7"});
  TextTable fitting = table;
  fitting.Fit(37, {"LONG", "LONGER"});
  EXPECT_EQ(fitting.ToString(), table.ToString()) << "it is no wider than 31";
  fitting.Fit(24, {"LONG", "LONGER"});
  EXPECT_EQ(fitting.ToString(),
            "A  LONG      LONGER    N\n"
            "x  0123456…  äöü0123…  7\n");
  table.Fit(5, {"LONG"});
  EXPECT_EQ(table.ToString(),
            "A  LONG      LONGER         N\n"
            "x  0123456…  äöü0123456789  7\n")
      << "nothing becomes narrower than 8";
}

TEST(TextTableTest, LeavesOutColumnsWithoutValues) {
  TextTable table({"A", "B", "C>", "D"});
  table.Add({"-", "-", "1", "-"});
  table.Add({"-", "-", "-", "-"});
  table.DropEmpty("-");
  EXPECT_EQ(table.ToString(), "A  C\n-  1\n-  -\n");
}

TEST(ShortenedTest, CountsSignsAndCutsBetweenThem) {
  EXPECT_EQ(Shortened("äöü", 3), "äöü");
  EXPECT_EQ(Shortened("äöü", 2), "ä…");
  EXPECT_EQ(Shortened("äöü", 1), "…");
  EXPECT_EQ(Shortened("äöü", 0), "");
}

TEST(PrintableTest, NothingMovesTheCursor) {
  EXPECT_EQ(Printable("a\x1b[2Jb\r\nc\x7f\xff"), "a [2Jb  c \xEF\xBF\xBD");
  // An escape sequence begun by one sign, an end of line, and text turned around.
  EXPECT_EQ(Printable("a\u009b2Jb\u0085c\u2028d\u202Ee\u2066f\u200Fg\u061Ch"), "a 2Jb c d e f g h");
  EXPECT_EQ(Printable("ä é “日本” \u00A0\u2026 \u2070"), "ä é “日本” \u00A0\u2026 \u2070");
}

TEST(RangeTextTest, GivesTableAndCsv) {
  const std::string answer =
      R"({"series":[{"metric":"m","labels":{"a":"x"},"points":[[1.5,2.0],[2.0,-0.5]]}]})";
  EXPECT_EQ(*RangeText("table").Answer(answer),
            "m{a=\"x\"}\n"
            "  1970-01-01T00:00:01.500Z  2.0\n"
            "  1970-01-01T00:00:02.000Z  -0.5\n");
  EXPECT_EQ(*RangeText("csv").Answer(answer),
            "series,time,value\n"
            "\"m{a=\"\"x\"\"}\",1970-01-01T00:00:01.500Z,2.0\n"
            "\"m{a=\"\"x\"\"}\",1970-01-01T00:00:02.000Z,-0.5\n");
}

TEST(RangeTextTest, AnAnswerOfAnotherProgramIsAnErrorNotACrash) {
  for (const char* body : {"", "7", "{}", R"({"series":7})", R"({"series":[7]})",
                           R"({"series":[{"metric":"m","labels":{},"points":[[]]}]})",
                           R"({"series":[{"metric":"m","labels":{},"points":[["x",1]]}]})"}) {
    EXPECT_FALSE(RangeText("table").Answer(body)) << body;
  }
}

TEST(RangeTextTest, SaysThatNothingIsThere) {
  EXPECT_EQ(*RangeText("table").Answer(R"({"series":[]})"), "no values in this range\n");
}

TEST(SeriesTextTest, GivesTableAndCsv) {
  const std::string answer = R"({"damaged_rows":0,"series":[
    {"metric":"a_total","labels":{"x":"y","z":"w"},"kind":"counter","unit":"joules",
     "first":"2023-11-14T22:13:20.000Z","last":"2023-11-14T22:13:30.500Z","samples":3},
    {"metric":"b","labels":{},"kind":"gauge","unit":"","first":null,"last":null,"samples":0}]})";
  EXPECT_EQ(
      *SeriesText(answer, "table"),
      "SERIES                KIND     UNIT    FIRST                     LAST                      "
      "SAMPLES\n"
      "a_total{x=\"y\",z=\"w\"}  counter  joules  2023-11-14T22:13:20.000Z  "
      "2023-11-14T22:13:30.500Z        3\n"
      "b                     gauge            -                         -                         "
      "      0\n");
  EXPECT_EQ(*SeriesText(answer, "csv"),
            "series,kind,unit,first,last,samples\n"
            "\"a_total{x=\"\"y\"\",z=\"\"w\"\"}\",counter,joules,2023-11-14T22:13:20.000Z,"
            "2023-11-14T22:13:30.500Z,3\n"
            "b,gauge,,,,0\n");
  EXPECT_EQ(*SeriesText(R"({"series":[]})", "table"), "no series\n");
  for (const char* body : {"", "[]", "{}", R"({"series":1})", R"({"series":[{}]})",
                           R"({"series":[{"metric":1,"labels":[],"kind":2}]})"}) {
    EXPECT_FALSE(SeriesText(body, "table")) << body;
  }
}

}  // namespace
}  // namespace idlewatt
