#include "supervisor/probe/log_matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::StrEq;

LogMatcher Matcher(const std::vector<std::string>& patterns) {
  Result<LogMatcher> matcher = LogMatcher::Create(patterns);
  if (!matcher) ADD_FAILURE() << matcher.error().ToString();
  return std::move(*matcher);
}

// Does a line "TEXT\n" match?
bool Finds(const std::string& pattern, const std::string& text) {
  return Matcher({pattern}).Feed(text + "\n").has_value();
}

TEST(LogMatcherTest, FindsAPlainPatternWhateverItsCase) {
  LogMatcher matcher = Matcher({"server started", "Listening On"});
  EXPECT_EQ(matcher.Feed("loading\nmain: warming up\n"), std::nullopt);
  EXPECT_THAT(matcher.Feed("a\n  main: LISTENING on 127.0.0.1:8001 \nb\n"),
              Optional(StrEq("main: LISTENING on 127.0.0.1:8001")));
}

TEST(LogMatcherTest, FindsAPatternThatIsSplitOverWrites) {
  LogMatcher matcher = Matcher({"listening on"});
  EXPECT_FALSE(matcher.Feed("info: lis"));
  EXPECT_FALSE(matcher.Feed("tening"));
  EXPECT_THAT(matcher.Feed(" on 8001"), Optional(StrEq("info: listening on 8001")));
}

TEST(LogMatcherTest, FindsAnExpressionThatIsSplitOverWrites) {
  LogMatcher matcher = Matcher({"on port [0-9]+"});
  for (const char c : std::string("up on port ")) EXPECT_FALSE(matcher.Feed({&c, 1}));
  EXPECT_TRUE(matcher.Feed("8"));
}

TEST(LogMatcherTest, DoesNotFindAcrossLines) {
  EXPECT_FALSE(Finds("listening on", "listening\non"));
  EXPECT_FALSE(Finds("listening.on", "listening\non"));
  EXPECT_FALSE(Finds("listening[^x]on", "listening\ron"));
}

TEST(LogMatcherTest, LineEndsWithCarriageReturnToo) {
  EXPECT_TRUE(Finds("^ready$", "10 %\r20 %\rready\r"));
  EXPECT_TRUE(Finds("^ready$", "ready\r\n"));
}

TEST(LogMatcherTest, EndOfALineIsAwaitedForADollar) {
  LogMatcher matcher = Matcher({"ready$"});
  EXPECT_FALSE(matcher.Feed("ready"));
  EXPECT_FALSE(matcher.Feed(" in 3 s\nready"));
  EXPECT_TRUE(matcher.Feed("\n"));
}

TEST(LogMatcherTest, CaretIsTheBeginningOfALineOnly) {
  LogMatcher matcher = Matcher({"^ready"});
  EXPECT_FALSE(matcher.Feed("not "));
  EXPECT_FALSE(matcher.Feed("ready\n"));
  // Nor the beginning of a piece of a long line.
  const size_t cut = LogMatcher::kPieceBytes - LogMatcher::kOverlapBytes;
  EXPECT_FALSE(matcher.Feed(std::string(cut, '.') + "ready" + std::string(5000, '.') + "\n"));
  EXPECT_TRUE(matcher.Feed("ready"));
}

TEST(LogMatcherTest, FindsInAVeryLongLine) {
  for (const char* pattern : {"now listening", "now +listening"}) {
    for (size_t before : {size_t{0}, size_t{2040}, size_t{2048}, size_t{4090}, size_t{1} << 20}) {
      LogMatcher matcher = Matcher({pattern});
      EXPECT_TRUE(matcher.Feed(std::string(before, '.') + "now listening")) << before;
    }
  }
}

TEST(LogMatcherTest, FindsBehindBinaryData) {
  std::string line("a\0\xFF\xFE\0b listening on\n", 20);
  EXPECT_TRUE(Matcher({"listening on"}).Feed(line));
  EXPECT_TRUE(Matcher({"listening +on"}).Feed(line));
}

TEST(LogMatcherTest, WhatIsShownIsShortValidUtf8) {
  const auto shown = Matcher({"ready"}).Feed("ready \xFF" + std::string(5000, 'x') + "\n");
  ASSERT_TRUE(shown);
  EXPECT_THAT(*shown, HasSubstr("ready \xEF\xBF\xBDxx"));
  EXPECT_LE(shown->size(), LogMatcher::kShownBytes + 2);
}

TEST(LogMatcherTest, UnderstandsExtendedExpressions) {
  EXPECT_TRUE(Finds("(http|server) (started|listening)", "HTTP Listening"));
  EXPECT_TRUE(Finds("port [0-9]+$", "port 8001"));
  EXPECT_FALSE(Finds("port [0-9]+$", "port 8001 x"));
  EXPECT_TRUE(Finds("http\\.server", "http.server"));
  EXPECT_FALSE(Finds("http\\.server", "http-server"));
}

TEST(LogMatcherTest, OfSeveralPatternsAnyMatches) {
  const std::vector<std::string> patterns = {"one", "t[w]o", "three"};
  for (const char* text : {"one", "two", "three"}) EXPECT_TRUE(Matcher(patterns).Feed(text));
  EXPECT_FALSE(Matcher(patterns).Feed("four"));
  EXPECT_FALSE(Matcher({}).Feed("one\n"));
}

TEST(LogMatcherTest, WhatIsNoPatternIsRefused) {
  const auto matcher = LogMatcher::Create({"fine", "(listening"});
  ASSERT_FALSE(matcher);
  EXPECT_EQ(matcher.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(matcher.error().subject, HasSubstr("(listening"));
  EXPECT_FALSE(LogMatcher::Create({""}));
}

// Such a line takes the square of its length for such a pattern.
TEST(LogMatcherTest, FloodOfLinesThatAreHardToMatchTakesBoundedTime) {
  LogMatcher matcher = Matcher({"[0-9]+ ready", "listening on"});
  const std::string flood(size_t{1} << 20, '7');
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(matcher.Feed(flood));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));  // else 10 s
  EXPECT_TRUE(matcher.Feed(flood + "listening on"));
  EXPECT_TRUE(matcher.Feed("\n1 ready"));
}

}  // namespace
}  // namespace idlewatt
