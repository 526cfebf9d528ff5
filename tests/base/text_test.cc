#include "base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kReplacement[] = "\xEF\xBF\xBD";

TEST(TextTest, TrimTakesBlanksAndNulsOffBothEnds) {
  EXPECT_EQ(Trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(Trim(std::string_view("\0x\0", 3)), "x");
  EXPECT_EQ(Trim(" \n"), "");
  EXPECT_EQ(Trim(""), "");
}

TEST(TextTest, ANumberMustBeTheWholeText) {
  EXPECT_EQ(ParseNumber<int>("-12"), -12);
  EXPECT_EQ(ParseNumber<uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(ParseNumber<uint64_t>("18446744073709551616"), std::nullopt);
  EXPECT_EQ(ParseNumber<uint16_t>("65536"), std::nullopt);
  EXPECT_EQ(ParseNumber<uint16_t>("-1"), std::nullopt);
  for (const char* text : {"", " 1", "1 ", "+1", "1x", "0x10"}) {
    EXPECT_EQ(ParseNumber<int>(text), std::nullopt) << text;
  }
}

TEST(TextTest, FieldsAreSeparatedByRunsOfBlanks) {
  std::string_view rest = "  a  bc d";
  EXPECT_EQ(NextField(rest), "a");
  EXPECT_EQ(NextField(rest), "bc");
  EXPECT_EQ(NextField(rest), "d");
  EXPECT_EQ(NextField(rest), "");
  EXPECT_EQ(NextField(rest), "");
}

TEST(TextTest, SplitKeepsEmptyPartsBetweenSeparators) {
  EXPECT_THAT(Split("a,,b", ','), ElementsAre("a", "", "b"));
  EXPECT_THAT(Split(",a", ','), ElementsAre("", "a"));
  EXPECT_THAT(Split("a\nb\n", '\n'), ElementsAre("a", "b"));
  EXPECT_THAT(Split("", ','), IsEmpty());
}

TEST(TextTest, ValidUtf8IsLeftAlone) {
  for (const char* text : {"", "plain", "gr\xC3\xBC\xC3\x9F", "\xE2\x82\xAC", "\xF0\x9F\x94\x8B",
                           "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(ToValidUtf8(text), text);
  }
}

TEST(TextTest, EachByteThatIsNotUtf8IsReplaced) {
  const std::string r = kReplacement;
  EXPECT_EQ(ToValidUtf8("a\xFF\xC3z"), "a" + r + r + "z");
  EXPECT_EQ(ToValidUtf8("\xE2\x82"), r + r);                  // cut off
  EXPECT_EQ(ToValidUtf8("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(ToValidUtf8("\xE0\x80\xAF"), r + r + r);          // overlong
  EXPECT_EQ(ToValidUtf8("\xED\xA0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(ToValidUtf8("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(ToValidUtf8("\x80"), r);
}

TEST(TextTest, NearestFindsTheTypingError) {
  const std::vector<std::string> keys{"interval", "retention", "listen", "max_size"};
  EXPECT_EQ(Nearest("intervall", keys), "interval");
  EXPECT_EQ(Nearest("lsiten", keys), "listen");
  EXPECT_EQ(Nearest("maxsize", keys), "max_size");
  EXPECT_EQ(Nearest("listen", keys), "listen");
}

TEST(TextTest, NearestIsEmptyWhenNothingIsNear) {
  EXPECT_EQ(Nearest("banana", {"interval", "retention"}), "");
  EXPECT_EQ(Nearest("x", {}), "");
}

TEST(TextTest, GlobStarStandsForAnyRun) {
  EXPECT_TRUE(GlobMatch("*", ""));
  EXPECT_TRUE(GlobMatch("nvme-*", "nvme-pci-0100"));
  EXPECT_TRUE(GlobMatch("*-pci-*", "nvme-pci-0100"));
  EXPECT_TRUE(GlobMatch("*aab", "aaab"));
  EXPECT_TRUE(GlobMatch("a**b", "ab"));
  EXPECT_TRUE(GlobMatch("", ""));
  EXPECT_FALSE(GlobMatch("", "a"));
  EXPECT_FALSE(GlobMatch("nvme", "nvme-pci-0100"));
  EXPECT_FALSE(GlobMatch("*-isa-*", "nvme-pci-0100"));
  EXPECT_FALSE(GlobMatch("a*b", "abc"));
  EXPECT_FALSE(GlobMatch("a?c", "abc"));
}

TEST(TextTest, GlobOfManyStarsEndsSoon) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "a*";
  EXPECT_FALSE(GlobMatch(pattern + "b", std::string(2000, 'a')));
}

TEST(TextTest, AnIntegerOfAFileMayHaveBlanksAroundIt) {
  EXPECT_EQ(ParseIntFile(" -42\n"), -42);
  EXPECT_EQ(ParseIntFile("9223372036854775807\0\n"), INT64_MAX);
  for (const char* text : {"", "\n", "1 2", "0x10", "1.5", "9223372036854775808", "N/A"}) {
    EXPECT_EQ(ParseIntFile(text), std::nullopt) << text;
  }
}

TEST(TextTest, ANumberIsFoundByItsWholeKey) {
  const std::string_view text = "oom_kill_not 1\noom_kill 23\nother x\n";
  EXPECT_EQ(NumberOfKey(text, "oom_kill"), 23);
  EXPECT_EQ(NumberOfKey(text, "other"), std::nullopt);
  EXPECT_EQ(NumberOfKey(text, "oom"), std::nullopt);
  EXPECT_EQ(NumberOfKey("", "oom"), std::nullopt);
}

TEST(TextTest, ANameThatIsUsedGetsANumber) {
  std::set<std::string> used;
  EXPECT_EQ(UniqueName("a", used), "a");
  EXPECT_EQ(UniqueName("a#2", used), "a#2");
  EXPECT_EQ(UniqueName("a", used), "a#3");
  EXPECT_EQ(UniqueName("b", used), "b");
}

TEST(TextTest, FormatIsAsLongAsItMustBe) {
  EXPECT_EQ(Format("%s %.2f %d%%", "a", 1.005, 7), "a 1.00 7%");
  for (const size_t length : {0, 254, 255, 256, 257, 5000}) {
    const std::string word(length, 'x');
    EXPECT_EQ(Format("%s!", word.c_str()), word + "!") << length;
  }
  std::string text = "kept";
  AppendFormat(text, " %g", 0.5);
  EXPECT_EQ(text, "kept 0.5");
}

TEST(TextTest, DigitsAreAboutThree) {
  const std::vector<std::pair<double, std::string>> cases = {
      {0, "0"},       {0.0421, "0.042"}, {1, "1.00"},     {9.996, "10.00"}, {42, "42.0"},
      {123.4, "123"}, {12345, "12345"},  {-4.2, "-4.20"}, {-420, "-420"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(Digits(value), text);
}

}  // namespace
}  // namespace idlewatt
