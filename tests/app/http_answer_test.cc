#include "app/http_answer.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

struct Taken {
  std::string body;
  int status = 0;
  bool is_whole = false;
  bool may_end_here = false;
  bool failed = false;
};

// Given in pieces of `piece` bytes.
Taken Take(std::string_view text, size_t piece) {
  HttpAnswer answer;
  Taken taken;
  while (!text.empty() && !taken.failed) {
    taken.failed = !answer.Take(text.substr(0, piece), taken.body);
    text.remove_prefix(std::min(piece, text.size()));
  }
  taken.status = answer.status();
  taken.is_whole = answer.is_whole();
  taken.may_end_here = answer.may_end_here();
  return taken;
}

class HttpAnswerTest : public testing::TestWithParam<size_t> {};

TEST_P(HttpAnswerTest, TakesABodyWithALength) {
  const Taken taken = Take("HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\nabc", GetParam());
  EXPECT_EQ(taken.status, 200);
  EXPECT_EQ(taken.body, "abc");
  EXPECT_TRUE(taken.is_whole);
  EXPECT_FALSE(Take("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", GetParam()).may_end_here);
  EXPECT_TRUE(Take("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", GetParam()).is_whole);
}

TEST_P(HttpAnswerTest, TakesChunks) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
  const Taken taken =
      Take(head + "3\r\nabc\r\n0a;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", GetParam());
  EXPECT_EQ(taken.body, "abc0123456789");
  EXPECT_TRUE(taken.is_whole);
  const Taken early = Take(head + "3\r\nabc\r\n", GetParam());
  EXPECT_EQ(early.body, "abc");
  EXPECT_FALSE(early.may_end_here);
}

TEST_P(HttpAnswerTest, TakesABodyUpToTheEnd) {
  const Taken taken = Take("HTTP/1.0 200 OK\r\n\r\nabc\r\n\r\n", GetParam());
  EXPECT_EQ(taken.body, "abc\r\n\r\n");
  EXPECT_FALSE(taken.is_whole);
  EXPECT_TRUE(taken.may_end_here);
}

TEST_P(HttpAnswerTest, SkipsInterimAnswers) {
  const Taken taken = Take(
      "HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: "
      "1\r\n\r\nx",
      GetParam());
  EXPECT_EQ(taken.status, 404);
  EXPECT_EQ(taken.body, "x");
}

TEST_P(HttpAnswerTest, RefusesWhatIsNone) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& text :
       {std::string("SSH-2.0-OpenSSH\r\n\r\n"), std::string("HTTP/1.1 abc\r\n\r\n"),
        std::string("HTTP/1.\r\n\r\n"), std::string("HTTP/1.1 099 x\r\n\r\n"),
        std::string("HTTP/1.1 200\r\nContent-Length: x\r\n\r\n"),
        std::string("HTTP/1.1 200\r\nContent-Length: -1\r\n\r\n"),
        std::string("HTTP/1.1 200\r\nTransfer-Encoding: gzip\r\n\r\n"),
        std::string(HttpAnswer::kMostHead + 1, 'x'), chunked + "x\r\n", chunked + "\r\n",
        chunked + "3\r\nabcd\r\n", chunked + "fffffffffffffffff\r\n",
        chunked + std::string(HttpAnswer::kMostHead + 1, '1')}) {
    EXPECT_TRUE(Take(text, GetParam()).failed) << text.substr(0, 80);
  }
}

INSTANTIATE_TEST_SUITE_P(Cut, HttpAnswerTest, testing::Values(1, 7, 1'000'000));

}  // namespace
}  // namespace idlewatt
