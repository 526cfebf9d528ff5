#include "supervisor/log/log_compressor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <optional>

#include "base/text.h"
#include "tests/supervisor/log_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;

class LogCompressorTest : public testing::Test {
 protected:
  UniqueFd OpenSource(const char* name = "source") const {
    return UniqueFd(::open(tree.PathOf(name).c_str(), O_RDONLY | O_CLOEXEC));
  }
  // Starts on `source` and keeps how it ended.
  LogCompressor::Task Start(const char* target = "target") {
    return compressor->Compress(OpenSource(), tree.PathOf(target),
                                [this](Result<void> result) { ended = std::move(result); });
  }
  // So large that nothing compresses it within this test.
  void MakeHugeSource() {
    tree.Write("source", "");
    std::filesystem::resize_file(tree.PathOf("source"), int64_t{1} << 40);
  }
  void WaitForFile(const char* name) const {
    while (!std::filesystem::exists(tree.PathOf(name))) ::sched_yield();
  }
  void WaitForEnd() {
    DeliverUntil(*compressor, [this] { return ended.has_value(); });
  }

  FakeTree tree;
  std::unique_ptr<LogCompressor> compressor = MakeCompressor();
  std::optional<Result<void>> ended;
};

TEST_F(LogCompressorTest, MakesGzipOfTheSameTextModeAndTime) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "line " + std::to_string(i) + "\n";
  tree.Write("source", text);
  ::chmod(tree.PathOf("source").c_str(), 0640);
  const std::array<timespec, 2> times = {{{1'000, 0}, {2'000, 3}}};
  ::utimensat(AT_FDCWD, tree.PathOf("source").c_str(), times.data(), 0);
  const auto task = Start();
  WaitForEnd();
  ASSERT_TRUE(*ended) << ended->error().ToString();
  EXPECT_TRUE(IsGzip(tree.PathOf("target")));
  EXPECT_EQ(ReadMaybeGzip(tree.PathOf("target")), text);
  EXPECT_LT(std::filesystem::file_size(tree.PathOf("target")), text.size() / 3);
  struct stat status {};
  ::stat(tree.PathOf("target").c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
  EXPECT_EQ(status.st_mtim.tv_sec, 2'000);
  EXPECT_EQ(status.st_mtim.tv_nsec, 3);
}

TEST_F(LogCompressorTest, EmptyAndBinaryFilesComeBackAsTheyWere) {
  tree.Write("source", "");
  const auto empty = Start("empty");
  WaitForEnd();
  EXPECT_EQ(ReadMaybeGzip(tree.PathOf("empty")), "");
  ended.reset();
  tree.Write("source", std::string_view("\0\xFF\n\x1F\x8B", 5));
  const auto binary = Start("binary");
  WaitForEnd();
  EXPECT_EQ(ReadMaybeGzip(tree.PathOf("binary")), std::string("\0\xFF\n\x1F\x8B", 5));
}

TEST_F(LogCompressorTest, WhatCannotBeWrittenIsToldAndLeavesNothing) {
  tree.Write("source", "text");
  const auto task = Start("missing/target");
  WaitForEnd();
  ASSERT_FALSE(*ended);
  EXPECT_EQ(ended->error().subject, tree.PathOf("missing/target"));
  EXPECT_THAT(FilesIn(tree.path()), ElementsAre("source"));
}

TEST_F(LogCompressorTest, SourceDeletedMeanwhileEndsTheWork) {
  MakeHugeSource();
  const auto task = Start();
  WaitForFile("target");
  tree.Remove("source");
  WaitForEnd();
  ASSERT_FALSE(*ended);
  EXPECT_EQ(ended->error().code, ErrorCode::kGone);
  EXPECT_THAT(FilesIn(tree.path()), ElementsAre());
}

// A job given up under way, one that waits, and one that is done but not delivered: no file, no
// call.
TEST_F(LogCompressorTest, JobGivenUpLeavesNothing) {
  MakeHugeSource();
  auto under_way = Start("one");
  auto waiting = Start("two");
  WaitForFile("one");
  waiting.Reset();
  under_way.Reset();
  tree.Write("source", "text");
  auto done = Start("three");
  pollfd readable{.fd = compressor->fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&readable, 1, 30'000), 1);
  EXPECT_THAT(FilesIn(tree.path()), ElementsAre("source", "three"));
  done.Reset();
  compressor->Deliver();
  EXPECT_THAT(FilesIn(tree.path()), ElementsAre("source"));
  EXPECT_FALSE(ended);
}

TEST_F(LogCompressorTest, EndsInTheMiddleAtOnceAndLeavesNoHalfFile) {
  MakeHugeSource();
  auto task = Start();
  WaitForFile("target");
  const auto begin = std::chrono::steady_clock::now();
  task.Reset();
  compressor.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(FilesIn(tree.path()), ElementsAre("source"));
}

TEST_F(LogCompressorTest, ThreadYieldsToEverybodyElse) {
  MakeHugeSource();
  const auto task = Start();
  WaitForFile("target");
  int found = 0;
  for (const std::string& name : FilesIn("/proc/self/task")) {
    const auto thread = ParseNumber<id_t>(name).value_or(0);
    std::string comm;
    std::ifstream("/proc/self/task/" + name + "/comm") >> comm;
    if (comm == "iw-compress") {
      ++found;
      EXPECT_EQ(::getpriority(PRIO_PROCESS, thread), 19);
    } else {
      EXPECT_LT(::getpriority(PRIO_PROCESS, thread), 19) << comm;
    }
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace idlewatt
