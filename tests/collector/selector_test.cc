#include "collector/selector.h"

#include <gtest/gtest.h>

#include <random>

namespace idlewatt {
namespace {

const Labels kLabels = {{"domain", "dram"}, {"source", "rapl"}};

bool Matches(const std::string& text) {
  const Result<Selector> selector = Selector::Parse(text);
  if (!selector.ok()) {
    ADD_FAILURE() << selector.error().ToString();
    return false;
  }
  return selector->MatchesLabels(kLabels);
}

std::string ErrorOf(std::string_view text) {
  const Result<Selector> selector = Selector::Parse(text);
  return selector.ok() ? "" : selector.error().ToString();
}

TEST(SelectorTest, MatchesByEachOperator) {
  EXPECT_TRUE(Matches("m"));
  EXPECT_TRUE(Matches("m{}"));
  EXPECT_TRUE(Matches("m{source=\"rapl\"}"));
  EXPECT_FALSE(Matches("m{source=\"nvml\"}"));
  EXPECT_TRUE(Matches("m{source!=\"nvml\"}"));
  EXPECT_FALSE(Matches("m{source!=\"rapl\"}"));
  EXPECT_TRUE(Matches("m{source=~\"ra.*|nvml\"}"));
  EXPECT_FALSE(Matches("m{source!~\"ra.*|nvml\"}"));
  EXPECT_TRUE(Matches(" m { source = \"rapl\" , domain =~ \"d.+\" , } "));
  EXPECT_FALSE(Matches("m{source=\"rapl\",domain=\"core\"}"));
}

TEST(SelectorTest, PatternsMatchWholeValuesOnly) {
  EXPECT_FALSE(Matches("m{source=~\"ra\"}"));
  EXPECT_FALSE(Matches("m{source=~\"apl\"}"));
  EXPECT_TRUE(Matches("m{source=~\"ra|rapl\"}"));
  EXPECT_TRUE(Matches("m{source=~\"x|rap[a-z]\"}"));
}

TEST(SelectorTest, AMissingLabelIsEmpty) {
  EXPECT_TRUE(Matches("m{other=\"\"}"));
  EXPECT_TRUE(Matches("m{other=~\".*\"}"));
  EXPECT_TRUE(Matches("m{other!=\"x\"}"));
  EXPECT_FALSE(Matches("m{other!=\"\"}"));
  EXPECT_FALSE(Matches("m{other=~\".+\"}"));
}

TEST(SelectorTest, ReadsEscapes) {
  const Result<Selector> selector = Selector::Parse(R"(m{l="a\"b\\c\nd"})");
  ASSERT_TRUE(selector.ok());
  EXPECT_TRUE(selector->MatchesLabels({{"l", "a\"b\\c\nd"}}));
}

TEST(SelectorTest, SaysWhereAndWhatIsExpected) {
  EXPECT_EQ(ErrorOf(""), "selector: expected a metric name at position 1");
  EXPECT_EQ(ErrorOf("{a=\"b\"}"), "selector: expected a metric name at position 1");
  EXPECT_EQ(ErrorOf("m x"), "selector: expected { or the end at position 3");
  EXPECT_EQ(ErrorOf("m{"), "selector: expected a label name at position 3");
  EXPECT_EQ(ErrorOf("m{a"), "selector: expected =, !=, =~ or !~ at position 4");
  EXPECT_EQ(ErrorOf("m{a=b}"), "selector: expected a value in double quotes at position 5");
  EXPECT_EQ(ErrorOf("m{a=\"b"), "selector: expected a closing double quote at position 7");
  EXPECT_EQ(ErrorOf("m{a=\"b\" c"), "selector: expected , or } at position 9");
  EXPECT_EQ(ErrorOf("m{} x"), "selector: expected the end at position 5");
}

TEST(SelectorTest, RefusesPatternsThatCouldBeCostly) {
  EXPECT_NE(ErrorOf("m{a=~\"(\"}"), "");
  EXPECT_NE(ErrorOf("m{a=~\"(((a{255}){255}){255}){255}\"}"), "");
  EXPECT_NE(ErrorOf(R"(m{a=~"(a*)\\1"})"), "");
  // Found by the fuzzer: each + doubles what the library makes of the pattern.
  EXPECT_NE(ErrorOf("m{a=~\"[^d]*" + std::string(22, '+') + "\"}"), "");
  EXPECT_NE(ErrorOf("m{a=~\"(((((a+)+)+)+)+)\"}"), "");
  EXPECT_EQ(ErrorOf("m{a=~\"[a-z]+_[0-9]+-(b|c)+/.+\"}"), "");
  EXPECT_NE(ErrorOf("m{a=~\"" + std::string(300, 'a') + "\"}"), "");
  EXPECT_NE(ErrorOf(std::string(5000, 'a')), "");
}

TEST(SelectorTest, AWorstCasePatternOverALongValueEnds) {
  const Result<Selector> selector = Selector::Parse("m{a=~\"(a*)*(a|aa)+(.*.*.*)*b\"}");
  ASSERT_TRUE(selector.ok());
  EXPECT_FALSE(selector->MatchesLabels({{"a", std::string(2000, 'a')}}));
}

TEST(SelectorTest, RandomTextNeverCrashes) {
  std::mt19937_64 random(3);
  const std::string alphabet = "m_{}\"\\=!~,a1 .*+?()[]|^$-:\n\x80\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string text = round % 2 == 0 ? "" : "m{a=~\"";
    for (size_t n = random() % 24; n > 0; --n) text += alphabet[random() % alphabet.size()];
    if (round % 2 != 0) text += "\"}";
    const Result<Selector> selector = Selector::Parse(text);
    if (selector.ok()) {
      (void)selector->MatchesLabels(kLabels);
    } else {
      EXPECT_EQ(selector.error().code, ErrorCode::kInvalid);
    }
  }
}

}  // namespace
}  // namespace idlewatt
