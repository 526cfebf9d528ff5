// What is told about a service to everybody outside the supervisor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "supervisor/transition_table.h"

namespace idlewatt {

// How the root of a run ended.
struct LastExit {
  enum class Kind { kCode, kSignal, kUnknown };
  Kind kind = Kind::kUnknown;
  int value = 0;  // exit code or signal number; 0 when unknown
  WallTime at;
  std::string text;  // "exited with code 3", "killed by SIGKILL"
};

struct ServiceStatus {
  std::string name;
  ServiceState state = ServiceState::kStopped;
  bool ready = false;
  std::optional<int32_t> pid;    // of the root, while it runs
  std::optional<uint16_t> port;  // as set, or as picked for this run
  std::string model;
  std::optional<WallTime> started_at;  // while the root runs
  std::optional<BootTime> started_boot;
  std::optional<double> uptime_seconds;  // at the time of the call
  std::optional<LastExit> last_exit;     // nothing before the first
  std::string failure;                   // one sentence; empty when nothing failed since the start
  std::vector<std::string> last_output;  // the last lines of this run, oldest first, valid UTF-8
  std::string log_path;
  int64_t log_bytes = 0;          // written to the log since the daemon started
  int64_t log_dropped_bytes = 0;  // lost because the log could not be written
  // Is any process of it left, the root or another? Also true in exited and failed, until what
  // the root left behind is gone.
  bool has_processes = false;
};

}  // namespace idlewatt
