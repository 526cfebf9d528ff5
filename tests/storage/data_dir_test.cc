#include "storage/data_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

TEST(DataDirTest, MakesTheFolderForItsOwnerOnly) {
  const FakeTree tree;
  const Result<DataDir> folder = DataDir::Lock(tree.PathOf("a/b"));
  ASSERT_TRUE(folder.ok()) << folder.error().ToString();
  struct stat info {};
  ASSERT_EQ(stat(tree.PathOf("a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_EQ(tree.Read("a/b/lock"), std::to_string(getpid()) + "\n");
}

TEST(DataDirTest, ASecondLockIsRefusedAndNamesTheHolder) {
  const FakeTree tree;
  const Result<DataDir> first = DataDir::Lock(tree.PathOf("data"));
  ASSERT_TRUE(first.ok());
  const Result<DataDir> second = DataDir::Lock(tree.PathOf("data"));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kInvalid);
  EXPECT_NE(second.error().text.find("pid " + std::to_string(getpid())), std::string::npos)
      << second.error().text;
}

TEST(DataDirTest, TheLockEndsWithItsOwner) {
  const FakeTree tree;
  { ASSERT_TRUE(DataDir::Lock(tree.PathOf("data")).ok()); }
  EXPECT_TRUE(DataDir::Lock(tree.PathOf("data")).ok());
}

TEST(DataDirTest, AFolderThatCannotBeMadeIsAnErrorWithItsPath) {
  FakeTree tree;
  tree.Write("file", "x");
  for (const std::string path : {"file", "file/below", "file/far/below"}) {
    const Result<DataDir> folder = DataDir::Lock(tree.PathOf(path));
    ASSERT_FALSE(folder.ok()) << path;
    EXPECT_EQ(folder.error().subject, tree.PathOf(path));
  }
}

}  // namespace
}  // namespace idlewatt
