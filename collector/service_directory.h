#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace idlewatt {

// A service that somebody named, in the words of the configuration.
struct WatchedService {
  std::string name;
  // Exactly one of these is set.
  std::string process;           // program name: comm, or base name of the executable
  std::optional<uint16_t> port;  // owner of the listening TCP socket
  std::string cgroup;            // cgroup path, its descendants included
  std::string unit;              // systemd unit
  std::string pid_file;          // a file that holds a pid
};

// A running supervised service.
struct SupervisedRoot {
  std::string name;
  int32_t pid = 0;  // also the id of its session and process group
  std::optional<uint16_t> port;
  // That holds its run and nothing else, as /proc/PID/cgroup has it; empty: it has none.
  std::string cgroup{};
};

// A supervised root that was reaped since the last call, with the kernel's last word on its CPU
// time: its own and that of every descendant it waited for.
struct EndedRoot {
  std::string name;
  int32_t pid = 0;
  double user_seconds = 0;
  double system_seconds = 0;
};

// What the collector asks the supervisor. Threads: the sampler thread calls.
class ServiceDirectory {
 public:
  virtual ~ServiceDirectory() = default;
  virtual std::vector<SupervisedRoot> Roots() = 0;
  // Each ended root is handed out once.
  virtual std::vector<EndedRoot> TakeEnded() = 0;
};

}  // namespace idlewatt
