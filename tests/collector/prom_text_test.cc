#include "collector/prom_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace idlewatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::vector<PromFamily> Families(std::string_view text) {
  auto families = ParsePromText(text, "f");
  EXPECT_TRUE(families) << text << ": " << families.error().ToString();
  return families ? std::move(*families) : std::vector<PromFamily>();
}

// The only sample of a text; one of no name when there are more or none.
PromSample Only(std::string_view text) {
  const auto families = Families(text);
  if (families.size() == 1 && families[0].samples.size() == 1) return families[0].samples[0];
  ADD_FAILURE() << text << " has not one sample";
  return {};
}

double ValueOf(std::string_view word) { return Only("a " + std::string(word) + "\n").value; }

// "f:LINE: what is wrong"
std::string ErrorOf(std::string_view text) {
  const auto families = ParsePromText(text, "f");
  EXPECT_FALSE(families) << text;
  return families ? "" : families.error().ToString();
}

TEST(PromTextTest, AFamilyHasHelpTypeAndSamples) {
  const auto families = Families(
      "# HELP a_total What \\\\ it is\\nand more.\n# TYPE a_total counter\n"
      "a_total 1\na_total{x=\"y\"} 2\n\n# a comment\nb 3\n");
  ASSERT_EQ(families.size(), 2U);
  EXPECT_EQ(families[0].name, "a_total");
  EXPECT_EQ(families[0].type, PromType::kCounter);
  EXPECT_EQ(families[0].help, "What \\ it is\nand more.");
  ASSERT_EQ(families[0].samples.size(), 2U);
  EXPECT_EQ(families[0].samples[1].line, 4U);
  EXPECT_THAT(families[0].samples[1].labels, ElementsAre(Pair("x", "y")));
  EXPECT_EQ(families[1].type, PromType::kUntyped);
  EXPECT_EQ(families[1].help, "");
  EXPECT_EQ(families[1].samples[0].value, 3);
}

TEST(PromTextTest, NothingIsNoFamily) {
  EXPECT_THAT(Families(""), IsEmpty());
  EXPECT_THAT(Families("\n \n#\n# \n#HELP\n# HELP \n# TYPE a\n# whatever \\x\n"), IsEmpty());
}

TEST(PromTextTest, LabelsAreUnescapedAndSortedAndEmptyOnesLeftOut) {
  const PromSample sample = Only("a{z=\"\\\\ \\\" \\n }\",b=\"#,=\",empty=\"\"} 1\n");
  EXPECT_THAT(sample.labels, ElementsAre(Pair("b", "#,="), Pair("z", "\\ \" \n }")));
  EXPECT_THAT(Only("a{} 1\n").labels, IsEmpty());
  EXPECT_THAT(Only("a{b=\"1\",} 1\n").labels, ElementsAre(Pair("b", "1")));
  EXPECT_THAT(Only("a{b=\"\xC3\xA4\"} 1\n").labels, ElementsAre(Pair("b", "\xC3\xA4")));
}

TEST(PromTextTest, BlanksAndTabsAreFree) {
  const PromSample sample = Only(" \ta \t{ \tb\t= \"c\" , d=\"e\" }\t1.5 \t17 \t\n");
  EXPECT_EQ(sample.name, "a");
  EXPECT_THAT(sample.labels, ElementsAre(Pair("b", "c"), Pair("d", "e")));
  EXPECT_EQ(sample.value, 1.5);
  EXPECT_EQ(sample.timestamp_ms, 17);
  EXPECT_EQ(Only("a{b=\"c\"}1\n").value, 1);
  EXPECT_EQ(Families("\t#\tTYPE\ta\tgauge \n a 1\n")[0].type, PromType::kGauge);
}

TEST(PromTextTest, ValuesAreThoseOfGo) {
  EXPECT_EQ(ValueOf("1e3"), 1000);
  EXPECT_EQ(ValueOf("-1.5E-1"), -0.15);
  EXPECT_EQ(ValueOf("+1."), 1);
  EXPECT_EQ(ValueOf(".5"), 0.5);
  EXPECT_EQ(ValueOf("9007199254740993"), 9007199254740992.0);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(ValueOf("+Inf"), infinity);
  EXPECT_EQ(ValueOf("inf"), infinity);
  EXPECT_EQ(ValueOf("+Infinity"), infinity);
  EXPECT_EQ(ValueOf("-Inf"), -infinity);
  EXPECT_TRUE(std::isnan(ValueOf("NaN")));
  EXPECT_TRUE(std::isnan(ValueOf("nan")));
}

TEST(PromTextTest, WhatIsNoNumberIsRefused) {
  for (const char* word : {"x",   "0x10",  "0x1p3",  "1_0",     "1e400", "1e-400", "+nan", "-nan",
                           "+-1", "--1",   "++1",    "-+inf",   "1e",    ".",      "-",    "+",
                           "e5",  "1.2.3", "nan(1)", "infinit", "1,5",   "\"1\""}) {
    EXPECT_THAT(ErrorOf("a " + std::string(word) + "\n"), HasSubstr("is not a number")) << word;
  }
}

TEST(PromTextTest, TypesAreNamedInAnyCase) {
  for (const char* type : {"untyped", "counter", "gauge", "histogram", "summary"}) {
    EXPECT_EQ(PromTypeName(Families("# TYPE a " + std::string(type) + "\n")[0].type), type);
  }
  EXPECT_EQ(Families("# TYPE a COUNTER\n")[0].type, PromType::kCounter);
}

TEST(PromTextTest, PartsBelongToTheirHistogramOrSummary) {
  const auto families = Families(
      "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n"
      "# TYPE s summary\ns{quantile=\"0.9\"} NaN\ns_sum 1\ns_count 2\ns_bucket 3\n"
      "# TYPE g gauge\ng_sum 1\n");
  ASSERT_EQ(families.size(), 5U);
  EXPECT_EQ(families[0].name, "h");
  EXPECT_EQ(families[0].samples.size(), 4U);
  EXPECT_EQ(families[0].samples[0].name, "h_bucket");
  EXPECT_EQ(families[1].name, "s");
  EXPECT_EQ(families[1].samples.size(), 3U);
  EXPECT_EQ(families[2].name, "s_bucket");
  EXPECT_EQ(families[4].name, "g_sum");
}

TEST(PromTextTest, AFamilyOfThatVeryNameComesFirst) {
  const auto families = Families("# TYPE h_count gauge\n# TYPE h histogram\nh_count 1\n");
  EXPECT_EQ(families[0].samples.size(), 1U);
  EXPECT_EQ(families[1].samples.size(), 0U);
}

// What promtool refuses too, each with line and reason.
TEST(PromTextTest, ErrorsSayWhereAndWhat) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"a 1\nb 2", "f:2: does not end with a line feed: the file is cut short"},
      {"a 1\n# EOF", "f:2: does not end with a line feed: the file is cut short"},
      {"a 1\r\n", "f:1: ends with a carriage return; a line feed alone ends a line"},
      {"a\n", "f:1: has no value"},
      {"\na{b=\"c\"} \n", "f:2: has no value"},
      {"1a 1\n", "f:1: \"1a\" is not the name of a metric"},
      {"a-b 1\n", "f:1: \"a-b\" is not the name of a metric"},
      {"{a=\"b\"} 1\n", "f:1: \"\" is not the name of a metric"},
      {"# TYPE 1a gauge\n", "f:1: \"1a\" after TYPE is not the name of a metric"},
      {"# HELP a-b gauge\n", "f:1: \"a-b\" after HELP is not the name of a metric"},
      {"a 1 x\n", "f:1: the timestamp \"x\" is not a number of milliseconds"},
      {"a 1 1.5\n", "f:1: the timestamp \"1.5\" is not a number of milliseconds"},
      {"a 1 5 6\n", "f:1: \"6\" after the timestamp"},
      {"a{,} 1\n", "f:1: expected the name of a label before \",} 1\""},
      {"a{\"b\"=\"c\"} 1\n", "f:1: expected the name of a label before \"\"b\"=\"c\"} 1\""},
      {"a{b:c=\"1\"} 1\n", "f:1: expected \"=\" after label \"b\""},
      {"a{b=1} 1\n", "f:1: the value of label \"b\" is not in double quotes"},
      {"a{b=\"1\n", "f:1: label \"b\" has no closing quote"},
      {"a{b=\"1\\\n", "f:1: \"\\\" in label \"b\" is none of \"\\\\\", \"\\\"\" and \"\\n\""},
      {"a{b=\"\\t\"} 1\n", "f:1: \"\\t\" in label \"b\" is none of \"\\\\\", \"\\\"\" and \"\\n\""},
      {"a{b=\"1\" c=\"2\"} 1\n", "f:1: expected \",\" or \"}\" before \"c=\"2\"} 1\""},
      {"a{b=\"1\"\n", "f:1: expected \",\" or \"}\" before \"\""},
      {"a{b=\"1\",b=\"1\"} 1\n", "f:1: label \"b\" is given twice"},
      {"a{b=\"\",b=\"1\"} 1\n", "f:1: label \"b\" is given twice"},
      {"a{__name__=\"b\"} 1\n", "f:1: label \"__name__\" is reserved"},
      {"a{b=\"\xFF\"} 1\n", "f:1: the value of label \"b\" is not valid UTF-8 text"},
      {std::string("a{b=\"\0\"} 1\n", 11), "f:1: the value of label \"b\" is not valid UTF-8 text"},
      {"# HELP a \\t\n", "f:1: \"\\t\" in HELP is none of \"\\\\\" and \"\\n\""},
      {"# HELP a x\n# HELP a x\n", "f:2: second HELP of \"a\""},
      {"# TYPE a gauge\n# TYPE a gauge\n", "f:2: second TYPE of \"a\""},
      {"a 1\n# TYPE a gauge\n", "f:2: TYPE of \"a\" after its samples"},
      {"# TYPE a foo\n",
       "f:1: \"foo\" is none of the types counter, gauge, histogram, summary, untyped"},
      {"# TYPE a histogram\na 1\n",
       "f:2: a histogram has no sample \"a\" but those with _bucket, _sum and _count"},
      {"# TYPE a histogram\na_bucket 1\n", "f:2: \"a_bucket\" needs a number in label \"le\""},
      {"# TYPE a histogram\na_bucket{le=\"x\"} 1\n",
       "f:2: \"a_bucket\" needs a number in label \"le\""},
      {"# TYPE a summary\na 1\n", "f:2: \"a\" needs a number in label \"quantile\""}};
  for (const auto& [text, error] : wrong) EXPECT_EQ(ErrorOf(text), error);
}

TEST(PromTextTest, LongTextsAreShortenedInErrors) {
  EXPECT_LT(ErrorOf("a " + std::string(100'000, 'x') + "\n").size(), 200U);
}

TEST(PromTextTest, LimitsAreSaid) {
  std::string labels;
  for (size_t i = 0; i < kMaxPromLabels; ++i) labels += "l" + std::to_string(i) + "=\"x\",";
  EXPECT_EQ(Only("a{" + labels + "} 1\n").labels.size(), kMaxPromLabels);
  const auto too_many_labels = ParsePromText("a{" + labels + "m=\"x\"} 1\n", "f");
  EXPECT_EQ(too_many_labels.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(too_many_labels.error().ToString(), "f:1: more than 16 labels");
  std::string samples;
  for (size_t i = 0; i < kMaxPromSamples; ++i) samples += "a{n=\"" + std::to_string(i) + "\"} 1\n";
  EXPECT_EQ(Families(samples)[0].samples.size(), kMaxPromSamples);
  EXPECT_EQ(ErrorOf(samples + "a 1\n"), "f:10001: more than 10000 samples");
  std::string types;
  for (size_t i = 0; i <= kMaxPromSamples; ++i)
    types += "# TYPE a" + std::to_string(i) + " gauge\n";
  EXPECT_EQ(ErrorOf(types), "f:10001: more than 10000 metrics");
  EXPECT_EQ(Families("#" + std::string(kMaxPromBytes - 2, 'x') + "\n").size(), 0U);
  EXPECT_EQ(ErrorOf(std::string(kMaxPromBytes + 1, '\n')), "f: is larger than 4 MiB");
}

// Each cut and each changed byte gives families or an error, and never more than the text has.
TEST(PromTextTest, SurvivesCutsAndNoise) {
  const std::string good =
      "# HELP a_total What \\\\ \\n\n# TYPE a_total counter\na_total{x=\"\\\"y\\n\",z=\"\"} 1e3\n"
      "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum NaN\nh_count 2 123\n";
  const auto check = [](const std::string& text) {
    const auto families = ParsePromText(text, "f");
    if (!families) {
      EXPECT_FALSE(families.error().text.empty());
      return;
    }
    size_t samples = 0;
    for (const PromFamily& family : *families) samples += family.samples.size();
    EXPECT_LE(samples, 8U);
  };
  for (size_t size = 0; size < good.size(); ++size) {
    const std::string cut = good.substr(0, size);
    check(cut);
    EXPECT_EQ(ParsePromText(cut, "f").ok(), cut.empty() || cut.back() == '\n') << cut;
  }
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same noise each time
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random() % 256);
    check(text);
  }
}

}  // namespace
}  // namespace idlewatt
