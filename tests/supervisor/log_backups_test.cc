#include "supervisor/log/log_backups.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "tests/supervisor/log_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;

class LogBackupsTest : public testing::Test {
 protected:
  LogBackups MakeBackups(LogCompressor* compressor = nullptr) const {
    return LogBackups(tree.PathOf("a.log"), options, compressor);
  }
  void SetAge(const char* name, std::chrono::hours age) const {
    const auto when = std::chrono::system_clock::now() - age;
    const timespec time{std::chrono::system_clock::to_time_t(when), 0};
    const std::array<timespec, 2> times = {time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, tree.PathOf(name).c_str(), times.data(), 0), 0);
  }
  std::set<std::string> Files() const { return FilesIn(tree.path()); }
  // Text of some kilobytes that gzip does not make small.
  static std::string TextOf(int number, size_t size) {
    std::string text = "text " + std::to_string(number) + "\n";
    uint32_t state = static_cast<uint32_t>(number) + 1;
    while (text.size() < size) {
      state = state * 1664525 + 1013904223;
      text += static_cast<char>('a' + (state >> 24) % 26);
    }
    return text;
  }

  FakeTree tree;
  ServiceSpec::Log options = LogLimits(1 << 20, 5);
};

TEST_F(LogBackupsTest, PlainAndCompressedMoveOnTogether) {
  tree.Write("a.log", "zero");
  tree.Write("a.log.1", "one");
  tree.Write("a.log.2.gz", "two");
  tree.Write("a.log.3", "three");
  tree.Write("a.log.4.gz", "four");
  tree.Write("a.log.5.gz", "five");
  MakeBackups().Rotate();
  EXPECT_THAT(Files(), ElementsAre("a.log.1", "a.log.2", "a.log.3.gz", "a.log.4", "a.log.5.gz"));
  EXPECT_EQ(tree.Read("a.log.1"), "zero");
  EXPECT_EQ(tree.Read("a.log.2"), "one");
  EXPECT_EQ(tree.Read("a.log.3.gz"), "two");
  EXPECT_EQ(tree.Read("a.log.4"), "three");
  EXPECT_EQ(tree.Read("a.log.5.gz"), "four");
}

TEST_F(LogBackupsTest, OldOnesGoAtRotationAndAtOpening) {
  using std::chrono::hours;
  options.max_age = hours(48);
  for (const char* name : {"a.log", "a.log.1", "a.log.2.gz", "a.log.3"}) tree.Write(name, name);
  SetAge("a.log.1", hours(47));
  SetAge("a.log.2.gz", hours(49));
  SetAge("a.log.3", hours(1'000));
  LogBackups backups = MakeBackups();
  backups.Tidy();
  EXPECT_THAT(Files(), ElementsAre("a.log", "a.log.1"));
  SetAge("a.log.1", hours(49));
  backups.Rotate();
  EXPECT_THAT(Files(), ElementsAre("a.log.1"));
  EXPECT_EQ(tree.Read("a.log.1"), "a.log");
  SetAge("a.log.1", hours(1'000));
  options.max_age = {};
  backups.Configure(options);
  backups.Tidy();
  EXPECT_THAT(Files(), ElementsAre("a.log.1"));
}

TEST_F(LogBackupsTest, FewerBackupsThanBeforeRemovesTheOldest) {
  for (const char* name : {"a.log.2", "a.log.3.gz", "a.log.17", "a.log.1000.gz"}) {
    tree.Write(name, name);
  }
  options.max_backups = 2;
  MakeBackups().Tidy();
  EXPECT_THAT(Files(), ElementsAre("a.log.2"));
}

TEST_F(LogBackupsTest, FilesOfOthersStay) {
  const std::set<std::string> others = {
      "a.log.0",  "a.log.01", "a.log.1.bak",    "a.log.1.gz.gz", "a.log.1x",
      "a.log.-1", "a.log.",   "a.log.20261121", "a.log.1.log",   "ab.log.1",
      "a.log2.1", "xa.log.1", "a.log.1 ",       "a.log.1001",    "a.log.gz"};
  for (const std::string& name : others) tree.Write(name, "");
  LogBackups backups = MakeBackups();
  backups.Rotate();
  EXPECT_EQ(Files(), others);
  backups.DeleteAll();
  EXPECT_EQ(Files(), others);
}

TEST_F(LogBackupsTest, WhatAKilledDaemonLeftHalfDoneIsMended) {
  tree.Write("a.log.1", "one");
  tree.Write("a.log.1.gz", "one, compressed");
  tree.Write("a.log.2", "two");
  tree.Write("a.log.tmp", "half of two");
  MakeBackups().Tidy();
  EXPECT_THAT(Files(), ElementsAre("a.log.1.gz", "a.log.2"));
}

TEST_F(LogBackupsTest, BackupsOfBeforeAreCompressedTooNewestFirst) {
  const auto compressor = MakeCompressor();
  tree.Write("a.log.1", "one");
  tree.Write("a.log.2.gz", "two");
  tree.Write("a.log.3", "three");
  LogBackups backups = MakeBackups(compressor.get());
  backups.Tidy();
  DeliverUntil(*compressor, [&] { return Files().contains("a.log.1.gz"); });
  EXPECT_TRUE(Files().contains("a.log.3"));
  DeliverUntil(*compressor, [&] { return Files().contains("a.log.3.gz"); });
  EXPECT_THAT(Files(), ElementsAre("a.log.1.gz", "a.log.2.gz", "a.log.3.gz"));
  EXPECT_EQ(ReadMaybeGzip(tree.PathOf("a.log.1.gz")), "one");
  EXPECT_EQ(ReadMaybeGzip(tree.PathOf("a.log.3.gz")), "three");
  EXPECT_TRUE(IsGzip(tree.PathOf("a.log.3.gz")));
}

TEST_F(LogBackupsTest, NothingIsCompressedWhenNotAskedTo) {
  const auto compressor = MakeCompressor();
  options.compress = false;
  tree.Write("a.log", "zero");
  LogBackups backups = MakeBackups(compressor.get());
  backups.Rotate();
  // What another log asks for is done, and nothing before it.
  options.compress = true;
  tree.Write("b.log", "zero");
  LogBackups other(tree.PathOf("b.log"), options, compressor.get());
  other.Rotate();
  DeliverUntil(*compressor, [&] { return Files().contains("b.log.1.gz"); });
  EXPECT_TRUE(Files().contains("a.log.1"));
}

// Each backup has its own text at its own number, whichever of them were compressed meanwhile.
TEST_F(LogBackupsTest, TwentyQuickRotationsWhileCompressingMixNothingUp) {
  constexpr int kRotations = 20;
  const auto compressor = MakeCompressor();
  options.max_backups = 10;
  LogBackups backups = MakeBackups(compressor.get());
  for (int i = 0; i < kRotations; ++i) {
    tree.Write("a.log", TextOf(i, 300'000));
    backups.Rotate();
    if (i % 3 == 0) compressor->Deliver();
  }
  const auto all_compressed = [&] {
    const std::set<std::string> files = Files();
    return std::ranges::all_of(files, [](const auto& name) { return name.ends_with(".gz"); });
  };
  DeliverUntil(*compressor, all_compressed);
  EXPECT_EQ(Files().size(), 10U);
  for (int number = 1; number <= 10; ++number) {
    const std::string path = tree.PathOf("a.log." + std::to_string(number) + ".gz");
    EXPECT_TRUE(ReadMaybeGzip(path) == TextOf(kRotations - number, 300'000)) << path;
  }
}

// The backup under compression has moved on by one, by a few, and away.
TEST_F(LogBackupsTest, CompressedBackupTakesItsPlaceWhereverItMovedTo) {
  for (const int rotations : {1, 3, 5}) {
    SCOPED_TRACE(rotations);
    auto compressor = MakeCompressor();
    LogBackups backups = MakeBackups(compressor.get());
    tree.Write("a.log", "first");
    backups.Rotate();
    pollfd readable{.fd = compressor->fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&readable, 1, 30'000), 1);  // done, and not yet delivered
    for (int i = 0; i < rotations; ++i) {
      tree.Write("a.log", "later");
      backups.Rotate();
    }
    compressor->Deliver();
    const std::string place = tree.PathOf("a.log." + std::to_string(rotations + 1) + ".gz");
    EXPECT_EQ(ReadMaybeGzip(place), rotations < 5 ? "first" : "missing");
    backups.DeleteAll();
    compressor.reset();  // what it was at is given up by now
    EXPECT_THAT(Files(), ElementsAre());
  }
}

TEST_F(LogBackupsTest, FailureToCompressKeepsTheBackupAndIsNotTriedForEver) {
  const auto compressor = MakeCompressor();
  LogBackups backups = MakeBackups(compressor.get());
  tree.MakeDir("a.log.tmp/in the way");
  tree.Write("a.log.1", "one");
  backups.Tidy();
  pollfd readable{.fd = compressor->fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&readable, 1, 30'000), 1);
  compressor->Deliver();
  EXPECT_EQ(::poll(&readable, 1, 50), 0) << "it tries again and again";
  EXPECT_EQ(tree.Read("a.log.1"), "one");
  tree.Remove("a.log.tmp");
  backups.Tidy();
  DeliverUntil(*compressor, [&] { return Files().contains("a.log.1.gz"); });
}

// A daemon that is killed while it compresses leaves the backup as it was and at most one file,
// which the next daemon removes before it begins anew.
TEST_F(LogBackupsTest, KilledWhileCompressingLosesNothing) {
  tree.Write("a.log.1", "");
  std::filesystem::resize_file(tree.PathOf("a.log.1"), int64_t{1} << 40);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto compressor = MakeCompressor();
    LogBackups backups = MakeBackups(compressor.get());
    backups.Tidy();
    ::pause();
    ::_exit(1);
  }
  while (!Files().contains("a.log.tmp")) ::sched_yield();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(Files(), ElementsAre("a.log.1", "a.log.tmp"));
  EXPECT_EQ(std::filesystem::file_size(tree.PathOf("a.log.1")), uint64_t{1} << 40);

  MakeBackups().Tidy();
  EXPECT_THAT(Files(), ElementsAre("a.log.1"));
  std::filesystem::resize_file(tree.PathOf("a.log.1"), 1'000'000);
  const auto compressor = MakeCompressor();
  LogBackups backups = MakeBackups(compressor.get());
  backups.Tidy();
  DeliverUntil(*compressor, [&] { return Files().contains("a.log.1.gz"); });
  EXPECT_EQ(ReadMaybeGzip(tree.PathOf("a.log.1.gz")), std::string(1'000'000, '\0'));
  EXPECT_THAT(Files(), ElementsAre("a.log.1.gz"));
}

TEST_F(LogBackupsTest, EndOfTheLogAndItsCompressorLeavesNoHalfFile) {
  tree.Write("a.log.1", "");
  std::filesystem::resize_file(tree.PathOf("a.log.1"), int64_t{1} << 40);
  {
    const auto compressor = MakeCompressor();
    LogBackups backups = MakeBackups(compressor.get());
    backups.Tidy();
    while (!Files().contains("a.log.tmp")) ::sched_yield();
  }
  EXPECT_THAT(Files(), ElementsAre("a.log.1"));
}

}  // namespace
}  // namespace idlewatt
