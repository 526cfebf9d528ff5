#include "supervisor/log/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "tests/supervisor/log_support.h"
#include "tests/support/fake_tree.h"
#include "tests/support/tmpfs.h"

namespace idlewatt {
namespace {

LogFile MakeLog(const std::string& path, int64_t max_size, int max_backups) {
  return LogFile(path, LogLimits(max_size, max_backups), nullptr);
}

TEST(LogFileTest, AppendsToWhatIsThere) {
  FakeTree tree;
  tree.Write("a.log", "old\n");
  LogFile log = MakeLog(tree.PathOf("a.log"), 100, 1);
  log.Append("new");
  log.Close();
  log.Append(std::string_view("\0\xFFx", 3));
  EXPECT_EQ(tree.Read("a.log"), std::string("old\nnew\0\xFFx", 10));
  EXPECT_EQ(log.written_bytes(), 6);
}

TEST(LogFileTest, RotatesAtLineEndsAndKeepsSoMany) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 8, 2);
  log.Append("one\ntwo\nthree\nfour\n");
  log.Append("five\n");
  EXPECT_EQ(tree.Read("a.log"), "five\n");
  EXPECT_EQ(tree.Read("a.log.1"), "four\n");
  EXPECT_EQ(tree.Read("a.log.2"), "three\n");
  EXPECT_FALSE(std::filesystem::exists(tree.PathOf("a.log.3")));
  EXPECT_EQ(log.written_bytes(), 24);
}

TEST(LogFileTest, LineLongerThanAFileIsCut) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 4, 1);
  log.Append("0123456789");
  EXPECT_EQ(tree.Read("a.log.1"), "4567");
  EXPECT_EQ(tree.Read("a.log"), "89");
  log.Append("abcdef");
  EXPECT_EQ(tree.Read("a.log.1"), "89ab");
  EXPECT_EQ(tree.Read("a.log"), "cdef");
}

TEST(LogFileTest, LinesStayWholeInWhateverPiecesTheyCome) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 1'000, 500);
  std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): the same each time
  std::string text;
  for (int i = 0; i < 2'000; ++i) {
    text += std::to_string(i) + std::string(random() % 100, '.') + "\n";
  }
  for (std::string_view rest = text; !rest.empty();) {
    const size_t size = std::min<size_t>(rest.size(), 1 + random() % 150);
    log.Append(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  std::string all;
  for (size_t number = FilesIn(tree.path()).size() - 1; number > 0; --number) {
    const std::string file = tree.Read("a.log." + std::to_string(number));
    EXPECT_THAT(file, testing::EndsWith("\n"));
    EXPECT_LE(file.size(), 1'110U);
    EXPECT_GE(file.size(), 890U);
    all += file;
  }
  EXPECT_EQ(all + tree.Read("a.log"), text);
}

TEST(LogFileTest, LineOfAMegabyteInPiecesStaysWhole) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 1'100'000, 2);
  log.Append("first\n");
  log.Append(std::string(199'994, 'x') + "\n");
  const std::string piece(100'000, 'y');
  for (int i = 0; i < 10; ++i) log.Append(piece);
  log.Append("\nlast\n");
  EXPECT_EQ(tree.Read("a.log.1").size(), 1'200'002U);
  EXPECT_EQ(tree.Read("a.log"), "last\n");
  EXPECT_FALSE(std::filesystem::exists(tree.PathOf("a.log.2")));
}

TEST(LogFileTest, NoBackupsMeansBeginAgain) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 4, 0);
  log.Append("one\ntwo\n");
  EXPECT_EQ(tree.Read("a.log"), "two\n");
  EXPECT_FALSE(std::filesystem::exists(tree.PathOf("a.log.1")));
}

TEST(LogFileTest, LimitsCanChange) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 4, 3);
  log.Append("one\ntwo\nsix\nten\n");
  EXPECT_EQ(FilesIn(tree.path()).size(), 4U);
  log.Configure(LogLimits(8, 1));
  log.Append("off\nend\n");
  EXPECT_EQ(tree.Read("a.log"), "end\n");
  EXPECT_EQ(tree.Read("a.log.1"), "ten\noff\n");
  EXPECT_EQ(FilesIn(tree.path()).size(), 2U);
}

TEST(LogFileTest, FullDiskIsCountedAndMarkedOnceItHasRoom) {
  FakeTree tree;
  tree.Link("a.log", "/dev/full");
  LogFile log = MakeLog(tree.PathOf("a.log"), 1000, 1);
  log.Append("12345");
  log.Append("67890");
  EXPECT_EQ(log.dropped_bytes(), 10);
  EXPECT_EQ(log.written_bytes(), 0);
  tree.Remove("a.log");
  log.Close();
  log.Append("again\n");
  EXPECT_EQ(tree.Read("a.log"), "[idlewatt: 10 bytes of output were lost here]\nagain\n");
  EXPECT_EQ(log.dropped_bytes(), 10);
}

// Of a disk that fills up in the middle of a write every byte is either in the log or counted.
TEST(LogFileTest, DiskThatFillsUpLosesNothingUncounted) {
  FakeTree tree;
  tree.MakeDir("disk");
  const auto disk = Tmpfs::Mount(tree.PathOf("disk"), "256k");
  if (!disk) GTEST_SKIP() << "no right to mount: " << std::strerror(errno);
  LogFile log = MakeLog(tree.PathOf("disk/a.log"), 1 << 20, 1);
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 1'000; ++i) log.Append(line);
  EXPECT_EQ(log.written_bytes() + log.dropped_bytes(), 1'000'000);
  EXPECT_GT(log.written_bytes(), 200'000);
  EXPECT_EQ(static_cast<int64_t>(tree.Read("disk/a.log").size()), log.written_bytes());

  std::filesystem::resize_file(tree.PathOf("disk/a.log"), 0);
  const std::string lost = std::to_string(log.dropped_bytes());
  log.Append("again\n");
  EXPECT_EQ(tree.Read("disk/a.log"),
            "[idlewatt: " + lost + " bytes of output were lost here]\nagain\n");
}

// Room for half of the mark is no room.
TEST(LogFileTest, MarkIsWholeOrNotThere) {
  constexpr uintmax_t kPage = 4096;
  FakeTree tree;
  tree.MakeDir("disk");
  const auto disk = Tmpfs::Mount(tree.PathOf("disk"), "64k");
  if (!disk) GTEST_SKIP() << "no right to mount: " << std::strerror(errno);
  LogFile log = MakeLog(tree.PathOf("disk/a.log"), 1 << 20, 1);
  log.Append(std::string(100'000, 'x'));
  const int64_t lost = log.dropped_bytes();
  const uintmax_t full = std::filesystem::file_size(tree.PathOf("disk/a.log"));
  ASSERT_EQ(full % kPage, 0U);
  std::filesystem::resize_file(tree.PathOf("disk/a.log"), full - 20);
  for (int i = 0; i < 3; ++i) log.Append("more");
  EXPECT_EQ(std::filesystem::file_size(tree.PathOf("disk/a.log")), full - 20);
  EXPECT_EQ(log.dropped_bytes(), lost + 12);
  std::filesystem::resize_file(tree.PathOf("disk/a.log"), 0);
  log.Append("again\n");
  EXPECT_EQ(tree.Read("disk/a.log"), "[idlewatt: " + std::to_string(lost + 12) +
                                         " bytes of output were lost here]\nagain\n");
}

TEST(LogFileTest, DeletedFileIsMadeAnewAndAVanishedFolderCounts) {
  FakeTree tree;
  tree.MakeDir("log");
  LogFile log = MakeLog(tree.PathOf("log/a.log"), 1000, 1);
  log.Append("one");
  tree.Remove("log/a.log");
  log.Append("two");
  EXPECT_EQ(tree.Read("log/a.log"), "two");
  tree.Remove("log");
  log.Append("three");
  EXPECT_EQ(log.dropped_bytes(), 5);
  tree.MakeDir("log");
  log.Append("four");
  EXPECT_THAT(tree.Read("log/a.log"), testing::EndsWith("here]\nfour"));
}

TEST(LogFileTest, FileMovedAwayIsMadeAnew) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 1000, 1);
  log.Append("one");
  std::filesystem::rename(tree.PathOf("a.log"), tree.PathOf("old"));
  log.Append("two");
  EXPECT_EQ(tree.Read("old"), "one");
  EXPECT_EQ(tree.Read("a.log"), "two");
}

TEST(LogFileTest, FileEmptiedByOthersHasRoomAgain) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 10, 1);
  log.Append("12345678\n");
  std::filesystem::resize_file(tree.PathOf("a.log"), 0);
  log.Append("abcdefgh\n");
  EXPECT_EQ(tree.Read("a.log"), "abcdefgh\n");
  EXPECT_FALSE(std::filesystem::exists(tree.PathOf("a.log.1")));
}

TEST(LogFileTest, FifoInPlaceOfTheLogDoesNotBlock) {
  FakeTree tree;
  ASSERT_EQ(::mkfifo(tree.PathOf("a.log").c_str(), 0600), 0);
  LogFile log = MakeLog(tree.PathOf("a.log"), 10'000'000, 1);
  EXPECT_EQ(log.ReadEnd(10), "");
  log.Append("nobody reads");
  EXPECT_EQ(log.dropped_bytes(), 12);
  const UniqueFd reader(::open(tree.PathOf("a.log").c_str(), O_RDONLY | O_NONBLOCK));
  log.Append(std::string(1'000'000, 'x'));  // more than it holds
  EXPECT_GT(log.written_bytes(), 0);
  EXPECT_EQ(log.written_bytes() + log.dropped_bytes(), 1'000'012);
}

TEST(LogFileTest, ThousandRotationsLeaveNoDescriptorOpen) {
  FakeTree tree;
  const auto compressor = MakeCompressor();
  const size_t before = FilesIn("/proc/self/fd").size();
  {
    LogFile log(tree.PathOf("a.log"), LogLimits(5, 3), compressor.get());
    for (int i = 0; i < 1'000; ++i) {
      log.Append("line\n");
      if (i % 10 == 0) log.Close();
      if (i % 7 == 0) compressor->Deliver();
    }
    DeliverUntil(*compressor, [&] {
      return FilesIn(tree.path()) ==
             std::set<std::string>{"a.log", "a.log.1.gz", "a.log.2.gz", "a.log.3.gz"};
    });
    EXPECT_LE(FilesIn("/proc/self/fd").size(), before + 1);
    EXPECT_EQ(log.dropped_bytes(), 0);
  }
  EXPECT_EQ(FilesIn("/proc/self/fd").size(), before);
}

TEST(LogFileTest, EndOfTheFileCanBeRead) {
  FakeTree tree;
  LogFile log = MakeLog(tree.PathOf("a.log"), 100, 1);
  EXPECT_EQ(log.ReadEnd(10), "");
  tree.Write("a.log", "0123456789");
  EXPECT_EQ(log.ReadEnd(3), "789");
  EXPECT_EQ(log.ReadEnd(100), "0123456789");
}

TEST(LogFileTest, DeleteAllLeavesNothingAndWritingGoesOn) {
  FakeTree tree;
  auto compressor = MakeCompressor();
  LogFile log(tree.PathOf("a.log"), LogLimits(4, 3), compressor.get());
  log.Append("one\ntwo\nsix\n");
  DeliverUntil(*compressor, [&] { return FilesIn(tree.path()).contains("a.log.2.gz"); });
  tree.Write("b.log.1", "another's");
  log.Append("ten\n");
  log.DeleteAll();
  log.Append("new\n");
  compressor.reset();  // what it was at is given up by now
  EXPECT_THAT(FilesIn(tree.path()), testing::UnorderedElementsAre("a.log", "b.log.1"));
  EXPECT_EQ(tree.Read("a.log"), "new\n");
}

}  // namespace
}  // namespace idlewatt
