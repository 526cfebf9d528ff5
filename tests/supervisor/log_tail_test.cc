#include "supervisor/log/log_tail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace idlewatt {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(LogTailTest, GivesWhatWasWrittenFromAnyPosition) {
  LogTail tail(100);
  tail.Append("one\n");
  tail.Append("two\n");
  const LogTail::Piece all = tail.Read(0, 100);
  EXPECT_EQ(all.text, "one\ntwo\n");
  EXPECT_EQ(all.next, 8U);
  EXPECT_EQ(all.dropped, 0U);
  EXPECT_EQ(tail.Read(4, 2).text, "tw");
  EXPECT_EQ(tail.Read(4, 2).next, 6U);
  EXPECT_EQ(tail.Read(8, 100).text, "");
  EXPECT_EQ(tail.end(), 8U);
}

TEST(LogTailTest, PositionBeyondTheEndStandsForTheEnd) {
  LogTail tail(100);
  tail.Append("one");
  EXPECT_EQ(tail.Read(1'000, 100).text, "");
  EXPECT_EQ(tail.Read(1'000, 100).next, 3U);
  EXPECT_EQ(tail.WaitAndRead(1'000, 100, std::chrono::nanoseconds(1)).next, 3U);
}

TEST(LogTailTest, WhatIsGoneIsCounted) {
  LogTail tail(4);
  tail.Append("0123456");
  const LogTail::Piece piece = tail.Read(1, 100);
  EXPECT_EQ(piece.text, "3456");
  EXPECT_EQ(piece.dropped, 2U);
  EXPECT_EQ(piece.next, 7U);
  tail.Append("78");
  EXPECT_EQ(tail.Read(piece.next, 100).text, "78");
  EXPECT_EQ(tail.Read(piece.next, 100).dropped, 0U);
}

// Any sequence of writes, of sizes around the capacity, reads like the end of one long text.
TEST(LogTailTest, WrapsAroundAtAnySize) {
  std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): the same each time
  for (const size_t capacity : {1U, 2U, 7U, 64U}) {
    LogTail tail(capacity);
    std::string written;
    for (int i = 0; i < 500; ++i) {
      const std::string piece(random() % (2 * capacity + 2), static_cast<char>('a' + i % 26));
      tail.Append(piece);
      written += piece;
      const size_t kept = std::min(capacity, written.size());
      ASSERT_EQ(tail.Read(0, capacity).text, written.substr(written.size() - kept));
      ASSERT_EQ(tail.Read(0, capacity).dropped, written.size() - kept);
      const uint64_t from = written.size() - random() % (kept + 1);
      ASSERT_EQ(tail.Read(from, 3).text, written.substr(from, 3));
    }
  }
}

TEST(LogTailTest, KeepsNoMoreThanItsCapacity) {
  LogTail tail(1'000);
  const std::string line(1 << 20, 'x');
  for (int i = 0; i < 3; ++i) tail.Append(line + "\n");
  const LogTail::Piece piece = tail.Read(0, 1 << 30);
  EXPECT_EQ(piece.text, std::string(999, 'x') + "\n");
  EXPECT_EQ(piece.dropped, 3 * ((1U << 20) + 1) - 1'000);
  EXPECT_THAT(tail.LastLines(10), ElementsAre(std::string(999, 'x')));
}

TEST(LogTailTest, LastLinesWithAndWithoutNewlineAtTheEnd) {
  LogTail tail(100);
  EXPECT_THAT(tail.LastLines(2), IsEmpty());
  tail.Append("one\ntwo\n\nfour\n");
  EXPECT_THAT(tail.LastLines(3), ElementsAre("two", "", "four"));
  tail.Append("fi");
  EXPECT_THAT(tail.LastLines(3), ElementsAre("", "four", "fi"));
  tail.Append("ve\n");
  EXPECT_THAT(tail.LastLines(2), ElementsAre("four", "five"));
  EXPECT_THAT(tail.LastLines(100), ElementsAre("one", "two", "", "four", "five"));
  EXPECT_THAT(tail.LastLines(0), IsEmpty());
}

TEST(LogTailTest, LastLinesAfterAPosition) {
  LogTail tail(100);
  tail.Append("old\n");
  const uint64_t begin = tail.end();
  EXPECT_THAT(tail.LastLines(10, begin), IsEmpty());
  tail.Append("\nnew\n");
  EXPECT_THAT(tail.LastLines(10, begin), ElementsAre("", "new"));
  EXPECT_THAT(tail.LastLines(1, begin), ElementsAre("new"));
  EXPECT_THAT(tail.LastLines(10, begin + 3), ElementsAre("w"));
}

TEST(LogTailTest, BeginOfLastLinesIsWhereToReadFrom) {
  LogTail tail(15);
  EXPECT_EQ(tail.BeginOfLastLines(1), 0U);
  tail.Append("one\ntwo\nthree");
  EXPECT_EQ(tail.Read(tail.BeginOfLastLines(2), 100).text, "two\nthree");
  EXPECT_EQ(tail.BeginOfLastLines(0), tail.end());
  tail.Append("\nfour\nfive\n");  // wraps
  EXPECT_EQ(tail.Read(tail.BeginOfLastLines(2), 100).text, "four\nfive\n");
  EXPECT_EQ(tail.Read(tail.BeginOfLastLines(3), 100).text, "hree\nfour\nfive\n");
  EXPECT_EQ(tail.Read(tail.BeginOfLastLines(100), 100).dropped, 0U);
}

TEST(LogTailTest, LinesAreValidUtf8AndTextIsAsItWas) {
  LogTail tail(100);
  tail.Append(std::string_view("a\xFF\0b\nc\n", 7));
  EXPECT_EQ(tail.Read(0, 100).text, std::string("a\xFF\0b\nc\n", 7));
  EXPECT_THAT(tail.LastLines(2), ElementsAre(std::string("a\xEF\xBF\xBD\0b", 6), "c"));
}

TEST(LogTailTest, WaitEndsAtTheTimeoutWithNothing) {
  LogTail tail(100);
  tail.Append("one");
  EXPECT_EQ(tail.WaitAndRead(3, 100, std::chrono::milliseconds(1)).text, "");
  EXPECT_EQ(tail.WaitAndRead(1, 100, std::chrono::nanoseconds(0)).text, "ne");
}

// Whoever follows from another thread gets every byte, or knows how many it missed.
TEST(LogTailTest, FollowersOnOtherThreadsMissNothingUncounted) {
  constexpr uint64_t kBytes = 4 << 20;
  LogTail tail(size_t{64} << 10);
  std::string text(kBytes, '\0');
  std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): the same each time
  for (char& c : text) c = static_cast<char>(random());
  const auto follow = [&] {
    uint64_t position = 0;
    bool same = true;
    while (position < kBytes) {
      const LogTail::Piece piece = tail.WaitAndRead(position, 10'000, seconds(30));
      if (piece.text.empty()) return false;
      position += piece.dropped;
      same = same && std::string_view(text).substr(position, piece.text.size()) == piece.text;
      position += piece.text.size();
      same = same && position == piece.next;
    }
    return same;
  };
  bool first = false;
  bool second = false;
  {
    const std::jthread one([&] { first = follow(); });
    const std::jthread two([&] { second = follow(); });
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::string_view piece = rest.substr(0, 1 + random() % 20'000);
      tail.Append(piece);
      rest.remove_prefix(piece.size());
    }
  }
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
}

// Two threads that answer each other: each wait ends with the write, not with its timeout.
TEST(LogTailTest, WriteWakesAWaitingReader) {
  constexpr uint64_t kRounds = 1'000;
  LogTail there(100);
  LogTail back(100);
  const auto begin = std::chrono::steady_clock::now();
  const std::jthread reader([&] {
    for (uint64_t i = 0; i < kRounds; ++i) back.Append(there.WaitAndRead(i, 1, seconds(60)).text);
  });
  for (uint64_t i = 0; i < kRounds; ++i) {
    there.Append("x");
    ASSERT_EQ(back.WaitAndRead(i, 1, seconds(60)).text, "x");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(30));
}

}  // namespace
}  // namespace idlewatt
