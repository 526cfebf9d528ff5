#include "supervisor/spec/env_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::HasSubstr;

// The value of A.
std::string Value(std::string_view text) {
  const Result<Variables> variables = ParseEnvFile(text);
  if (!variables) return "error: " + variables.error().ToString();
  const auto found = variables->find("A");
  return found != variables->end() ? found->second : "not set";
}

TEST(EnvFileTest, ReadsAssignmentsBetweenCommentsAndEmptyLines) {
  const Result<Variables> variables = ParseEnvFile(
      "# A comment = no assignment\n"
      "\n"
      "  ; another \\\n"
      "MODEL=/srv/m.gguf\n"
      "export THREADS=8\n"
      "\texport\tSPACED = a b \r\n"
      "EMPTY=\n"
      "LAST=no line feed");
  ASSERT_TRUE(variables) << variables.error().ToString();
  EXPECT_EQ(*variables, (Variables{{"MODEL", "/srv/m.gguf"},
                                   {"THREADS", "8"},
                                   {"SPACED", "a b"},
                                   {"EMPTY", ""},
                                   {"LAST", "no line feed"}}));
}

TEST(EnvFileTest, AnUnquotedValueKeepsWhatIsInsideIt) {
  EXPECT_EQ(Value("A=a  b=\"c\" #d 'e'\n"), "a  b=\"c\" #d 'e'");
  EXPECT_EQ(Value("A=$HOME ${X} `y`"), "$HOME ${X} `y`");
}

TEST(EnvFileTest, ABackslashKeepsTheNextCharacterAndContinuesALine) {
  EXPECT_EQ(Value("A=a\\\\b\\\"c\\n"), "a\\b\"cn");
  EXPECT_EQ(Value("A=one \\\ntwo\nB=3"), "one two");
  EXPECT_EQ(Value("A=blank\\ \\ \n"), "blank  ");
  EXPECT_EQ(Value("A=end\\"), "end");
}

TEST(EnvFileTest, SingleQuotesHoldAnyText) {
  EXPECT_EQ(Value("A=' a\\n\"b\"\n#c ' \nB=1"), " a\\n\"b\"\n#c ");
}

TEST(EnvFileTest, DoubleQuotesEscapeAsInAShell) {
  EXPECT_EQ(Value("A=\"a\\\"b\\\\c\\$d\\`e\\nf\""), "a\"b\\c$d`e\\nf");
  EXPECT_EQ(Value("A=\"one \\\ntwo\nthree\""), "one two\nthree");
}

TEST(EnvFileTest, PiecesAreJoined) { EXPECT_EQ(Value("A= 'a b' \"c\"d e \n"), "a bcd e"); }

TEST(EnvFileTest, TheLastValueHolds) { EXPECT_EQ(Value("A=1\nA=2\n"), "2"); }

TEST(EnvFileTest, WhatIsNoAssignmentIsAnErrorWithItsLine) {
  EXPECT_EQ(Value("A=1\nhello\n"), "error: line 2: is no assignment; write NAME=value");
  EXPECT_EQ(Value("A='1\n2'\n\n3B=1"), "error: line 4: \"3B\" is no name of a variable");
  EXPECT_EQ(Value("=1"), "error: line 1: \"\" is no name of a variable");
  EXPECT_EQ(Value("A B=1"), "error: line 1: \"A B\" is no name of a variable");
  EXPECT_EQ(Value("\nA=\"b\nc\n"), "error: line 2: has no closing \"");
  EXPECT_EQ(Value("\nA='b\n"), "error: line 2: has no closing '");
  EXPECT_EQ(Value(std::string_view("A=1\nB=\0", 7)), "error: line 2: holds a NUL character");
}

TEST(EnvFileTest, AFileThatCannotBeUsedIsToldWithItsPath) {
  FakeTree tree;
  tree.Write("good", "A=1\n");
  tree.Write("bad", "A=1\nB\n");
  tree.Write("large", std::string((1 << 20) + 1, '#'));
  tree.MakeDir("folder");
  ASSERT_EQ(::mkfifo(tree.PathOf("fifo").c_str(), 0600), 0);
  const auto why = [&](const char* name) {
    const Result<Variables> variables = ReadEnvFile(tree.PathOf(name));
    return variables ? std::string() : variables.error().ToString();
  };
  EXPECT_EQ(ReadEnvFile(tree.PathOf("good")).value(), (Variables{{"A", "1"}}));
  EXPECT_EQ(why("bad"),
            "env_file \"" + tree.PathOf("bad") + "\": line 2: is no assignment; write NAME=value");
  EXPECT_THAT(why("missing"), HasSubstr("cannot be read: No such file"));
  EXPECT_THAT(why("large"), HasSubstr("larger than 1 MiB"));
  EXPECT_THAT(why("folder"), HasSubstr("no regular file"));
  EXPECT_THAT(why("fifo"), HasSubstr("no regular file"));
}

}  // namespace
}  // namespace idlewatt
