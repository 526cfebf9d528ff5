#pragma once

#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "supervisor/supervisor.h"

namespace idlewatt {

// A folder of its own, removed at the end.
class BenchFolder {
 public:
  BenchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "idlewatt-bench-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  ~BenchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string PathOf(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline ServiceSpec BenchService(std::string name, std::vector<std::string> command) {
  ServiceSpec spec;
  spec.name = std::move(name);
  spec.command = std::move(command);
  spec.restart = RestartMode::kNo;
  return spec;
}

// A supervisor in a folder of its own. As long as it lives nobody else may start child processes.
class BenchBed {
 public:
  explicit BenchBed(std::vector<ServiceSpec> specs) {
    spdlog::set_level(spdlog::level::off);  // stdout is the report's
    SupervisorOptions options;
    options.log_dir = folder_.PathOf("log");
    options.data_dir = folder_.path();
    auto made = Supervisor::Create(std::move(specs), options, clock_);
    if (!made) Give("no supervisor: " + made.error().ToString());
    supervisor_ = std::move(*made);
  }

  Supervisor& supervisor() { return *supervisor_; }
  const BenchFolder& folder() const { return folder_; }

  // Until `done` of every status is true.
  template <typename Done>
  void AwaitAll(Done done) const {
    const auto all = [&](const std::vector<ServiceStatus>& statuses) {
      return std::ranges::all_of(statuses, done);
    };
    if (!supervisor_->WaitFor(all, std::chrono::minutes(2))) Give("the services hang");
  }
  void AwaitAllReady() const {
    AwaitAll([](const ServiceStatus& s) { return s.ready; });
  }
  void AwaitAllGone() const {
    AwaitAll([](const ServiceStatus& s) {
      return !s.has_processes && s.state != ServiceState::kPending &&
             s.state != ServiceState::kStarting;
    });
  }
  // Until the stream of changes, read on from where it was left, tells of a step to `state`.
  void AwaitChangeTo(ServiceState state) {
    while (true) {
      const StateNews news = supervisor_->WaitForChanges(seen_, std::chrono::minutes(1));
      if (news.changes.empty()) Give("no change of state comes");
      for (const StateChange& change : news.changes) {
        seen_ = change.number;
        if (change.to == state) return;
      }
    }
  }

  [[noreturn]] static void Give(const std::string& why) {
    std::fprintf(stderr, "supervisor_bench: %s\n", why.c_str());
    std::exit(1);
  }

 private:
  RealClock clock_;
  BenchFolder folder_;
  uint64_t seen_ = 0;
  std::unique_ptr<Supervisor> supervisor_;
};

// What others would use to start a program; stdin from `input` and stdout to `output`, unless -1.
inline pid_t PosixSpawn(const std::vector<std::string>& command, int input = -1, int output = -1) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (input >= 0) posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  if (output >= 0) posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  // A supervisor that was here before has blocked SIGCHLD, without which sh waits for ever.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  if (posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ) != 0) {
    BenchBed::Give(command[0] + " cannot be started");
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

inline void KillAndReap(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

// What may grow while services come and go.
struct Leftovers {
  int64_t descriptors = 0;
  int64_t zombies = 0;
  double resident_mib = 0;
};

inline Leftovers CountLeftovers() {
  Leftovers now;
  using Folder = std::filesystem::directory_iterator;
  now.descriptors = std::distance(Folder("/proc/self/fd"), Folder());
  for (const auto& task : Folder("/proc/self/task")) {
    std::ifstream children(task.path() / "children");
    for (std::string pid; children >> pid;) {
      std::string stat;
      std::getline(std::ifstream("/proc/" + pid + "/stat"), stat);
      if (stat.find(") Z") != std::string::npos) ++now.zombies;
    }
  }
  int64_t total = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  now.resident_mib =
      static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1048576;
  return now;
}

}  // namespace idlewatt
