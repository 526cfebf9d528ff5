#pragma once

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "base/file_root.h"
#include "supervisor/process/child_processes.h"
#include "supervisor/process/spawner.h"
#include "tests/supervisor/loop_fixture.h"

namespace idlewatt {

// A loop that reaps orphans as the supervisor's does. No test may leave a process behind.
class ChildFixture : public LoopFixture {
 protected:
  ChildFixture() : proc(std::move(*FileRoot::Open("/proc"))), children(proc) {
    // What children leave behind becomes ours, so that it is seen.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::pthread_sigmask(SIG_BLOCK, &child, nullptr);
    signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    watch_ = std::move(*loop().WatchFd(signals_.get(), EPOLLIN, [this](uint32_t) {
      signalfd_siginfo info;
      while (::read(signals_.get(), &info, sizeof info) > 0) {
      }
      children.ReapOrphans();
    }));
    descriptors = Descriptors();
  }
  void TearDown() override {
    EXPECT_TRUE(RunUntil([] { return !HasChildren(); })) << "a process is left";
    LoopFixture::TearDown();
  }

  static bool HasChildren() {
    return ::waitid(P_ALL, 0, nullptr, WEXITED | WNOHANG | WNOWAIT) == 0;
  }

  static ServiceSpec Spec() {
    ServiceSpec spec;
    spec.name = "probed";
    spec.command = {"true"};
    return spec;
  }
  static SpawnPlan Plan(const std::vector<std::string>& command) {
    auto plan =
        MakeSpawnPlan(Spec(), command, {.data_dir = "/none", .run = "run", .notify_socket = {}});
    if (!plan) ADD_FAILURE() << plan.error().ToString();
    return *plan;
  }
  static SpawnPlan Shell(std::string script) { return Plan({"/bin/sh", "-c", std::move(script)}); }

  const FileRoot proc;
  ChildProcesses children;

 private:
  UniqueFd signals_;
  EventLoop::Watch watch_;
};

}  // namespace idlewatt
