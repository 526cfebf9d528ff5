#include "app/control_token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

class ControlTokenTest : public testing::Test {
 protected:
  void SetUp() override {
    auto folder = DataDir::Lock(tree_.PathOf("data"));
    ASSERT_TRUE(folder) << folder.error().ToString();
    folder_.emplace(std::move(*folder));
  }
  std::string path() const { return folder_->PathOf(kControlTokenFile); }
  unsigned Mode() const {
    struct stat status {};
    EXPECT_EQ(::stat(path().c_str(), &status), 0);
    return status.st_mode & 07777U;
  }

  FakeTree tree_;
  std::optional<DataDir> folder_;
};

TEST_F(ControlTokenTest, IsMadeOnceForItsUserAlone) {
  const mode_t before = ::umask(0);
  const auto made = LoadControlToken(*folder_);
  ::umask(before);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->size(), 64U);
  EXPECT_EQ(made->find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(Mode(), 0600U);
  EXPECT_EQ(LoadControlToken(*folder_).value_or(""), *made);
  EXPECT_EQ(*ReadControlToken(path()), *made);
  std::filesystem::remove(path());
  EXPECT_NE(*LoadControlToken(*folder_), *made);
}

TEST_F(ControlTokenTest, AnOldDraftDoesNotWidenWhoMayRead) {
  tree_.Write("data/control.token.new", "what was left");
  ::chmod(tree_.PathOf("data/control.token.new").c_str(), 0644);
  ASSERT_TRUE(LoadControlToken(*folder_));
  EXPECT_EQ(Mode(), 0600U);
}

TEST_F(ControlTokenTest, MayBeReadByAGroupButNotByEverybody) {
  const auto made = LoadControlToken(*folder_);
  ASSERT_TRUE(made);
  ::chmod(path().c_str(), 0640);
  EXPECT_EQ(LoadControlToken(*folder_).value_or(""), *made);
  for (const mode_t mode : {0604U, 0602U}) {
    ::chmod(path().c_str(), mode);
    const auto refused = LoadControlToken(*folder_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
    EXPECT_NE(refused.error().ToString().find("chmod o= "), std::string::npos);
  }
}

TEST_F(ControlTokenTest, WhatIsNoTokenIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string(31, 'a'), std::string(32, 'a') + "\nb",
        std::string(32, ' ') + "a", std::string(40, '"'), std::string(5000, 'a')}) {
    tree_.Write("data/control.token", text);
    ::chmod(path().c_str(), 0600);
    const auto refused = LoadControlToken(*folder_);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(refused.error().subject, path());
  }
  tree_.Write("data/control.token", "  " + std::string(32, 'a') + "\r\n");
  ::chmod(path().c_str(), 0600);
  EXPECT_EQ(*LoadControlToken(*folder_), std::string(32, 'a'));
}

TEST_F(ControlTokenTest, SaysWhetherItIsMissingOrRefused) {
  EXPECT_EQ(ReadControlToken(path()).error().code, ErrorCode::kGone);
  if (::geteuid() == 0) return;  // root may read all
  ASSERT_TRUE(LoadControlToken(*folder_));
  ::chmod(path().c_str(), 0);
  EXPECT_EQ(ReadControlToken(path()).error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace idlewatt
