#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/proc_text.h"
#include "collector/process/process_backend.h"
#include "collector/service_directory.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {

// What a test says about one process; times in clock ticks.
struct FakeProcess {
  int32_t pid = 0;
  std::string comm = "prog";
  int32_t parent = 1;
  int32_t session = 0;  // 0: a session of its own
  uint64_t user = 0;
  uint64_t system = 0;
  int64_t children_user = 0;
  int64_t children_system = 0;
  uint64_t start = 100;
  int64_t rss_pages = 10;
  int threads = 1;
  char state = 'S';
  uint32_t flags = 0;
};

// The line of PID/stat.
inline std::string StatLine(const FakeProcess& p) {
  const auto text = [](auto number) { return std::to_string(number) + " "; };
  return text(p.pid) + "(" + p.comm + ") " + p.state + " " + text(p.parent) + text(p.pid) +
         text(p.session == 0 ? p.pid : p.session) + "0 -1 " + text(p.flags) + "9 9 9 9 " +
         text(p.user) + text(p.system) + text(p.children_user) + text(p.children_system) + "20 0 " +
         text(p.threads) + "0 " + text(p.start) + "123456 " + text(p.rss_pages) +
         "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
}

inline PidStat StatOf(const FakeProcess& p) {
  PidStat stat;
  const auto parsed = ParsePidStat(StatLine(p), stat);
  EXPECT_TRUE(parsed.ok());
  return stat;
}

// The same as a backend tells of it.
inline Process ProcessOf(const FakeProcess& p) {
  const PidStat stat = StatOf(p);
  Process process;
  process.pid = stat.pid;
  process.parent = stat.parent;
  process.session = stat.session;
  process.threads = stat.threads;
  process.start = stat.start;
  process.comm = stat.comm;
  process.state = stat.state;
  process.is_kernel_thread = stat.IsKernelThread();
  return process;
}

// A /proc of made-up processes.
class FakeProc : public FakeTree {
 public:
  void Put(const FakeProcess& process) {
    Write(std::to_string(process.pid) + "/stat", StatLine(process));
  }
  void PutFile(int32_t pid, std::string_view file, std::string_view content) {
    Write(std::to_string(pid) + "/" + std::string(file), content);
  }
  void Kill(int32_t pid) { Remove(std::to_string(pid)); }
};

// A supervisor whose services the test sets.
class FakeDirectory final : public ServiceDirectory {
 public:
  std::vector<SupervisedRoot> Roots() override { return roots; }
  std::vector<EndedRoot> TakeEnded() override { return std::exchange(ended, {}); }

  std::vector<SupervisedRoot> roots;
  std::vector<EndedRoot> ended;
};

}  // namespace idlewatt
