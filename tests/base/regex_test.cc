#include "base/regex.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

TEST(RegexTest, FindsAPartAndMatchesTheWhole) {
  const Result<Regex> regex = Regex::Compile("listen(ing)? on [0-9]*");
  ASSERT_TRUE(regex);
  EXPECT_TRUE(regex->IsFoundIn("server: listening on 8001, ready"));
  EXPECT_FALSE(regex->IsFoundIn("Listening on 8001"));
  EXPECT_FALSE(regex->Matches("server: listening on 8001"));
  EXPECT_TRUE(regex->Matches("listen on 8001"));
}

TEST(RegexTest, ATextThatIsPartOfALargerOneEndsWhereItEnds) {
  const Result<Regex> regex = Regex::Compile("on 80$");
  ASSERT_TRUE(regex);
  EXPECT_TRUE(regex->IsFoundIn(std::string_view("listening on 8001").substr(0, 15)));
}

TEST(RegexTest, APartBeginsAndEndsATextWhereItIsSaid) {
  const Result<Regex> regex = Regex::Compile("^ready$");
  ASSERT_TRUE(regex);
  EXPECT_TRUE(regex->IsFoundInPart("ready", true, true));
  EXPECT_FALSE(regex->IsFoundInPart("ready", false, true));
  EXPECT_FALSE(regex->IsFoundInPart("ready", true, false));
  EXPECT_TRUE(Regex::Compile("^$")->IsFoundInPart("", true, true));
}

TEST(RegexTest, LettersOfEitherCaseWhereAskedFor) {
  const Result<Regex> regex = Regex::Compile("server started", Regex::Case::kIgnored);
  ASSERT_TRUE(regex);
  EXPECT_TRUE(regex->IsFoundIn("INFO: Server Started."));
}

TEST(RegexTest, WhatIsWrongOrCostlyIsRefusedWithTheReason) {
  for (const char* pattern : {"(", "[a", "*", "a{1,30000}", "(a)\\1", "((((a+)+)+)+)+"}) {
    const Result<Regex> regex = Regex::Compile(pattern);
    ASSERT_FALSE(regex) << pattern;
    EXPECT_EQ(regex.error().code, ErrorCode::kInvalid);
    EXPECT_FALSE(regex.error().text.empty());
  }
  EXPECT_FALSE(Regex::Compile(std::string(257, 'a')));
  EXPECT_FALSE(Regex::Compile(std::string_view("a\0b", 3)));
  EXPECT_TRUE(Regex::Compile("\\{\"listening\":true\\}"));
}

}  // namespace
}  // namespace idlewatt
