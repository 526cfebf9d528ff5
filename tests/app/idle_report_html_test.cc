#include "app/idle_report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "app/html_text.h"
#include "app/idle_report_chart.h"
#include "base/text.h"
#include "tests/app/idle_report_samples.h"
#include "tests/support/html_check.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

IdleAnswer Parsed(const std::string& answer) {
  auto report = IdleAnswer::Parse(answer);
  EXPECT_TRUE(report) << report.error().ToString();
  return report ? *report : IdleAnswer();
}
IdleAnswer Parsed(const SampleJson& json) { return Parsed(json.dump()); }
const MaybePrice kInEuros = EnergyPrice{0.3, "EUR"};

std::string Page(const SampleJson& json, const MaybePrice& price = kInEuros) {
  return IdleReportHtml(Parsed(json), price);
}

// What stands between `begin` and the next `end`, each time.
std::vector<std::string> Between(const std::string& text, const std::string& begin,
                                 const std::string& end) {
  std::vector<std::string> found;
  for (size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
    at += begin.size();
    found.push_back(text.substr(at, text.find(end, at) - at));
  }
  return found;
}
double Sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}
std::vector<double> Numbers(const std::vector<std::string>& texts) {
  std::vector<double> numbers;
  for (const std::string& text : texts) {
    const auto number = ParseNumber<double>(text);
    EXPECT_TRUE(number) << text;
    numbers.push_back(number.value_or(0));
  }
  return numbers;
}
// The rows of the table beside the chart, without those of gaps: all, then each part.
std::vector<std::vector<double>> TableRows(const std::string& page) {
  const auto tables = Between(page, "<table class=\"over-time\">", "</table>");
  EXPECT_EQ(tables.size(), 1U);
  std::vector<std::vector<double>> rows;
  for (const std::string& row : Between(tables.at(0), "<tr><th scope=\"row\">", "</tr>")) {
    if (row.find("not measured") == std::string::npos) {
      rows.push_back(Numbers(Between(row, "<td>", "</td>")));
    }
  }
  return rows;
}
// The heights of each bar of the chart, from the lowest part up.
std::vector<std::vector<double>> BarHeights(const std::string& page) {
  std::vector<std::vector<double>> bars;
  for (const std::string& bar : Between(page, "<g>", "</g>")) {
    bars.push_back(Numbers(Between(bar, " height=\"", "\"")));
  }
  return bars;
}

TEST(IdleReportHtmlTest, IsWellFormedWhateverIsKnown) {
  EXPECT_EQ(HtmlCheck::Problem(Page(RichIdleJson())), "");
  EXPECT_EQ(HtmlCheck::Problem(Page(RichIdleJson(), std::nullopt)), "");
  EXPECT_EQ(HtmlCheck::Problem(Page(ModelIdleJson())), "");
  EXPECT_EQ(HtmlCheck::Problem(Page(UnknownIdleJson())), "");
  EXPECT_EQ(HtmlCheck::Problem(Page(EmptyIdleJson())), "");
}

TEST(IdleReportHtmlTest, TheCheckSeesWhatIsWrong) {
  const std::string page = Page(EmptyIdleJson());
  for (const char* bad : {"<script>", "<img>", "<p onclick=\"x\"></p>", "<p>", "</p>", "<b",
                          "a & b", "\"", ">", "<p style=\"x\"></p>", "\x01", "<p class=x></p>"}) {
    std::string broken = page;
    broken.insert(broken.find("</body>"), bad);
    EXPECT_NE(HtmlCheck::Problem(broken), "") << bad;
  }
}

TEST(IdleReportHtmlTest, NoTextOfOthersIsMoreThanText) {
  const auto price = EnergyPrice::Parse("0.30", kHostileText);
  ASSERT_TRUE(price);
  const std::string page = IdleReportHtml(Parsed(HostileIdleAnswer()), *price);
  EXPECT_EQ(HtmlCheck::Problem(page), "");
  EXPECT_THAT(page,
              HasSubstr("<bdi>&lt;/title&gt;&lt;/style&gt;&lt;/svg&gt;&lt;script src=&quot;"));
  EXPECT_EQ(Between(page, "<style", "</style>").size(), 1U);
}

TEST(IdleReportHtmlTest, NeedsNothingFromElsewhere) {
  const std::string page = Page(RichIdleJson());
  for (const char* word : {"http:", "https:", "//", "src=", "href", "url(", "@import", "<script"}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
  EXPECT_THAT(page, HasSubstr("content=\"default-src 'none'; style-src 'unsafe-inline'\""))
      << "and a browser is told so";
}

TEST(IdleReportHtmlTest, TheTableHasEveryJouleOfTheMachine) {
  const SampleJson json = RichIdleJson();
  const auto rows = TableRows(Page(json));
  ASSERT_EQ(rows.size(), 43U);
  double all = 0;
  for (const auto& row : rows) {
    all += row[0];
    EXPECT_NEAR(Sum(row), 2 * row[0], 0.05 * static_cast<double>(row.size()));
  }
  EXPECT_NEAR(all * 3600, json["machine"]["joules"].get<double>(), 0.05 * 43 * 3600);
}

TEST(IdleReportHtmlTest, TheBarsAreAsHighAsTheTableSays) {
  const std::string page = Page(RichIdleJson());
  const auto rows = TableRows(page);
  const auto bars = BarHeights(page);
  ASSERT_EQ(bars.size(), rows.size());
  // The highest line of the axis is 200 Wh, 208 units above zero.
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_NEAR(Sum(bars[i]), rows[i][0] * 1.04, 0.2);
  EXPECT_NEAR(bars[0][0], 11.2 * 1.04, 0.01) << "the service with most idle energy is lowest";
}

TEST(IdleReportHtmlTest, AGapIsNotZero) {
  const std::string page = Page(RichIdleJson());
  EXPECT_EQ(Between(page, "<rect class=\"gap\"", "/>").size(), 1U);
  EXPECT_THAT(page, HasSubstr("<tr><th scope=\"row\">2026-11-20 17:00</th><td class=\"unknown\" "
                              "colspan=\"11\">not measured until 2026-11-20 22:00</td></tr>"));
  EXPECT_THAT(page, HasSubstr("Of 5h in all nothing is known."));

  SampleJson json = RichIdleJson();  // an hour in which nothing was used is none
  SampleJson& lost = json["buckets"][kFirstLostHour];
  ASSERT_TRUE(lost["joules"].is_null());
  lost["joules"] = 0;
  const IdleChart chart(Parsed(json));
  ASSERT_EQ(chart.gaps().size(), 1U);
  EXPECT_EQ(chart.gaps()[0].end - chart.gaps()[0].start, std::chrono::hours(4));
  EXPECT_EQ(chart.bars().size(), 44U);
}

TEST(IdleReportHtmlTest, SixServicesAreDrawnAndTheOthersTogether) {
  const IdleChart chart(Parsed(RichIdleJson()));
  ASSERT_EQ(chart.parts().size(), 10U);
  EXPECT_EQ(chart.parts()[0].name, "llama-70b");
  EXPECT_EQ(chart.parts()[5].name, "postgresql@15-main.service");
  EXPECT_EQ(chart.parts()[6].name, "other idle services");
  EXPECT_NEAR(chart.bars()[0].joules[6], (0.35 + 0.05) * 3600, 1e-6);
}

TEST(IdleReportHtmlTest, WhatTheBucketDoesNotExplainIsNotAttributed) {
  SampleJson json = RichIdleJson();
  json["buckets"][0]["floor_joules"] = nullptr;
  const IdleChart chart(Parsed(json));
  EXPECT_EQ(chart.parts().back().name, "not attributed");
  EXPECT_NEAR(chart.bars()[0].joules.back(), (23 + 2.5) * 3600, 1e-3);
  EXPECT_NEAR(chart.bars()[0].sum, json["buckets"][0]["joules"].get<double>(), 1e-3);
}

TEST(IdleReportHtmlTest, ManyBucketsAreFewerBarsWithTheSameEnergy) {
  SampleJson json = RichIdleJson();
  json["since"] = "2024-11-21T00:00:00Z";
  json["until"] = "2026-11-21T00:00:00Z";
  json["step_seconds"] = 86400;
  json["buckets"] = SampleJson::array();
  for (int day = 0; day < 730; ++day) {
    SampleJson bucket = SampleBucket(0);
    bucket["start"] = SampleTime(24 * (day - 729) + 3);
    json["buckets"].push_back(bucket);
  }
  const IdleChart chart(Parsed(json));
  EXPECT_EQ(chart.bar_name(), "7 days");
  ASSERT_EQ(chart.bars().size(), 105U);
  EXPECT_TRUE(chart.gaps().empty());
  double sum = 0;
  for (const IdleChart::Bar& bar : chart.bars()) sum += bar.sum;
  EXPECT_NEAR(sum, SumOf(json["buckets"], "joules").get<double>(), 1);
  EXPECT_THAT(chart.Figure(), HasSubstr(">Jan 2026</text>"));
}

TEST(IdleReportHtmlTest, FirstAndLastBarEndWithTheReport) {
  SampleJson json = RichIdleJson();
  json["since"] = "2026-11-19T21:30:00Z";
  json["until"] = "2026-11-21T20:15:00Z";
  const IdleChart chart(Parsed(json));
  EXPECT_EQ(chart.bars().front().end - chart.bars().front().start, std::chrono::minutes(30));
  EXPECT_EQ(chart.bars().back().end - chart.bars().back().start, std::chrono::minutes(15));
}

TEST(IdleReportHtmlTest, NothingKnownIsSaidInWordsAndNotDrawn) {
  for (const SampleJson& json : {UnknownIdleJson(), EmptyIdleJson()}) {
    const std::string page = Page(json);
    EXPECT_THAT(page, HasSubstr("<b>No energy is known of this time</b>"));
    EXPECT_THAT(page, HasSubstr("How it was spread over the time is not known."));
    EXPECT_THAT(page, Not(HasSubstr("<svg")));
    EXPECT_THAT(page, Not(HasSubstr("0 Wh")));
  }
}

TEST(IdleReportHtmlTest, AnEstimateIsCalledOneVeryVisibly) {
  const std::string page = Page(ModelIdleJson());
  EXPECT_THAT(page,
              HasSubstr("<div class=\"warning\"><b>Estimated by the model, not measured</b>"));
  EXPECT_THAT(page, HasSubstr("<h2>Energy over time <small>estimated</small></h2>"));
  EXPECT_THAT(page, HasSubstr("<span class=\"tag\">an estimate of the power model</span>"));
  EXPECT_THAT(Page(RichIdleJson()), Not(HasSubstr("stimate")));
}

TEST(IdleReportHtmlTest, AYearIsCalledAProjectionAndItsRowsAreItsSum) {
  const std::string page = Page(RichIdleJson());
  EXPECT_THAT(page, HasSubstr("<p>A projection, no measurement: what 1d 19h of watching found"));
  const size_t year = page.find("<h2>What a year of it would cost</h2>");
  ASSERT_NE(year, std::string::npos);
  std::vector<double> costs;
  const std::string table = page.substr(year, page.find("</table>", year) - year);
  for (const std::string& row : Between(table, " kWh</td><td>", " EUR</td>")) {
    costs.push_back(ParseNumber<double>(row).value_or(-1));
  }
  ASSERT_EQ(costs.size(), 8U) << "six services, the others, all";
  EXPECT_NEAR(costs.back(), 58.82, 1e-6);
  EXPECT_NEAR(Sum(costs), 2 * costs.back(), 0.05);
}

TEST(IdleReportHtmlTest, NoLineEndsBetweenANumberAndItsUnit) {
  EXPECT_THAT(Page(RichIdleJson()), HasSubstr("30\u00A0% of the machine&#39;s 3.23\u00A0kWh"));
}

TEST(IdleReportHtmlTest, CostsAreToldOnlyWithAPrice) {
  const std::string page = Page(RichIdleJson(), std::nullopt);
  for (const char* word : {"cost", "EUR", "/kWh"}) EXPECT_THAT(page, Not(HasSubstr(word)));
  EXPECT_THAT(Page(RichIdleJson(), EnergyPrice{0.3, ""}), HasSubstr("costs at 0.30/kWh"));
}

TEST(IdleReportHtmlTest, TheChartIsToldToThoseWhoDoNotSeeIt) {
  const std::string page = Page(RichIdleJson());
  EXPECT_THAT(page, HasSubstr("<html lang=\"en\">"));
  EXPECT_THAT(page, HasSubstr("role=\"img\" aria-labelledby=\"over-time over-time-words\">\n"
                              "<title id=\"over-time\">Energy over time in Wh per hour</title>\n"
                              "<desc id=\"over-time-words\">43 bars, one for each hour, from "));
  EXPECT_THAT(page, HasSubstr("The highest is 167 Wh at 2026-11-19 21:00."));
}

TEST(IdleReportHtmlTest, EveryColorOfTheChartIsInTheStyleSheet) {
  const std::string page = Page(RichIdleJson());
  const IdleChart chart(Parsed(RichIdleJson()));
  for (const IdleChart::Part& part : chart.parts()) {
    EXPECT_THAT(page, HasSubstr("." + part.color + " { fill: "));
  }
}

TEST(HtmlTextTest, EscapesWhatMarkupIsMadeOf) {
  EXPECT_EQ(EscapeHtml("<a href=\"x\">'&amp;' größe</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&#39; größe&lt;/a&gt;");
}

}  // namespace
}  // namespace idlewatt
