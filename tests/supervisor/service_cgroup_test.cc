#include "supervisor/process/service_cgroup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAreArray;

constexpr int kLong = 20'000;  // milliseconds; "at once", on a slow machine

// Machines that are not this one.
class FakeCgroupsTest : public ::testing::Test {
 protected:
  Error Refusal() {
    const Result<std::string> parent = ServiceCgroup::FindParent(tree.Root(), tree.Root());
    EXPECT_FALSE(parent) << *parent;
    return parent ? Error() : parent.error();
  }

  FakeTree tree;
};

TEST_F(FakeCgroupsTest, ParentIsTheOwnFolderBelowEitherMount) {
  tree.Write("self/cgroup", "5:cpu:/elsewhere\n0::/a.slice/b:c.service\n");
  tree.MakeDir("fs/cgroup/a.slice/b:c.service");
  tree.MakeDir("fs/cgroup/unified/a.slice/b:c.service");
  tree.Write("fs/cgroup/unified/cgroup.controllers", "");
  EXPECT_EQ(ServiceCgroup::FindParent(tree.Root(), tree.Root()).value(),
            "fs/cgroup/unified/a.slice/b:c.service");
  tree.Write("fs/cgroup/cgroup.controllers", "cpu");
  EXPECT_EQ(ServiceCgroup::FindParent(tree.Root(), tree.Root()).value(),
            "fs/cgroup/a.slice/b:c.service");
  tree.Write("self/cgroup", "0::/\n");
  EXPECT_EQ(ServiceCgroup::FindParent(tree.Root(), tree.Root()).value(), "fs/cgroup");
}

TEST_F(FakeCgroupsTest, VersionOneAloneHasNone) {
  tree.Write("self/cgroup", "5:cpu:/a\n");
  tree.MakeDir("fs/cgroup/cpu");
  EXPECT_EQ(Refusal().code, ErrorCode::kNoData);
  EXPECT_THAT(Refusal().ToString(), HasSubstr("fs/cgroup: no cgroup v2 is mounted"));
  tree.Write("fs/cgroup/cgroup.controllers", "");
  EXPECT_EQ(Refusal().code, ErrorCode::kNoData);
  EXPECT_THAT(Refusal().ToString(), HasSubstr("names no cgroup v2"));
}

TEST_F(FakeCgroupsTest, PathThatLeavesTheMountIsRefused) {
  tree.Write("fs/cgroup/cgroup.controllers", "");
  for (const char* path : {"/..", "/../other"}) {
    tree.Write("self/cgroup", "0::" + std::string(path) + "\n");
    EXPECT_EQ(Refusal().code, ErrorCode::kNoData) << path;
  }
  tree.Write("self/cgroup", "0::/removed (deleted)\n");
  EXPECT_EQ(Refusal().code, ErrorCode::kGone);
}

TEST_F(FakeCgroupsTest, FolderWithoutTheRightToWriteSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  tree.Write("fs/cgroup/cgroup.controllers", "");
  tree.Write("self/cgroup", "0::/\n");
  std::filesystem::permissions(tree.path(), std::filesystem::perms(0755));
  const FileRoot root = tree.Root();
  ASSERT_EQ(::seteuid(65534), 0);
  const Result<std::string> parent = ServiceCgroup::FindParent(root, root);
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_FALSE(parent);
  EXPECT_EQ(parent.error().code, ErrorCode::kPermission);
  EXPECT_THAT(parent.error().ToString(),
              HasSubstr("fs/cgroup: services get no cgroup of their own: Permission denied"));
}

// Cgroups of this machine, with processes.
class ServiceCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Grandchildren whose parent is gone become ours, so that we can wait for them.
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    Result<ServiceCgroup> made = ServiceCgroup::Create(proc, sys, name);
    if (!made) GTEST_SKIP() << made.error().ToString();
    cgroup.emplace(std::move(*made));
  }
  void TearDown() override {
    if (!cgroup) return;
    EXPECT_TRUE(cgroup->Kill());
    WaitForChildren();
    EXPECT_TRUE(cgroup->Remove());
    EXPECT_FALSE(std::filesystem::exists(Folder()));
  }

  std::string Folder() const {
    const bool hybrid = !sys.Exists("fs/cgroup/cgroup.controllers");
    return sys.PathOf(hybrid ? "fs/cgroup/unified" : "fs/cgroup") + cgroup->path();
  }
  // A shell that is born in the cgroup. It writes to `output`.
  pid_t Start(const char* script) {
    clone_args arguments{};
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<uint64_t>(cgroup->folder());
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    EXPECT_GE(pid, 0) << std::strerror(errno);
    if (pid != 0) return pid;
    ::dup2(output_write.get(), STDOUT_FILENO);
    ::execl("/bin/sh", "sh", "-c", script, nullptr);
    ::_exit(127);
  }
  // The next `count` lines, numbers, that the shells have written.
  std::vector<pid_t> ReadPids(size_t count) {
    std::string text;
    while (static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) < count) {
      pollfd ready{output_read.get(), POLLIN, 0};
      char byte = 0;
      if (::poll(&ready, 1, kLong) != 1 || ::read(ready.fd, &byte, 1) != 1) {
        ADD_FAILURE() << "only: " << text;
        break;
      }
      text += byte;
    }
    std::vector<pid_t> pids;
    for (const std::string_view line : Split(text, '\n')) {
      pids.push_back(ParseNumber<pid_t>(line).value_or(-1));
    }
    return pids;
  }
  // Waits until cgroup.events tells of a change.
  [[nodiscard]] bool WaitForEvent(int timeout = kLong) const {
    pollfd changed{cgroup->events(), POLLPRI, 0};
    return ::poll(&changed, 1, timeout) == 1 && (changed.revents & POLLPRI) != 0;
  }
  [[nodiscard]] bool WaitUntilEmpty() const {
    while (cgroup->IsPopulated()) {
      if (!WaitForEvent()) return false;
    }
    return true;
  }
  // Each of them ends by SIGKILL.
  static void WaitForChildren() {
    int status = 0;
    while (::wait(&status) > 0) EXPECT_TRUE(WIFSIGNALED(status) || WIFEXITED(status));
  }

  const FileRoot proc = *FileRoot::Open("/proc");
  const FileRoot sys = *FileRoot::Open("/sys");
  const std::string name = "test-" + std::to_string(::getpid());
  std::optional<ServiceCgroup> cgroup;
  UniqueFd output_read;
  UniqueFd output_write;

  ServiceCgroupTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    output_read.reset(ends[0]);
    output_write.reset(ends[1]);
  }
};

// Prints its pid and waits to be killed.
constexpr const char* kWaits = "echo $$; kill -STOP $$";
// Leaves behind one that has left its session, its parent and its environment, and ends.
constexpr const char* kEscapes =
    "env -i setsid sh -c '(setsid sh -c \"echo \\$\\$; kill -STOP \\$\\$\" &)' &";

TEST_F(ServiceCgroupTest, WhoIsBornInItIsListedAndKilled) {
  EXPECT_FALSE(cgroup->IsPopulated());
  EXPECT_THAT(cgroup->Processes(), ElementsAre());
  const pid_t pid = Start(kWaits);
  ASSERT_THAT(ReadPids(1), ElementsAre(pid));
  EXPECT_TRUE(cgroup->IsPopulated());
  EXPECT_THAT(cgroup->Processes(), ElementsAre(pid));
  ASSERT_TRUE(cgroup->Kill());
  EXPECT_TRUE(WaitUntilEmpty());
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(info.si_status, SIGKILL);
  EXPECT_FALSE(cgroup->IsPopulated()) << "a zombie counts";
  EXPECT_THAT(cgroup->Processes(), ElementsAre());
}

TEST_F(ServiceCgroupTest, NobodyEscapes) {
  const pid_t pid = Start(kEscapes);
  const std::vector<pid_t> escaped = ReadPids(1);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  ASSERT_EQ(::getsid(escaped[0]), escaped[0]);
  while (cgroup->Processes() != escaped) ASSERT_TRUE(cgroup->IsPopulated());
  ASSERT_TRUE(cgroup->Kill());
  EXPECT_TRUE(WaitUntilEmpty());
  EXPECT_THAT(cgroup->Processes(), ElementsAre());
}

TEST_F(ServiceCgroupTest, EachChangeOfPopulatedIsAnEvent) {
  EXPECT_FALSE(WaitForEvent(0)) << "nothing has happened yet";
  Start(kWaits);
  ReadPids(1);
  ASSERT_TRUE(WaitForEvent());
  EXPECT_TRUE(cgroup->IsPopulated());
  EXPECT_FALSE(WaitForEvent(0)) << "it was read";
  Start(kWaits);
  ReadPids(1);
  EXPECT_FALSE(WaitForEvent(0)) << "it was populated before";
  ASSERT_TRUE(cgroup->Kill());
  ASSERT_TRUE(WaitForEvent());
  EXPECT_FALSE(cgroup->IsPopulated());
}

TEST_F(ServiceCgroupTest, FoldersBelowCountAndGoWithIt) {
  const std::string below = Folder() + "/a";
  ASSERT_TRUE(std::filesystem::create_directories(below + "/b"));
  const pid_t pid = Start(kWaits);
  const pid_t pid_below =
      Start(("echo $$ > " + below + "/b/cgroup.procs; echo $$; kill -STOP $$").c_str());
  ReadPids(2);
  EXPECT_THAT(cgroup->Processes(), UnorderedElementsAreArray({pid, pid_below}));
  const Result<void> refused = cgroup->Remove();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTransient);
  ASSERT_TRUE(cgroup->Kill());
  ASSERT_TRUE(WaitUntilEmpty());
  EXPECT_TRUE(std::filesystem::exists(Folder()));
}

TEST_F(ServiceCgroupTest, LaterDaemonFindsItByPathAndId) {
  const pid_t pid = Start(kWaits);
  ReadPids(1);
  const std::string path = cgroup->path();
  const uint64_t id = cgroup->id();
  EXPECT_EQ(ServiceCgroup::Open(sys, path, id + 1).error().code, ErrorCode::kGone);
  EXPECT_EQ(ServiceCgroup::Open(sys, path + "-2", id).error().code, ErrorCode::kGone);
  cgroup.reset();  // its descriptors go with the daemon
  Result<ServiceCgroup> found = ServiceCgroup::Open(sys, path, id);
  ASSERT_TRUE(found) << found.error().ToString();
  cgroup.emplace(std::move(*found));
  EXPECT_EQ(cgroup->path(), path);
  EXPECT_TRUE(cgroup->IsPopulated());
  EXPECT_THAT(cgroup->Processes(), ElementsAre(pid));
  ASSERT_TRUE(cgroup->Kill());
  EXPECT_TRUE(WaitUntilEmpty());
}

TEST_F(ServiceCgroupTest, SecondOfANameIsAnother) {
  const Result<ServiceCgroup> second = ServiceCgroup::Create(proc, sys, name);
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ(second->path(), cgroup->path() + "-2");
  EXPECT_NE(second->id(), cgroup->id());
  Start(kWaits);
  ReadPids(1);
  EXPECT_TRUE(cgroup->IsPopulated());
  EXPECT_FALSE(second->IsPopulated());
  EXPECT_TRUE(second->Remove());
  EXPECT_FALSE(second->IsPopulated());
  EXPECT_THAT(second->Processes(), ElementsAre());
  EXPECT_TRUE(second->Remove()) << "what is gone is removed";
}

TEST_F(ServiceCgroupTest, OneThatWasRemovedIsNotOpenedAgain) {
  const std::string path = cgroup->path();
  const uint64_t id = cgroup->id();
  ASSERT_TRUE(cgroup->Remove());
  EXPECT_EQ(ServiceCgroup::Open(sys, path, id).error().code, ErrorCode::kGone);
  cgroup.emplace(std::move(*ServiceCgroup::Create(proc, sys, name)));
  EXPECT_EQ(cgroup->path(), path);
  EXPECT_EQ(ServiceCgroup::Open(sys, path, id).error().code, ErrorCode::kGone);
}

// Each process of it starts the next one and ends: whoever kills by pids comes too late.
TEST_F(ServiceCgroupTest, WhoForksAllTheTimeIsKilledAtOnce) {
  const pid_t pid = Start("f() { f & }; echo $$; f");
  ReadPids(1);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_TRUE(cgroup->IsPopulated());
  ASSERT_TRUE(cgroup->Kill());
  EXPECT_TRUE(WaitUntilEmpty());
}

TEST_F(ServiceCgroupTest, KillsForMemoryAreCountedWhereTheControllerIsOn) {
  const bool counted = std::filesystem::exists(Folder() + "/memory.events");
  EXPECT_EQ(cgroup->OutOfMemoryKills(), counted ? std::optional<int64_t>(0) : std::nullopt);
}

}  // namespace
}  // namespace idlewatt
