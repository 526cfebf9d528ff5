#include "app/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFile Begin(const std::string& name) {
    Result<OutputFile> output = OutputFile::Open(tree_.PathOf(name));
    EXPECT_TRUE(output) << output.error().ToString();
    return std::move(*output);
  }
  void Write(const std::string& name, const std::string& text) {
    OutputFile output = Begin(name);
    ASSERT_TRUE(output.Write(text));
    ASSERT_TRUE(output.Finish());
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(tree_.path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  mode_t ModeOf(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::stat(tree_.PathOf(name).c_str(), &status), 0);
    return status.st_mode & 0777;
  }

  FakeTree tree_;
};

TEST_F(OutputFileTest, OfTwoWritersAtOnceTheLastToFinishWinsWhole) {
  OutputFile first = Begin("out");
  OutputFile second = Begin("out");
  ASSERT_TRUE(first.Write("first "));
  ASSERT_TRUE(second.Write("second"));
  ASSERT_TRUE(first.Write("whole"));
  ASSERT_TRUE(first.Finish());
  EXPECT_EQ(tree_.Read("out"), "first whole");
  ASSERT_TRUE(second.Finish());
  EXPECT_EQ(tree_.Read("out"), "second");
  EXPECT_THAT(Names(), UnorderedElementsAre("out"));
}

TEST_F(OutputFileTest, ALinkWithTheNameOfAnUnfinishedFileIsNotFollowed) {
  tree_.Write("victim", "precious");
  tree_.Link("out.part", tree_.PathOf("victim"));
  Write("out", "text");
  EXPECT_EQ(tree_.Read("victim"), "precious");
  EXPECT_EQ(tree_.Read("out"), "text");
}

TEST_F(OutputFileTest, AFileKeepsItsMode) {
  tree_.Write("secret", "old");
  ASSERT_EQ(::chmod(tree_.PathOf("secret").c_str(), 0600), 0);
  Write("secret", "new");
  EXPECT_EQ(tree_.Read("secret"), "new");
  EXPECT_EQ(ModeOf("secret"), 0600U);
  ASSERT_EQ(::chmod(tree_.PathOf("secret").c_str(), 0664), 0);
  Write("secret", "newer");
  EXPECT_EQ(ModeOf("secret"), 0664U);
}

TEST_F(OutputFileTest, ANewFileHasTheUsualMode) {
  const mode_t before = ::umask(027);
  Write("out", "text");
  EXPECT_EQ(::umask(before), 027U) << "it is left as it was";
  EXPECT_EQ(ModeOf("out"), 0640U);
}

TEST_F(OutputFileTest, WhatIsNotFinishedLeavesNothing) {
  tree_.Write("out", "old");
  {
    OutputFile output = Begin("out");
    ASSERT_TRUE(output.Write("half"));
    EXPECT_EQ(Names().size(), 2U);
  }
  EXPECT_THAT(Names(), UnorderedElementsAre("out"));
  EXPECT_EQ(tree_.Read("out"), "old");
}

TEST_F(OutputFileTest, TheFileThatALinkNamesIsReplacedAndNotTheLink) {
  tree_.Write("folder/file", "old");
  tree_.Link("out", "folder/file");
  Write("out", "new");
  EXPECT_EQ(tree_.Read("folder/file"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(tree_.PathOf("out")));
}

TEST_F(OutputFileTest, ADeviceIsWrittenToAndItsErrorsAreTold) {
  Result<OutputFile> full = OutputFile::Open("/dev/full");
  ASSERT_TRUE(full) << full.error().ToString();
  const Result<void> written = full->Write("text");
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().ToString(), StartsWith("/dev/full: cannot write"));
}

TEST_F(OutputFileTest, AFolderThatIsNotThereIsRefused) {
  const std::string path = tree_.PathOf("nowhere/out");
  const Result<OutputFile> output = OutputFile::Open(path);
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().ToString(), StartsWith(path + ": cannot write"));
}

}  // namespace
}  // namespace idlewatt
