#include "supervisor/probe/port_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Optional;
using ::testing::StrEq;

// Process 20 and 30 listen on port 8080.
class PortGuardTest : public ::testing::Test {
 protected:
  PortGuardTest() {
    proc.Write("net/tcp",
               "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
               "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 "
               "22 1 0\n");
    for (const int32_t pid : {10, 20, 30, 100}) proc.Put({.pid = pid});
    proc.Link("20/fd/3", "socket:[22]");
    proc.Link("30/fd/3", "socket:[22]");
    proc.PutFile(20, "comm", "nginx\n");
  }

  std::optional<std::string> Ask(std::chrono::milliseconds at) {
    return guard.WhyStranger(BootTime(1h) + at);
  }

  FakeProc proc;
  const FileRoot root = proc.Root();
  std::set<int32_t> members;
  std::vector<int32_t> asked;
  PortGuard guard{root, 8080, [this](int32_t pid) {
                    asked.push_back(pid);
                    return members.contains(pid);
                  }};
};

TEST_F(PortGuardTest, MemberIsBelievedAndOnlyLookedAtFromThenOn) {
  members = {20};
  EXPECT_EQ(Ask(0ms), std::nullopt);
  asked.clear();
  EXPECT_EQ(Ask(1ms), std::nullopt);
  EXPECT_THAT(asked, ElementsAre());
  // Another takes the port.
  proc.Remove("20/fd/3");
  EXPECT_TRUE(Ask(2ms));
}

TEST_F(PortGuardTest, StrangerIsNamed) {
  EXPECT_THAT(Ask(0ms), Optional(StrEq("port 8080 is held by process 20 (nginx), which is not of "
                                       "this service")));
  proc.Remove("20/comm");
  EXPECT_THAT(Ask(1s), Optional(StrEq("port 8080 is held by process 20, which is not of this "
                                      "service")));
}

TEST_F(PortGuardTest, ProcessesAreLookedThroughOnceASecondWhileThereIsAStranger) {
  EXPECT_TRUE(Ask(0ms));
  members = {30};
  asked.clear();
  EXPECT_TRUE(Ask(999ms));
  EXPECT_THAT(asked, ElementsAre());
  EXPECT_EQ(Ask(1000ms), std::nullopt);
}

TEST_F(PortGuardTest, WhatCannotBeKnownIsBelieved) {
  proc.Remove("20/fd");
  proc.Remove("30/fd");
  EXPECT_EQ(Ask(0ms), std::nullopt);
  proc.Remove("net/tcp");
  EXPECT_EQ(Ask(1ms), std::nullopt);
}

}  // namespace
}  // namespace idlewatt
