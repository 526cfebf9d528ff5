#include "supervisor/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

TEST(LogFileTest, AppendsToWhatIsThere) {
  FakeTree tree;
  tree.Write("a.log", "old\n");
  LogFile log(tree.PathOf("a.log"), 100, 1);
  log.Append("new");
  log.Close();
  log.Append(std::string_view("\0\xFFx", 3));
  EXPECT_EQ(tree.Read("a.log"), std::string("old\nnew\0\xFFx", 10));
  EXPECT_EQ(log.written_bytes(), 6);
}

TEST(LogFileTest, RotatesAtLineEndsAndKeepsSoMany) {
  FakeTree tree;
  LogFile log(tree.PathOf("a.log"), 8, 2);
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
  LogFile log(tree.PathOf("a.log"), 4, 1);
  log.Append("0123456789");
  EXPECT_EQ(tree.Read("a.log.1"), "4567");
  EXPECT_EQ(tree.Read("a.log"), "89");
}

TEST(LogFileTest, NoBackupsMeansBeginAgain) {
  FakeTree tree;
  LogFile log(tree.PathOf("a.log"), 4, 0);
  log.Append("one\ntwo\n");
  EXPECT_EQ(tree.Read("a.log"), "two\n");
  EXPECT_FALSE(std::filesystem::exists(tree.PathOf("a.log.1")));
}

TEST(LogFileTest, FullDiskIsCountedAndMarkedOnceItHasRoom) {
  FakeTree tree;
  tree.Link("a.log", "/dev/full");
  LogFile log(tree.PathOf("a.log"), 1000, 1);
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

TEST(LogFileTest, DeletedFileIsMadeAnewAndAVanishedFolderCounts) {
  FakeTree tree;
  tree.MakeDir("log");
  LogFile log(tree.PathOf("log/a.log"), 1000, 1);
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

}  // namespace
}  // namespace idlewatt
