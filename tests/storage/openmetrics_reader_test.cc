#include "storage/openmetrics_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Keeps what it is given, as lines of text that are easily compared.
class RecordingSink final : public OpenMetricsSink {
 public:
  void OnFamily(const MetricFamily& family) override {
    families.push_back(family.name + "|" + family.type + "|" + family.unit + "|" + family.help);
  }
  size_t OnSeries(const SeriesName& name, MetricKind kind, const std::string& unit) override {
    ++asked;
    const auto [entry, added] = handles.try_emplace(name, handles.size());
    if (added) {
      series.push_back(name.metric + LabelsToJson(name.labels) +
                       (kind == MetricKind::kCounter ? "counter" : "gauge") +
                       (unit.empty() ? "" : "/" + unit));
    }
    return entry->second;
  }
  Result<void> OnSample(size_t handle, int64_t time_ms, double value) override {
    if (fails) return Error{ErrorCode::kTransient, "disk", 0, "full"};
    EXPECT_LT(handle, series.size());
    samples.push_back({handle, {time_ms, value}});
    return {};
  }

  std::vector<std::string> families, series;
  std::map<SeriesName, size_t> handles;
  std::vector<std::pair<size_t, Point>> samples;
  size_t asked = 0;  // calls of OnSeries
  bool fails = false;
};

class OpenMetricsReaderTest : public ::testing::Test {
 protected:
  // All of it in blocks of `size` bytes.
  void Read(std::string_view text, size_t size = 1 << 20) {
    for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) {
      ASSERT_TRUE(reader.Read(text.substr(0, size)).ok());
    }
    reader.Finish();
  }
  // The reason for which a line is refused; empty when it is taken.
  static std::string ReasonOf(const std::string& line) {
    RecordingSink own_sink;
    OpenMetricsReader own_reader(own_sink);
    EXPECT_TRUE(own_reader.Read(line + "\n# EOF\n").ok());
    own_reader.Finish();
    const auto& report = own_reader.report();
    EXPECT_EQ(report.refused, report.refusals.size());
    if (report.refusals.empty()) return "";
    EXPECT_EQ(report.samples, 0) << line;
    EXPECT_THAT(own_sink.series, IsEmpty()) << line;
    return report.refusals[0].reason;
  }
  // The point that `rest`, the value and the time of a line, stands for.
  Point PointOf(const std::string& rest) {
    const size_t before = sink.samples.size();
    EXPECT_TRUE(reader.Read("m " + rest + "\n").ok());
    if (sink.samples.size() != before + 1) {
      ADD_FAILURE() << rest;
      return {};
    }
    return sink.samples.back().second;
  }

  RecordingSink sink;
  OpenMetricsReader reader{sink};
};

// The example of the standard, with times, and every other part of it.
constexpr std::string_view kExample = R"(# TYPE acme_http_router_request_seconds summary
# UNIT acme_http_router_request_seconds seconds
# HELP acme_http_router_request_seconds Latency \"through\" all of\nthe \\ router
acme_http_router_request_seconds_sum{path="/api/v1",method="GET"} 9036.32 1600000000
acme_http_router_request_seconds_count{path="/api/v1",method="GET"} 807283.0 1600000000
acme_http_router_request_seconds_created{path="/api/v1",method="GET"} 1605281325.0 1600000000
# TYPE go_goroutines gauge
# HELP go_goroutines Number of goroutines that currently exist.
go_goroutines 69 1600000000.5
# TYPE process_cpu_seconds counter
# UNIT process_cpu_seconds seconds
process_cpu_seconds_total 4.20072246e+06 1600000000 # {trace_id="KOO5S4vxi0o"} 0.67 1.5e9
# TYPE h_bytes histogram
# UNIT h_bytes bytes
h_bytes_bucket{le="+Inf"} 3 1600000000 # {} 1
h_bytes_sum 5 1600000000
# EOF
)";

TEST_F(OpenMetricsReaderTest, ReadsEveryPartOfTheFormat) {
  Read(kExample);
  EXPECT_THAT(sink.families,
              ElementsAre("acme_http_router_request_seconds|summary|seconds|"
                          "Latency \"through\" all of\nthe \\ router",
                          "go_goroutines|gauge||Number of goroutines that currently exist.",
                          "process_cpu_seconds|counter|seconds|", "h_bytes|histogram|bytes|"));
  const std::string labels = "{\"method\":\"GET\",\"path\":\"/api/v1\"}";
  EXPECT_THAT(sink.series,
              ElementsAre("acme_http_router_request_seconds_sum" + labels + "counter/seconds",
                          "acme_http_router_request_seconds_count" + labels + "counter",
                          "acme_http_router_request_seconds_created" + labels + "gauge",
                          "go_goroutines{}gauge", "process_cpu_seconds_total{}counter/seconds",
                          "h_bytes_bucket{\"le\":\"+Inf\"}counter", "h_bytes_sum{}counter/bytes"));
  ASSERT_EQ(sink.samples.size(), 7);
  EXPECT_EQ(sink.samples[3].second.time_ms, 1'600'000'000'500);
  EXPECT_EQ(sink.samples[4].second.value, 4.20072246e+06);
  EXPECT_EQ(reader.report().lines, 17);
  EXPECT_EQ(reader.report().samples, 7);
  EXPECT_EQ(reader.report().refused, 0);
  EXPECT_TRUE(reader.report().has_end);
}

TEST_F(OpenMetricsReaderTest, ItDoesNotMatterWhereTheTextIsCut) {
  Read(kExample);
  for (size_t size = 1; size < kExample.size(); size += size < 70 ? 1 : 97) {
    RecordingSink pieces_sink;
    OpenMetricsReader pieces(pieces_sink);
    for (size_t at = 0; at < kExample.size(); at += size) {
      ASSERT_TRUE(pieces.Read(kExample.substr(at, size)).ok());
    }
    pieces.Finish();
    EXPECT_EQ(pieces_sink.series, sink.series) << size;
    EXPECT_EQ(pieces_sink.families, sink.families) << size;
    EXPECT_EQ(pieces.report().samples, reader.report().samples) << size;
    EXPECT_EQ(pieces.report().lines, reader.report().lines) << size;
    EXPECT_EQ(pieces.report().refused, 0) << size;
  }
}

TEST_F(OpenMetricsReaderTest, KnowsACounterByTypeAndByName) {
  Read(
      "# TYPE a counter\na 1 1\n"                                   // no _total
      "# TYPE b_total counter\nb_total 1 1\n"                       // as before OpenMetrics
      "c_total 1 1\nc_bucket 1 1\nc_count 1 1\nc_sum 1 1\nc 1 1\n"  // nothing is told
      "# TYPE d_total gauge\nd_total 1 1\n"
      "# TYPE e_total unknown\ne_total 1 1\n"
      "# TYPE f gaugehistogram\nf_bucket{le=\"1\"} 1 1\nf_gcount 1 1\nf_gsum 1 1\n"
      "# TYPE g histogram\n# TYPE g_count gauge\ng_count 1 1\ng_sum 1 1\n"
      "# TYPE h info\nh_info 1 1\n# TYPE i stateset\ni{i=\"on\"} 1 1\n");
  EXPECT_EQ(reader.report().refused, 0);
  EXPECT_THAT(sink.series,
              ElementsAre("a{}counter", "b_total{}counter", "c_total{}counter", "c_bucket{}counter",
                          "c_count{}gauge", "c_sum{}gauge", "c{}gauge", "d_total{}gauge",
                          "e_total{}counter", "f_bucket{\"le\":\"1\"}gauge", "f_gcount{}gauge",
                          "f_gsum{}gauge", "g_count{}gauge", "g_sum{}counter", "h_info{}gauge",
                          "i{\"i\":\"on\"}gauge"));
  EXPECT_EQ(sink.families[1], "b|counter||");
}

TEST_F(OpenMetricsReaderTest, TimesAreRoundedToMillisecondsOnce) {
  const std::vector<std::pair<std::string, int64_t>> cases = {
      {"0", 0},
      {"-0", 0},
      {"1700000000.123", 1'700'000'000'123},
      {"1700000000.1", 1'700'000'000'100},
      {"1700000000.", 1'700'000'000'000},
      {"1700000000.1234999999999999", 1'700'000'000'123},
      {"1700000000.1235", 1'700'000'000'124},
      {"1700000000.999999999", 1'700'000'001'000},
      {"1605281325.001", 1'605'281'325'001},  // times 1000, as doubles: …324.9999
      {"-1.5", -1500},
      {"-0.0006", -1},
      {".5", 500},
      {"-.5", -500},
      {"1.6e9", 1'600'000'000'000},
      {"+1600000000.25", 1'600'000'000'250},
      {"1.60000000025E+9", 1'600'000'000'250},
      {"253402300799.999", 253'402'300'799'999},
      {"-62135596800", -62'135'596'800'000},
  };
  for (const auto& [text, time_ms] : cases)
    EXPECT_EQ(PointOf("1 " + text).time_ms, time_ms) << text;
}

TEST_F(OpenMetricsReaderTest, ValuesAreThoseOfTheTextToTheBit) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<std::string, double>> cases = {
      {"0", 0.0},
      {"-0", -0.0},
      {"1e3", 1000},
      {"+1.5", 1.5},
      {".5", .5},
      {"-.5", -.5},
      {"5.", 5},
      {"5e-324", 5e-324},
      {"+Inf", infinity},
      {"-Inf", -infinity},
      {"Inf", infinity},
      {"inf", infinity},
      {"-inf", -infinity},
      {"+infinity", infinity},
      {"0.1", 0.1},
      {"1.7976931348623157e308", 1.7976931348623157e308},
      {"123456789012345678901234567890", 123456789012345678901234567890.0},
  };
  for (const auto& [text, value] : cases) {
    EXPECT_EQ(std::bit_cast<uint64_t>(PointOf(text + " 1").value), std::bit_cast<uint64_t>(value))
        << text;
  }
  for (const std::string text : {"NaN", "nan"}) EXPECT_TRUE(std::isnan(PointOf(text + " 1").value));
}

TEST_F(OpenMetricsReaderTest, LabelsAreUnescapedAndSorted) {
  Read("m{z=\"a\\\\b\\\"c\\nd\",a=\"\",_x1=\"{,}=#\\d\u00fc\"} 1 1\n");
  ASSERT_EQ(sink.handles.size(), 1);
  EXPECT_EQ(sink.handles.begin()->first.labels,
            (Labels{{"_x1", "{,}=#\\d\u00fc"}, {"a", ""}, {"z", "a\\b\"c\nd"}}));
}

TEST_F(OpenMetricsReaderTest, BlanksAndEmptyLinesDoNoHarm) {
  Read("\n  \t\n  m\t1   2  \nm{ a = \"b\" , } 1 2\n#  TYPE   n  counter \nn 1 1\n# EOF \n\n \n");
  EXPECT_EQ(reader.report().refused, 0);
  EXPECT_TRUE(reader.report().has_end);
  EXPECT_THAT(sink.series, ElementsAre("m{}gauge", "m{\"a\":\"b\"}gauge", "n{}counter"));
}

TEST_F(OpenMetricsReaderTest, ASeriesIsLookedUpOnceHoweverItsLinesAreMixed) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    for (const std::string_view line : {"a{x=\"1\"} 1 ", "a{x=\"2\"} 2 ", "a 3 ", "ab 4 "}) {
      text += line;
      text += std::to_string(i) + "\n";
    }
  }
  Read(text + "a{x=\"1\",} 1 100\n");  // another text of the same series
  EXPECT_EQ(sink.asked, 5);
  EXPECT_EQ(sink.series.size(), 4);
  ASSERT_EQ(sink.samples.size(), 401);
  for (size_t i = 0; i < 400; ++i) {
    EXPECT_EQ(sink.samples[i].first, i % 4);
    EXPECT_EQ(sink.samples[i].second.value, static_cast<double>(i % 4 + 1));
  }
  EXPECT_EQ(sink.samples[400].first, 0);
}

TEST_F(OpenMetricsReaderTest, EveryFaultHasASentenceOfItsOwn) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"9m 1 1", "\"9m\" is not the name of a metric"},
      {"a-b 1 1", "\"a-b\" is not the name of a metric"},
      {"{a=\"b\"} 1 1", "\"\" is not the name of a metric"},
      {"{\"a.b\"} 1 1", "\"\" is not the name of a metric"},
      {"m{9=\"b\"} 1 1", "\"9\" is not the name of a label"},
      {"m{a.b=\"b\"} 1 1", "\"a.b\" is not the name of a label"},
      {"m{,} 1 1", "\"\" is not the name of a label"},
      {"m{\xFF=\"b\"} 1 1", "\"\uFFFD\" is not the name of a label"},
      {"m{__name__=\"b\"} 1 1", "label \"__name__\" is reserved"},
      {"m{a=\"1\",b=\"\",a=\"2\"} 1 1", "label \"a\" is given twice"},
      {"m{a} 1 1", "\"a\" is not the name of a label"},
      {"m{a 1 1", "expected \"=\" after label \"a\""},
      {"m{a=b} 1 1", "the value of label \"a\" is not in double quotes"},
      {"m{a=\"b} 1 1", "label \"a\" has no closing quote"},
      {"m{a=\"b\\", "label \"a\" ends in the middle of an escape"},
      {"m{a=\"b\"c=\"d\"} 1 1", "expected \",\" or \"}\" before \"c=\"d\"} 1 1\""},
      {"m{a=\"b\"", "the labels have no closing brace"},
      {"m{a=\"b\"}1 1", "expected a blank after \"}\" before \"1 1\""},
      {"m{a=\"\xFF\"} 1 1", "the value of label \"a\" is not valid UTF-8 text"},
      {"m", "has no value"},
      {"m{} ", "has no value"},
      {"m x 1", "the value \"x\" is not a number"},
      {"m {a=\"b\"} 1 1", "the value \"{a=\"b\"}\" is not a number"},
      {"m 0x10 1", "the value \"0x10\" is not a number"},
      {"m 1_000 1", "the value \"1_000\" is not a number"},
      {"m 1,5 1", "the value \"1,5\" is not a number"},
      {"m -nan 1", "the value \"-nan\" is not a number"},
      {"m nan(1) 1", "the value \"nan(1)\" is not a number"},
      {"m +-1 1", "the value \"+-1\" is not a number"},
      {"m - 1", "the value \"-\" is not a number"},
      {"m 1e999 1", "the value \"1e999\" is out of the range of a double"},
      {"m -1e-999 1", "the value \"-1e-999\" is out of the range of a double"},
      {"m 1", "has no timestamp, and a history needs one"},
      {"m 1 # {a=\"b\"} 1 1", "has no timestamp, and a history needs one"},
      {"m 1 x", "the timestamp \"x\" is not a number of seconds"},
      {"m 1 nan", "the timestamp \"nan\" is not a number of seconds"},
      {"m 1 -Inf", "the timestamp \"-Inf\" is not a number of seconds"},
      {"m 1 1.2.3", "the timestamp \"1.2.3\" is not a number of seconds"},
      {"m 1 +-1", "the timestamp \"+-1\" is not a number of seconds"},
      {"m 1 2026-11-21T00:00:00Z",
       "the timestamp \"2026-11-21T00:00:00Z\" is not a number of seconds"},
      {"m 1 1700000000000",
       "the timestamp \"1700000000000\" is after the year 9999; it has to be in seconds, not in "
       "milliseconds"},
      {"m 1 99999999999999999999999",
       "the timestamp \"99999999999999999999999\" is after the year 9999; it has to be in seconds, "
       "not in milliseconds"},
      {"m 1 -1e300", "the timestamp \"-1e300\" is before the year 1"},
      {"m 1 1 x", "\"x\" after the timestamp"},
      {"m 1 1 # x", "\"# x\" after the timestamp"},
      {"m 1 1\r", "ends with a carriage return; a line feed alone ends a line"},
      {"# a comment",
       "is neither # TYPE, # UNIT, # HELP nor # EOF, and OpenMetrics has no other comments"},
      {"# TYP m counter",
       "is neither # TYPE, # UNIT, # HELP nor # EOF, and OpenMetrics has no other comments"},
      {"# EOF x",
       "is neither # TYPE, # UNIT, # HELP nor # EOF, and OpenMetrics has no other comments"},
      {"# TYPE 9 counter", "\"9\" after TYPE is not the name of a metric"},
      {"# HELP", "\"\" after HELP is not the name of a metric"},
      {"# TYPE m",
       "\"\" is none of the types counter, gauge, histogram, gaugehistogram, summary, "
       "info, stateset, unknown"},
      {"# TYPE m Counter",
       "\"Counter\" is none of the types counter, gauge, histogram, "
       "gaugehistogram, summary, info, stateset, unknown"},
      {"# UNIT m seconds", "the unit \"seconds\" is not the end of the name \"m\""},
      {"# HELP m \xFF", "the help of \"m\" is not valid UTF-8 text"},
  };
  for (const auto& [line, reason] : cases) EXPECT_EQ(ReasonOf(line), reason) << line;
  EXPECT_EQ(ReasonOf(std::string("m{a=\"x\0y\"} 1 1", 14)),
            "the value of label \"a\" is not valid UTF-8 text");
  EXPECT_EQ(ReasonOf("m 1 1 " + std::string(500, 'x')).size(), 85);  // shown in part
}

TEST_F(OpenMetricsReaderTest, ATypeThatWouldChangeWhatWasReadIsRefused) {
  Read(
      "a_total 1 1\n# TYPE a counter\n"
      "# TYPE b gauge\n# TYPE b gauge\n# TYPE b counter\nb 1 1\n# TYPE b gauge\n"
      "c 1 1\n# TYPE c counter\nc 2 2\n# EOF\n");
  const auto& refusals = reader.report().refusals;
  ASSERT_EQ(refusals.size(), 3);
  EXPECT_EQ(refusals[0].line, 2);
  EXPECT_EQ(refusals[0].reason, "the type of \"a\" stands after its samples");
  EXPECT_EQ(refusals[1].line, 5);
  EXPECT_EQ(refusals[1].reason, "the type of \"b\" was gauge");
  EXPECT_EQ(refusals[2].line, 9);
  EXPECT_THAT(sink.series, ElementsAre("a_total{}counter", "b{}gauge", "c{}gauge"));
  EXPECT_EQ(sink.samples.size(), 4);
}

TEST_F(OpenMetricsReaderTest, GoesOnAfterABadLineAndTellsWhichItWas) {
  std::string text;
  for (int i = 1; i <= 100; ++i)
    text += i % 4 == 0 ? "bad line\n" : "m 1 " + std::to_string(i) + "\n";
  Read(text + "# EOF\nm 1 101\n");
  EXPECT_EQ(sink.samples.size(), 75);
  EXPECT_EQ(reader.report().refused, 26);
  ASSERT_EQ(reader.report().refusals.size(), OpenMetricsReader::kMostReasons);
  EXPECT_EQ(reader.report().refusals.front().line, 4);
  EXPECT_EQ(reader.report().refusals.back().line, 80);
}

TEST_F(OpenMetricsReaderTest, NothingIsTakenBehindTheEnd) {
  Read("m 1 1\n# EOF\nm 1 2\n# TYPE m gauge\n# EOF\n");
  EXPECT_EQ(sink.samples.size(), 1);
  ASSERT_EQ(reader.report().refused, 3);
  EXPECT_EQ(reader.report().refusals[0].reason, "stands after # EOF");
}

TEST_F(OpenMetricsReaderTest, ALastLineThatIsCutOffIsNotTaken) {
  Read("m 1 1700000000\nm 1 17000");
  EXPECT_EQ(sink.samples.size(), 1);
  ASSERT_EQ(reader.report().refused, 1);
  EXPECT_EQ(reader.report().refusals[0].line, 2);
  EXPECT_EQ(reader.report().refusals[0].reason,
            "has no line feed at its end: the file is cut short");
  EXPECT_FALSE(reader.report().has_end);
}

TEST_F(OpenMetricsReaderTest, TheEndNeedsNoLineFeed) {
  Read("m 1 1\n# EOF", 3);
  EXPECT_TRUE(reader.report().has_end);
  EXPECT_EQ(reader.report().refused, 0);
}

TEST_F(OpenMetricsReaderTest, ALineOfOneMebibyteIsTakenAndALongerOneIsRefused) {
  const std::string rest = "\"} 1 1";
  const auto line = [&](size_t size) {
    const std::string front = "m{a=\"";
    return front + std::string(size - front.size() - rest.size(), 'x') + rest + "\n";
  };
  const std::string text = "n 1 1\n" + line(OpenMetricsReader::kMostLineBytes) +
                           line(OpenMetricsReader::kMostLineBytes + 1) +
                           line(5 * OpenMetricsReader::kMostLineBytes) + "n 1 2\n# EOF\n";
  for (const size_t size : {text.size(), size_t{65536}, size_t{999'983}}) {
    RecordingSink own_sink;
    OpenMetricsReader own_reader(own_sink);
    for (size_t at = 0; at < text.size(); at += size) {
      ASSERT_TRUE(own_reader.Read(std::string_view(text).substr(at, size)).ok());
    }
    own_reader.Finish();
    EXPECT_EQ(own_sink.samples.size(), 3) << size;
    ASSERT_EQ(own_reader.report().refused, 2) << size;
    EXPECT_EQ(own_reader.report().refusals[0].line, 3) << size;
    EXPECT_EQ(own_reader.report().refusals[1].line, 4) << size;
    EXPECT_EQ(own_reader.report().refusals[0].reason, "is longer than 1 MiB") << size;
  }
}

TEST_F(OpenMetricsReaderTest, FamiliesWithoutSamplesAreToldTooAndLaterWordsAreAdded) {
  Read("# TYPE a gauge\na 1 1\n# HELP a late\n# TYPE b counter\n# EOF\n");
  EXPECT_THAT(sink.families, ElementsAre("a|gauge||", "a|gauge||late", "b|counter||"));
}

TEST_F(OpenMetricsReaderTest, AnErrorOfTheSinkEndsTheReading) {
  sink.fails = true;
  const Result<void> read = reader.Read("m 1 1\n");
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().ToString(), HasSubstr("full"));
}

}  // namespace
}  // namespace idlewatt
