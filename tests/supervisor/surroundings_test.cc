#include "supervisor/spec/surroundings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::Contains;
using testing::ElementsAre;

// Sets a variable of this process until its end.
class ScopedVariable {
 public:
  ScopedVariable(std::string name, const char* value) : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str()); before != nullptr) before_ = before;
    ::setenv(name_.c_str(), value, 1);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;
  ~ScopedVariable() {
    if (before_) {
      ::setenv(name_.c_str(), before_->c_str(), 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }

 private:
  const std::string name_;
  std::optional<std::string> before_;
};

TEST(SurroundingsTest, AUserHasItsGroupsAndItsHome) {
  const Result<Account> root = FindAccount("root");
  ASSERT_TRUE(root) << root.error().ToString();
  EXPECT_EQ(root->identity.user, 0U);
  EXPECT_EQ(root->identity.group, 0U);
  EXPECT_THAT(root->identity.groups, Contains(0U));
  EXPECT_EQ(root->variables.at("HOME"), "/root");
  EXPECT_EQ(root->variables.at("USER"), "root");
  EXPECT_EQ(FindAccount("0")->variables.at("LOGNAME"), "root");
}

TEST(SurroundingsTest, AGroupMayBeNamed) {
  const Result<Account> account = FindAccount("root:daemon");
  ASSERT_TRUE(account) << account.error().ToString();
  EXPECT_EQ(account->identity.user, 0U);
  EXPECT_EQ(account->identity.group, FindAccount("daemon")->identity.group);
  EXPECT_EQ(FindAccount("root:4242")->identity.group, 4242U);
}

TEST(SurroundingsTest, ThisProcessIsOurs) {
  const SpawnPlan::Identity self{::geteuid(), ::getegid(), {}};
  EXPECT_TRUE(IsOurs(self));
  EXPECT_FALSE(IsOurs({::geteuid() + 1, ::getegid(), {}}));
  EXPECT_FALSE(IsOurs({::geteuid(), ::getegid() + 1, {}}));
}

TEST(SurroundingsTest, TheUserWinsOverTheDaemonAndTheFileOverTheUser) {
  FakeTree tree;
  tree.Write("env", "LOGNAME=from-file\n");
  ServiceSpec spec;
  spec.user = "daemon";
  spec.env_file = tree.PathOf("env");
  const ScopedVariable user("USER", "from-daemon");
  const ScopedVariable other("IDLEWATT_TEST_OTHER", "from-daemon");
  const Result<Variables> variables = InheritedVariables(spec);
  ASSERT_TRUE(variables) << variables.error().ToString();
  EXPECT_EQ(variables->at("USER"), "daemon");
  EXPECT_EQ(variables->at("LOGNAME"), "from-file");
  EXPECT_EQ(variables->at("IDLEWATT_TEST_OTHER"), "from-daemon");
}

TEST(SurroundingsTest, WhatSystemdTellsTheDaemonIsNotInherited) {
  const ScopedVariable notify("NOTIFY_SOCKET", "/run/systemd/notify");
  const ScopedVariable watchdog("WATCHDOG_USEC", "1000000");
  const Result<Variables> variables = InheritedVariables(ServiceSpec());
  ASSERT_TRUE(variables);
  EXPECT_FALSE(variables->contains("NOTIFY_SOCKET"));
  EXPECT_FALSE(variables->contains("WATCHDOG_USEC"));
}

TEST(SurroundingsTest, AProgramWithoutASlashIsLookedForInThePath) {
  const ScopedVariable path("PATH", "/opt/bin::/usr/bin");
  EXPECT_THAT(ProgramPaths("serve"), ElementsAre("/opt/bin/serve", "./serve", "/usr/bin/serve"));
  EXPECT_THAT(ProgramPaths("bin/serve"), ElementsAre("bin/serve"));
}

}  // namespace
}  // namespace idlewatt
