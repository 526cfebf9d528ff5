#include "supervisor/log/output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "tests/supervisor/log_support.h"
#include "tests/support/fake_tree.h"
#include "tests/support/tmpfs.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class OutputTest : public testing::Test {
 protected:
  struct Pipe {
    Pipe() {
      std::array<int, 2> ends{};
      if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) ADD_FAILURE() << "pipe2";
      read.reset(ends[0]);
      write.reset(ends[1]);
    }
    void Write(std::string_view text) const {
      ASSERT_EQ(::write(write.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    // Of a megabyte, where that is allowed.
    void Widen() const { ::fcntl(write.get(), F_SETPIPE_SZ, 1 << 20); }
    // Waits where the pipe is full.
    void WriteAll(std::string_view text) const {
      ::fcntl(write.get(), F_SETFL, 0);
      while (!text.empty()) {
        const ssize_t count = ::write(write.get(), text.data(), text.size());
        if (count <= 0) return;
        text.remove_prefix(static_cast<size_t>(count));
      }
    }
    UniqueFd read;
    UniqueFd write;
  };

  Output MakeOutput(const ServiceSpec::Log& options = {}) {
    return Output(LogFile(tree.PathOf("a.log"), options, nullptr), tail);
  }
  // Drains until the end, waiting where the pipe is empty.
  static void DrainToTheEnd(Output& output, int pipe,
                            const std::function<void(std::string_view)>& on_data = {}) {
    for (Output::Drained drained{}; drained != Output::Drained::kEnd;) {
      drained = output.Drain(pipe, on_data);
      pollfd readable{.fd = pipe, .events = POLLIN, .revents = 0};
      if (drained == Output::Drained::kEmpty) {
        ASSERT_EQ(::poll(&readable, 1, 30'000), 1);
      }
    }
  }

  FakeTree tree;
  std::shared_ptr<LogTail> tail = std::make_shared<LogTail>();
};

TEST_F(OutputTest, WhatIsWrittenGoesToLogTailAndListener) {
  Output output = MakeOutput();
  Pipe pipe;
  std::string heard;
  const auto listen = [&](std::string_view data) {
    heard += data;
    EXPECT_EQ(tree.Read("a.log"), heard) << "it is in the log first";
  };
  EXPECT_EQ(output.Drain(pipe.read.get(), listen), Output::Drained::kEmpty);
  pipe.Write("one\n");
  EXPECT_EQ(output.Drain(pipe.read.get(), listen), Output::Drained::kEmpty);
  pipe.Write("two");
  pipe.write.reset();
  EXPECT_EQ(output.Drain(pipe.read.get(), listen), Output::Drained::kEnd);
  EXPECT_EQ(heard, "one\ntwo");
  EXPECT_EQ(tail->Read(0, 100).text, "one\ntwo");
  EXPECT_EQ(output.log().written_bytes(), 7);
  EXPECT_THAT(output.LastLines(), ElementsAre("one", "two"));
}

TEST_F(OutputTest, TwoRunsWriteAtOnce) {
  Output output = MakeOutput();
  Pipe old_run;
  Pipe new_run;
  old_run.Write("old\n");
  output.Drain(old_run.read.get(), {});
  new_run.Write("new\n");
  old_run.Write("last words\n");
  output.Drain(new_run.read.get(), {});
  output.Drain(old_run.read.get(), {});
  EXPECT_EQ(tree.Read("a.log"), "old\nnew\nlast words\n");
}

TEST_F(OutputTest, OneTurnTakesNoMoreThanItMay) {
  Output output = MakeOutput();
  Pipe pipe;
  pipe.Widen();
  std::jthread flood([&] {
    pipe.WriteAll(std::string(4 * Output::kTurnBytes, 'x'));
    pipe.write.reset();
  });
  uint64_t before = tail->end();
  int turns = 0;
  for (auto drained = Output::Drained::kMore; drained != Output::Drained::kEnd;) {
    drained = output.Drain(pipe.read.get(), {});
    const uint64_t taken = tail->end() - before;
    before = tail->end();
    if (taken > 0) ++turns;
    // The last read may exceed it by no more than one buffer.
    EXPECT_LE(taken, Output::kTurnBytes + (size_t{256} << 10));
    EXPECT_TRUE(drained != Output::Drained::kMore || taken >= Output::kTurnBytes);
  }
  EXPECT_GE(turns, 3);
  EXPECT_EQ(output.log().written_bytes(), int64_t{4 * Output::kTurnBytes});
}

TEST_F(OutputTest, FloodLosesNothingInBoundedDiskAndTail) {
  constexpr size_t kBytes = 64 << 20;
  Output output = MakeOutput(LogLimits(1 << 20, 2));
  Pipe pipe;
  pipe.Widen();
  std::jthread flood([&] {
    std::string lines;
    while (lines.size() < 1 << 20) lines += std::string(99, 'x') + "\n";
    for (size_t sent = 0; sent < kBytes; sent += lines.size()) pipe.WriteAll(lines);
    pipe.write.reset();
  });
  size_t heard = 0;
  DrainToTheEnd(output, pipe.read.get(), [&](std::string_view data) { heard += data.size(); });
  EXPECT_GE(heard, kBytes);
  EXPECT_EQ(output.log().written_bytes(), static_cast<int64_t>(heard));
  EXPECT_EQ(output.log().dropped_bytes(), 0);
  const LogTail::Piece kept = tail->Read(0, 1 << 30);
  EXPECT_EQ(kept.dropped + kept.text.size(), heard);
  EXPECT_LE(kept.text.size(), LogTail::kDefaultCapacity);
  uintmax_t on_disk = 0;
  for (const std::string& name : FilesIn(tree.path())) {
    on_disk += std::filesystem::file_size(tree.PathOf(name));
  }
  EXPECT_LE(on_disk, 3U * ((1U << 20) + 100U));
}

TEST_F(OutputTest, FullDiskKeepsDraining) {
  tree.MakeDir("disk");
  const auto disk = Tmpfs::Mount(tree.PathOf("disk"), "256k");
  if (!disk) GTEST_SKIP() << "no right to mount: " << std::strerror(errno);
  Output output(LogFile(tree.PathOf("disk/a.log"), LogLimits(10 << 20, 2), nullptr), tail);
  Pipe pipe;
  std::jthread flood([&] {
    pipe.WriteAll(std::string(8 << 20, 'x') + "\nlast line\n");
    pipe.write.reset();
  });
  DrainToTheEnd(output, pipe.read.get());
  EXPECT_EQ(output.log().written_bytes() + output.log().dropped_bytes(), (8 << 20) + 11);
  EXPECT_GT(output.log().dropped_bytes(), 7 << 20);
  EXPECT_EQ(tail->LastLines(1), std::vector<std::string>{"last line"});
}

TEST_F(OutputTest, BinaryWithoutNewlineAtTheEndIsKept) {
  const std::string text("line\n\377\0\1tail", 12);
  Output output = MakeOutput();
  Pipe pipe;
  pipe.Write(text);
  output.Drain(pipe.read.get(), {});
  EXPECT_EQ(tree.Read("a.log"), text);
  EXPECT_EQ(tail->Read(0, 100).text, text);
  EXPECT_THAT(output.LastLines(), ElementsAre("line", std::string("\xEF\xBF\xBD\0\1tail", 9)));
}

TEST_F(OutputTest, LastLinesAreFewAndBounded) {
  Output output = MakeOutput();
  Pipe pipe;
  pipe.Widen();
  for (int i = 0; i < 100; ++i) pipe.Write("line\n");
  output.Drain(pipe.read.get(), {});
  EXPECT_EQ(output.LastLines(), std::vector<std::string>(10, "line"));
  std::jthread flood([&] {
    pipe.WriteAll(std::string(1'000'000, 'y') + "\n1\n2\n");
    pipe.write.reset();
  });
  DrainToTheEnd(output, pipe.read.get());
  EXPECT_THAT(output.LastLines(), ElementsAre(std::string(4'091, 'y'), "1", "2"));
}

TEST_F(OutputTest, LastLinesAreOfThisRunAlone) {
  Output output = MakeOutput();
  Pipe pipe;
  pipe.Write("of the first\n");
  output.Drain(pipe.read.get(), {});
  output.BeginRun();
  EXPECT_THAT(output.LastLines(), IsEmpty());
  pipe.Write("of the second\n");
  output.Drain(pipe.read.get(), {});
  EXPECT_THAT(output.LastLines(), ElementsAre("of the second"));
}

TEST_F(OutputTest, TailBeginsWithTheLogOfAnEarlierDaemon) {
  std::string old;
  while (old.size() < 2 * LogTail::kDefaultCapacity) old += "old line\n";
  tree.Write("a.log", old + "the last\n");
  Output output = MakeOutput();
  EXPECT_EQ(tail->end(), LogTail::kDefaultCapacity);
  EXPECT_THAT(tail->LastLines(2), ElementsAre("old line", "the last"));
  EXPECT_THAT(output.LastLines(), IsEmpty());
  EXPECT_EQ(output.log().written_bytes(), 0);
}

TEST_F(OutputTest, ClosedLogIsOpenedByTheNextWrite) {
  Output output = MakeOutput();
  Pipe pipe;
  pipe.Write("one\n");
  output.Drain(pipe.read.get(), {});
  const size_t open = FilesIn("/proc/self/fd").size();
  output.Close();
  EXPECT_EQ(FilesIn("/proc/self/fd").size(), open - 1);
  pipe.Write("two\n");
  output.Drain(pipe.read.get(), {});
  EXPECT_EQ(tree.Read("a.log"), "one\ntwo\n");
}

// A FIFO that we hold open for writing too never ends; one whose last writer left does.
TEST_F(OutputTest, FifoEndsWhenNobodyCanWriteToIt) {
  Output output = MakeOutput();
  ASSERT_EQ(::mkfifo(tree.PathOf("fifo").c_str(), 0600), 0);
  const auto open = [&](int flags) {
    return UniqueFd(::open(tree.PathOf("fifo").c_str(), flags | O_NONBLOCK | O_CLOEXEC));
  };
  const UniqueFd reader = open(O_RDONLY);
  UniqueFd writer = open(O_RDWR);
  EXPECT_EQ(output.Drain(reader.get(), {}), Output::Drained::kEmpty);
  ASSERT_EQ(::write(writer.get(), "x", 1), 1);
  writer.reset();
  EXPECT_EQ(output.Drain(reader.get(), {}), Output::Drained::kEnd);
  EXPECT_EQ(output.log().written_bytes(), 1);
  const UniqueFd both = open(O_RDWR);
  EXPECT_EQ(output.Drain(both.get(), {}), Output::Drained::kEmpty);
}

}  // namespace
}  // namespace idlewatt
