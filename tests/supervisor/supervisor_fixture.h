#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "supervisor/process/pidfd.h"
#include "supervisor/supervisor.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {

using namespace std::chrono_literals;

// Services that run a line of shell, under a real supervisor in a folder of its own. Nothing here
// sleeps: every wait is for a published status and has a deadline.
class SupervisorFixture : public ::testing::Test {
 protected:
  static constexpr auto kLong = 20s;  // "at once", on a slow machine under a sanitizer

  // No test may leave a process behind, running or zombie.
  void TearDown() override {
    supervisor.reset();
    EXPECT_EQ(Children(), "");
  }

  static ServiceSpec Shell(std::string name, std::string script) {
    ServiceSpec spec;
    spec.name = std::move(name);
    spec.command = {"/bin/sh", "-c", std::move(script)};
    spec.restart = RestartMode::kNo;
    return spec;
  }

  Result<std::unique_ptr<Supervisor>> TryCreate(std::vector<ServiceSpec> specs) {
    SupervisorOptions with_folders = options;
    with_folders.log_dir = tree.PathOf("log");
    if (with_folders.data_dir.empty()) with_folders.data_dir = tree.path();
    return Supervisor::Create(std::move(specs), with_folders, *service_clock);
  }
  void Create(std::vector<ServiceSpec> specs) {
    Result<std::unique_ptr<Supervisor>> made = TryCreate(std::move(specs));
    ASSERT_TRUE(made) << made.error().ToString();
    supervisor = std::move(*made);
  }

  ServiceStatus Get(std::string_view name) const {
    for (ServiceStatus& status : supervisor->Status()) {
      if (status.name == name) return std::move(status);
    }
    ADD_FAILURE() << "no service " << name;
    return {};
  }

  // Empty before the first exit.
  std::string LastExitText(std::string_view name) const {
    const std::optional<LastExit> exit = Get(name).last_exit;
    return exit ? exit->text : std::string();
  }

  // Waits until the status of `name` fulfils `done`.
  template <typename Done>
  [[nodiscard]] bool Wait(std::string_view name, Done done,
                          std::chrono::nanoseconds timeout = kLong) const {
    return supervisor->WaitFor(
        [&](const std::vector<ServiceStatus>& statuses) {
          for (const ServiceStatus& status : statuses) {
            if (status.name == name) return static_cast<bool>(done(status));
          }
          return false;
        },
        timeout);
  }
  [[nodiscard]] bool WaitState(std::string_view name, ServiceState state) const {
    return Wait(name, [&](const ServiceStatus& s) { return s.state == state; });
  }
  // Waits until the last output line of `name` is `line`: its script got that far.
  [[nodiscard]] bool WaitLine(std::string_view name, std::string_view line) const {
    return Wait(name, [&](const ServiceStatus& s) {
      return !s.last_output.empty() && s.last_output.back() == line;
    });
  }
  // Starts `name` and waits until its script has said "up".
  void StartUp(std::string_view name) {
    ASSERT_TRUE(supervisor->Start(name));
    ASSERT_TRUE(Wait(name, [](const ServiceStatus& s) {
      return s.ready && !s.last_output.empty() && s.last_output.back() == "up";
    })) << Get(name).failure;
  }
  void StopAndWait(std::string_view name) {
    ASSERT_TRUE(supervisor->Stop(name));
    ASSERT_TRUE(WaitState(name, ServiceState::kStopped)) << ServiceStateName(Get(name).state);
  }

  // The number that a script wrote to a file, whole once the script said so.
  pid_t PidIn(std::string_view file) const {
    return ParseNumber<pid_t>(Trim(tree.Read(file))).value_or(-1);
  }
  std::string DataDir() const { return std::filesystem::canonical(tree.path()).string(); }
  // Neither running nor a zombie.
  static bool IsGone(pid_t pid) { return pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH; }
  // Its line is "State:\tZ (zombie)" until somebody reaps it.
  static bool IsDead(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("State:")) return line.find('Z') != std::string::npos;
    }
    return true;
  }
  static size_t OpenDescriptors() {
    size_t count = 0;
    DIR* folder = ::opendir("/proc/self/fd");
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
  }
  // The children of this process, with their command names.
  static std::string Children() {
    std::string out;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream children(task.path() / "children");
      for (std::string pid; children >> pid;) {
        std::string name;
        std::getline(std::ifstream("/proc/" + pid + "/stat"), name);
        out += name + "\n";
      }
    }
    return out;
  }
  // Returns once `pid` has ended.
  static void KillAndWait(pid_t pid) {
    const UniqueFd pidfd(::pidfd_open(pid, 0));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    pollfd ended{pidfd.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&ended, 1, 20'000), 1);
  }

  RealClock clock;
  const Clock* service_clock = &clock;  // of the supervisor
  FakeTree tree;
  SupervisorOptions options;  // without folders
  std::unique_ptr<Supervisor> supervisor;
};

}  // namespace idlewatt
