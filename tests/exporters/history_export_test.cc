#include "exporters/history_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "storage/openmetrics_reader.h"

namespace idlewatt {
namespace {

using enum MetricKind;

StoredSeries SeriesOf(int64_t id, const std::string& metric, Labels labels = {},
                      MetricKind kind = kGauge, const std::string& unit = "") {
  return {id, {metric, std::move(labels)}, kind, unit};
}

using Content = std::vector<std::pair<StoredSeries, std::vector<Point>>>;

std::string Export(ExportFormat format, const std::vector<MetricFamily>& families,
                   const Content& content) {
  std::string text;
  HistoryExport out(format, families, [&text](std::string_view piece) -> Result<void> {
    text += piece;
    return {};
  });
  std::vector<StoredSeries> order;
  for (const auto& [series, points] : content) order.push_back(series);
  out.Sort(order);
  for (const StoredSeries& series : order) {
    for (const auto& [candidate, points] : content) {
      if (candidate.id != series.id) continue;
      EXPECT_TRUE(out.Add(series, points).ok());
    }
  }
  EXPECT_TRUE(out.Finish().ok());
  return text;
}

// Takes an export apart again.
class Kept final : public OpenMetricsSink {
 public:
  void OnFamily(const MetricFamily& family) override { families.push_back(family); }
  size_t OnSeries(const SeriesName& name, MetricKind kind, const std::string& unit) override {
    content.push_back({{0, name, kind, unit}, {}});
    return content.size() - 1;
  }
  Result<void> OnSample(size_t series, int64_t time_ms, double value) override {
    content[series].second.push_back({time_ms, value});
    return {};
  }
  std::vector<MetricFamily> families;
  Content content;
};

TEST(HistoryExportTest, WritesOpenMetricsWithWhatIsKnownOfFamilies) {
  const std::vector<MetricFamily> families = {
      {"a_joules", "counter", "joules", "Energy, \"all\" of it\nand \\ more"},
      {"b", "gauge", "celsius", ""},  // the name does not end so: OpenMetrics has no place for it
      {"c_seconds", "histogram", "seconds", "Time"},
      {"unused", "gauge", "", "Nothing"},
  };
  const Content content = {
      {SeriesOf(7, "c_seconds_sum", {}, kCounter), {{1000, 0.25}}},
      {SeriesOf(1, "a_joules_total", {{"source", "rapl"}, {"zone", "a\"\\\n"}}, kCounter),
       {{1'700'000'000'000, 1}, {1'700'000'000'500, 1.5}, {1'700'000'000'507, 2}}},
      {SeriesOf(2, "b"), {{-1500, -0.0}, {0, 3e-5}}},
      {SeriesOf(3, "c_seconds_bucket", {{"le", "+Inf"}}, kCounter), {{1000, 2}}},
      {SeriesOf(4, "c_seconds_bytes"), {{1000, 9}}},
      {SeriesOf(5, "c_seconds_count", {}, kCounter), {{1000, 2}}},
      {SeriesOf(6, "d_total", {}, kGauge), {{1000, 100000}}},
      {SeriesOf(8, "e_empty"), {}},
      {SeriesOf(9, "f_watts_total", {}, kCounter, "watts"), {{1000, 1}}},
  };
  EXPECT_EQ(Export(ExportFormat::kOpenMetrics, families, content),
            R"(# TYPE a_joules counter
# UNIT a_joules joules
# HELP a_joules Energy, \"all\" of it\nand \\ more
a_joules_total{source="rapl",zone="a\"\\\n"} 1 1700000000
a_joules_total{source="rapl",zone="a\"\\\n"} 1.5 1700000000.5
a_joules_total{source="rapl",zone="a\"\\\n"} 2 1700000000.507
# TYPE b gauge
b -0 -1.5
b 3e-05 0
# TYPE c_seconds histogram
# UNIT c_seconds seconds
# HELP c_seconds Time
c_seconds_bucket{le="+Inf"} 2 1
c_seconds_count 2 1
c_seconds_sum 0.25 1
c_seconds_bytes 9 1
# TYPE d_total gauge
d_total 100000 1
# TYPE f_watts counter
# UNIT f_watts watts
f_watts_total 1 1
# EOF
)");
}

TEST(HistoryExportTest, WritesCsv) {
  EXPECT_EQ(Export(ExportFormat::kCsv, {},
                   {{SeriesOf(1, "a"), {{1'764'000'000'250, 1.5}}},
                    {SeriesOf(2, "b", {{"x", "1,\"2\"\n"}}),
                     {{0, std::numeric_limits<double>::quiet_NaN()},
                      {1, -std::numeric_limits<double>::infinity()}}}}),
            "metric,labels,time,time_ms,value\n"
            "a,{},2025-11-24T16:00:00.250Z,1764000000250,1.5\n"
            "b,\"{\"\"x\"\":\"\"1,\\\"\"2\\\"\"\\n\"\"}\",1970-01-01T00:00:00.000Z,0,NaN\n"
            "b,\"{\"\"x\"\":\"\"1,\\\"\"2\\\"\"\\n\"\"}\",1970-01-01T00:00:00.001Z,1,-Inf\n");
}

TEST(HistoryExportTest, WritesOneJsonObjectALine) {
  const std::string text =
      Export(ExportFormat::kJsonLines, {},
             {{SeriesOf(1, "a", {{"x", "\"\n"}, {"y", "z"}}),
               {{1'764'000'000'250, 1e300},
                {1'764'000'000'251, -0.0},
                {1'764'000'000'252, std::numeric_limits<double>::infinity()},
                {1'764'000'000'253, -std::numeric_limits<double>::infinity()},
                {1'764'000'000'254, std::numeric_limits<double>::quiet_NaN()}}}});
  EXPECT_TRUE(text.starts_with(
      R"({"metric":"a","labels":{"x":"\"\n","y":"z"},"time_ms":1764000000250,"value":1e+300})"
      "\n"))
      << text;
  std::vector<nlohmann::json> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    values.push_back(nlohmann::json::parse(line).at("value"));
  }
  ASSERT_EQ(values.size(), 5);
  EXPECT_TRUE(std::signbit(values[1].get<double>()));
  EXPECT_EQ(values[2], "+Inf");
  EXPECT_EQ(values[3], "-Inf");
  EXPECT_EQ(values[4], "NaN");
}

TEST(HistoryExportTest, AnEmptyHistoryIsStillAFile) {
  EXPECT_EQ(Export(ExportFormat::kOpenMetrics, {}, {}), "# EOF\n");
  EXPECT_EQ(Export(ExportFormat::kCsv, {}, {}), "metric,labels,time,time_ms,value\n");
  EXPECT_EQ(Export(ExportFormat::kJsonLines, {}, {}), "");
}

TEST(HistoryExportTest, ValuesAreWrittenAsPeopleDo) {
  std::vector<Point> points;
  for (const double value : {1e15, 1e16, 123456789.0, 0.1, 1e-4, 1e-5, -2.5e-7, 1e22, 0.3 - 0.1,
                             5e-324, 1.7976931348623157e308}) {
    points.push_back({0, value});
  }
  const std::string text = Export(ExportFormat::kOpenMetrics, {}, {{SeriesOf(1, "m"), points}});
  EXPECT_EQ(text,
            "m 1000000000000000 0\nm 1e+16 0\nm 123456789 0\nm 0.1 0\nm 0.0001 0\nm 1e-05 0\n"
            "m -2.5e-07 0\nm 1e+22 0\nm 0.19999999999999998 0\nm 5e-324 0\n"
            "m 1.7976931348623157e+308 0\n# EOF\n");
}

// Families, series, times and values, all of them odd.
TEST(HistoryExportTest, WhatIsReadBackIsTheSameToTheBit) {
  std::mt19937_64 random(11);
  std::vector<Point> points;
  while (points.size() < 200'000) {
    const auto value = std::bit_cast<double>(random());
    if (std::isnan(value)) continue;
    points.push_back({static_cast<int64_t>(random() % 300'000'000'000'000) - 60'000'000'000'000,
                      points.size() % 2 == 0 ? value : std::round(value * 1e3) / 1e3});
    if (points.back().time_ms > 253'402'300'799'999) points.pop_back();
  }
  const std::vector<MetricFamily> families = {
      {"a_seconds", "counter", "seconds", "A \"help\"\n\\n"},
      {"b", "unknown", "", " two blanks"},
      {"c", "summary", "", ""}};
  const Content content = {
      {SeriesOf(0, "a_seconds_total", {{"empty", ""}, {"x", "\\n\n\"}{"}}, kCounter, "seconds"),
       points},
      {SeriesOf(0, "b", {{"x", "\xC3\xBC"}}, kGauge), {{1, 1}}},
      {SeriesOf(0, "c_sum", {}, kCounter), {{1, 1}, {1, 2}}},
      {SeriesOf(0, "c_count", {}, kGauge), {{1, 1}}},  // not those of the summary
      {SeriesOf(0, "c_created", {}, kCounter), {{1, 1}}},
      {SeriesOf(0, "d_count", {}, kCounter), {{1, 1}}},  // a counter though not by its name
      {SeriesOf(0, "e_total", {}, kCounter), {{1, 1}}},
      {SeriesOf(0, "f_total", {}, kGauge), {{1, 1}}},
  };
  Content numbered = content;
  for (size_t i = 0; i < numbered.size(); ++i) {
    numbered[i].first.id = static_cast<int64_t>(numbered.size() - i);
  }
  const std::string text = Export(ExportFormat::kOpenMetrics, families, numbered);
  Kept kept;
  OpenMetricsReader reader(kept);
  ASSERT_TRUE(reader.Read(text).ok());
  reader.Finish();
  EXPECT_EQ(reader.report().refused, 0);
  ASSERT_EQ(kept.content.size(), content.size());
  for (size_t i = 0; i < content.size(); ++i) {
    const auto& [series, read] = kept.content[i];
    EXPECT_EQ(series.name, content[i].first.name);
    EXPECT_EQ(series.kind, content[i].first.kind) << series.name.metric;
    EXPECT_EQ(series.unit, content[i].first.unit) << series.name.metric;
    ASSERT_EQ(read.size(), content[i].second.size());
    for (size_t at = 0; at < read.size(); ++at) {
      const Point& wanted = content[i].second[at];
      ASSERT_EQ(read[at].time_ms, wanted.time_ms);
      ASSERT_EQ(std::bit_cast<uint64_t>(read[at].value), std::bit_cast<uint64_t>(wanted.value));
    }
  }
  for (size_t i = 0; i < families.size(); ++i) {
    EXPECT_EQ(kept.families[i].name, families[i].name);
    EXPECT_EQ(kept.families[i].type, families[i].type);
    EXPECT_EQ(kept.families[i].unit, families[i].unit);
    EXPECT_EQ(kept.families[i].help, families[i].help);
  }
}

TEST(HistoryExportTest, TheTextLeavesInPiecesAndAnErrorOfTheWriterEndsIt) {
  size_t pieces = 0;
  size_t largest = 0;
  HistoryExport out(ExportFormat::kOpenMetrics, {}, [&](std::string_view piece) -> Result<void> {
    largest = std::max(largest, piece.size());
    if (++pieces == 4) return Error{ErrorCode::kTransient, "disk", 0, "full"};
    return {};
  });
  const std::vector<Point> points(1'000'000, Point{1'700'000'000'123, 1.0 / 3});
  const Result<void> added = out.Add(SeriesOf(1, "m"), points);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().text, "full");
  EXPECT_EQ(pieces, 4);
  EXPECT_LT(largest, 300'000);
}

}  // namespace
}  // namespace idlewatt
