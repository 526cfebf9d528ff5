#include "supervisor/process/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/supervisor/child_fixture.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class CommandTest : public ChildFixture {
 protected:
  // "" for success, else what the error says.
  std::string Run(const SpawnPlan& plan, std::chrono::milliseconds timeout = kLong) {
    std::optional<std::string> end;
    const Command command(loop(), children, plan, timeout, [&](const Result<void>& result) {
      EXPECT_FALSE(end);
      end = result ? "" : result.error().ToString();
    });
    EXPECT_FALSE(end);
    EXPECT_TRUE(RunUntil([&] { return end.has_value(); }));
    return end.value_or("nothing");
  }
};

TEST_F(CommandTest, ThatEndsWith0Succeeds) { EXPECT_EQ(Run(Shell("echo fine")), ""); }

TEST_F(CommandTest, OtherEndsAreToldWithTheLastLine) {
  EXPECT_EQ(Run(Shell("exit 3")), "exited with code 3");
  EXPECT_EQ(Run(Shell("echo one; echo 'no model' >&2; echo; exit 1")),
            "exited with code 1: no model");
  EXPECT_EQ(Run(Shell("printf half; kill -SEGV $$")), "was killed by SIGSEGV: half");
}

TEST_F(CommandTest, LastLineIsShortValidUtf8) {
  const std::string end =
      Run(Shell("printf 'a\\377b'; head -c 9000 /dev/zero | tr '\\0' x; exit 1"));
  EXPECT_THAT(end, StartsWith("exited with code 1: xxx"));
  EXPECT_LT(end.size(), 300);
  EXPECT_EQ(Run(Shell("printf 'a\\377b'; exit 1")),
            "exited with code 1: a\xEF\xBF\xBD"
            "b");
}

TEST_F(CommandTest, ThatCannotBeStartedSaysWhy) {
  EXPECT_THAT(Run(Plan({"idlewatt-no-such-program"})), HasSubstr("was not found in PATH"));
  EXPECT_THAT(Run(Plan({"/proc/version"})), HasSubstr("may not be executed"));
  SpawnPlan plan = Shell("exit 0");
  plan.working_dir = "/no/such/folder";
  EXPECT_THAT(Run(plan), HasSubstr("working directory cannot be entered"));
}

TEST_F(CommandTest, ThatHangsIsKilledWithItsGroup) {
  // The sleeps ignore SIGTERM, and the test waits for both to be gone.
  const std::string end = Run(Shell("trap '' TERM; sleep 1000 & echo waits; sleep 1000"), 300ms);
  EXPECT_THAT(end, StartsWith("did not end within 300ms and was killed"));
}

TEST_F(CommandTest, WhatItLeavesBehindIsKilled) {
  const BootTime begin = loop().Now();
  // It holds the output too, which must not delay the end.
  EXPECT_EQ(Run(Shell("sleep 1000 & exit 0")), "");
  EXPECT_LT(loop().Now() - begin, kLong);
}

TEST_F(CommandTest, FloodOfOutputIsDrained) {
  EXPECT_EQ(Run(Shell("head -c 20000000 /dev/zero; echo; echo last; exit 2")),
            "exited with code 2: last");
}

TEST_F(CommandTest, ThatClosesItsOutputRunsOn) {
  EXPECT_EQ(Run(Shell("exec >&- 2>&-; sleep 0.05; exit 4")), "exited with code 4");
}

TEST_F(CommandTest, StoppedProcessIsKilledToo) {
  EXPECT_THAT(Run(Shell("kill -STOP $$"), 200ms), HasSubstr("was killed"));
}

TEST_F(CommandTest, MayEndAtAnyTime) {
  const auto ignore = [](const Result<void>&) { ADD_FAILURE() << "it has ended"; };
  // Before it has a group of its own, or in the middle of that.
  for (int i = 0; i < 50; ++i) {
    const Command command(loop(), children, Plan({"sleep", "1000"}), kLong, ignore);
  }
  // Before its exec, most likely, and while it runs.
  for (const auto wait : {0ms, 1ms, 30ms}) {
    auto command = std::make_unique<Command>(loop(), children, Shell("sleep 1000 & sleep 1000"),
                                             kLong, ignore);
    RunFor(wait);
    command.reset();
    RunFor(1ms);
  }
}

TEST_F(CommandTest, MayEndInItsOwnCallback) {
  for (const char* program : {"true", "sleep"}) {
    std::unique_ptr<Command> command;
    const std::string text = "kept by the callback until it returns";
    std::string seen;
    command = std::make_unique<Command>(loop(), children, Plan({program, "1000"}), 500ms,
                                        [&command, &seen, text](const Result<void>&) {
                                          command.reset();
                                          seen = text;
                                        });
    ASSERT_TRUE(RunUntil([&] { return !seen.empty(); }));
    EXPECT_EQ(seen, text);
  }
}

TEST_F(CommandTest, LackOfDescriptorsIsAnErrorOfTheCommand) {
  const SpawnPlan plan = Shell("exit 0");
  // UBSan needs descriptors to look at objects with virtual functions, as this test is.
  EventLoop& event_loop = loop();
  ChildProcesses& processes = children;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{static_cast<rlim_t>(*descriptors.rbegin()) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<UniqueFd> between;
  do {
    between.emplace_back(::dup(STDIN_FILENO));
  } while (between.back());
  std::optional<bool> succeeded;
  const Command command(event_loop, processes, plan, kLong,
                        [&](const Result<void>& result) { succeeded = result.ok(); });
  between.clear();
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(RunUntil([&] { return succeeded.has_value(); }));
  EXPECT_FALSE(*succeeded);
}

}  // namespace
}  // namespace idlewatt
