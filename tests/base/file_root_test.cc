#include "base/file_root.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FileRootTest : public ::testing::Test {
 protected:
  FakeTree tree;
  FileRoot root = tree.Root();
};

TEST_F(FileRootTest, OnlyAFolderIsARoot) {
  tree.Write("file", "x");
  EXPECT_EQ(FileRoot::Open(tree.PathOf("file")).error().code, ErrorCode::kGone);
  EXPECT_EQ(FileRoot::Open(tree.PathOf("absent")).error().code, ErrorCode::kGone);
}

TEST_F(FileRootTest, AnEmptyFileIsAnEmptyText) {
  tree.Write("empty", "");
  EXPECT_EQ(root.Read("empty").value(), "");
}

TEST_F(FileRootTest, AMissingFileIsGoneAndNamed) {
  const auto read = root.Read("class/absent");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kGone);
  EXPECT_EQ(read.error().sys_errno, ENOENT);
  EXPECT_EQ(read.error().subject, tree.path() + "/./class/absent");
}

TEST_F(FileRootTest, AFolderIsNoFile) {
  tree.MakeDir("folder");
  EXPECT_EQ(root.Read("folder").error().sys_errno, EISDIR);
}

TEST_F(FileRootTest, AFifoDoesNotBlock) {
  ASSERT_EQ(::mkfifo(tree.PathOf("fifo").c_str(), 0600), 0);
  EXPECT_EQ(root.Read("fifo").value(), "");
  const UniqueFd writer(::open(tree.PathOf("fifo").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(root.Read("fifo").error().code, ErrorCode::kTransient);
}

TEST_F(FileRootTest, FilesLargerThanABufferAreReadWhole) {
  for (const size_t size : {1023U, 4095U, 4096U, 4097U, 70'000U}) {
    std::string content(size, 'x');
    content.back() = 'y';
    tree.Write("large", content);
    EXPECT_EQ(root.Read("large").value(), content) << size;
  }
}

TEST_F(FileRootTest, FilesAreCutAtTheLimit) {
  tree.Write("huge", std::string(FileRoot::kMaxBytes + 5000, 'x'));
  EXPECT_EQ(root.Read("huge").value().size(), FileRoot::kMaxBytes);
}

TEST_F(FileRootTest, ABufferKeepsNothingOfItsOldContent) {
  tree.Write("short", "ab");
  std::string buffer(100'000, 'z');
  ASSERT_TRUE(root.ReadInto("short", buffer));
  EXPECT_EQ(buffer, "ab");
  EXPECT_FALSE(root.ReadInto("absent", buffer).ok());
  EXPECT_EQ(buffer, "");
}

TEST_F(FileRootTest, AnIntegerMayHaveBlanksAround) {
  tree.Write("a", "-42000\n");
  tree.Write("b", "  7 \n");
  EXPECT_EQ(root.ReadInt("a").value(), -42'000);
  EXPECT_EQ(root.ReadInt("b").value(), 7);
}

TEST_F(FileRootTest, AnythingElseIsNoInteger) {
  for (const char* text : {"", "\n", "12 13", "0x10", "9223372036854775808", "\xFF\xFE"}) {
    tree.Write("file", text);
    const auto value = root.ReadInt("file");
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, ErrorCode::kParse) << text;
  }
}

TEST_F(FileRootTest, NamesAreListedInOrder) {
  tree.Write("d/b", "");
  tree.MakeDir("d/a");
  tree.Write("d/.c", "");
  EXPECT_THAT(root.List("d").value(), ElementsAre(".c", "a", "b"));
  EXPECT_THAT(root.List("").value(), ElementsAre("d"));
  tree.MakeDir("e");
  EXPECT_THAT(root.List("e").value(), IsEmpty());
  EXPECT_EQ(root.List("absent").error().code, ErrorCode::kGone);
  EXPECT_EQ(root.List("d/b").error().code, ErrorCode::kGone);
}

TEST_F(FileRootTest, ALinkGivesItsTargetEvenWhenItIsNotThere) {
  tree.Link("exe", "/usr/bin/name with blanks (deleted)");
  EXPECT_EQ(root.ReadLink("exe").value(), "/usr/bin/name with blanks (deleted)");
  EXPECT_FALSE(root.ReadLink("absent").ok());
  EXPECT_FALSE(root.Exists("exe"));
}

TEST_F(FileRootTest, TheStateOfAFileIsItsOwnAndThatOfALinkTheLinks) {
  tree.Write("f", "four");
  tree.Link("dangling", "absent");
  EXPECT_EQ(root.Stat("f")->st_size, 4);
  EXPECT_TRUE(S_ISREG(root.Stat("f")->st_mode));
  EXPECT_TRUE(S_ISLNK(root.Stat("dangling")->st_mode));
  EXPECT_EQ(root.Stat("absent").error().code, ErrorCode::kGone);
}

TEST_F(FileRootTest, ANameThatIsTooLongIsNotCutToAnother) {
  std::string folder = "d";
  while (folder.size() < 4000) folder += "/./././././././";
  tree.Write("d/victim", "1");
  // As long as the kernel takes; the cut name would be that of a file that exists.
  std::string name = folder;
  while (name.size() < 4095 - 6) name += "/";
  name += "victim";
  ASSERT_EQ(name.size(), 4095U);
  EXPECT_EQ(root.Read(name).value(), "1");
  EXPECT_EQ(root.Read(name + "s-brother").error().sys_errno, ENAMETOOLONG);
}

TEST_F(FileRootTest, WhatIsSwitchedOffIsNoData) {
  EXPECT_EQ(ErrnoError(EOPNOTSUPP, "pressure").code, ErrorCode::kNoData);
  EXPECT_EQ(ErrnoError(EACCES, "x").code, ErrorCode::kPermission);
  EXPECT_EQ(ErrnoError(ESRCH, "x").code, ErrorCode::kGone);
  EXPECT_EQ(ErrnoError(EAGAIN, "x").code, ErrorCode::kTransient);
  EXPECT_EQ(ErrnoError(EACCES, "f", "cannot be read").ToString(),
            "f: cannot be read: Permission denied");
}

}  // namespace
}  // namespace idlewatt
