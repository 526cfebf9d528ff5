// What is told about a service to everybody outside the supervisor.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "supervisor/transition_table.h"

namespace idlewatt {

// How the root of a run ended.
struct LastExit {
  enum class Kind { kCode, kSignal, kOutOfMemory, kUnknown };
  Kind kind = Kind::kUnknown;
  int value = 0;  // exit code or signal number (SIGKILL when out of memory); 0 when unknown
  WallTime at;
  std::string text;                // "exited with code 3", "killed by SIGKILL"
  std::vector<std::string> lines;  // the last lines that it wrote, oldest first, valid UTF-8
};

// How long starts took until ready: a histogram.
struct StartDurations {
  static constexpr std::array<double, 11> kBounds = {0.1, 0.25, 0.5, 1,   2.5, 5,
                                                     10,  30,   60,  120, 300};  // seconds
  std::array<uint64_t, kBounds.size() + 1> counts{};  // of each bucket alone; the last: longer
  double sum_seconds = 0;
  void Add(double seconds);
};

struct ServiceStatus {
  std::string name;
  ServiceState state = ServiceState::kStopped;
  bool ready = false;
  bool adopted = false;          // the run was started by an earlier daemon
  std::optional<int32_t> pid;    // of the root, while it runs
  std::optional<uint16_t> port;  // as set, or as picked for this run
  std::string model;
  std::optional<WallTime> started_at;  // while the root runs
  std::optional<BootTime> started_boot;
  std::optional<double> uptime_seconds;  // at the time of the call
  int restart_attempts = 0;              // since the last time that it was healthy for reset_after
  std::optional<BootTime> next_retry_boot;  // in backoff
  std::optional<WallTime> next_retry_at;    // the same, as the clocks stand at the time of the call
  std::optional<double> backoff_seconds;    // the delay that next_retry_at ends
  std::map<std::string, int64_t> restarts;  // by reason, since the service is known
  StartDurations start_durations;
  std::optional<LastExit> last_exit;     // nothing before the first
  std::string failure;                   // one sentence; empty when nothing failed since the start
  std::string note;                      // what it waits for, or STATUS= of sd_notify; may be empty
  std::vector<std::string> last_output;  // the last lines of this run, oldest first, valid UTF-8
  std::string log_path;
  int64_t log_bytes = 0;          // written to the log since the daemon started
  int64_t log_dropped_bytes = 0;  // lost because the log could not be written
  std::vector<std::string> profiles;
  // Is any process of it left, the root or another? Also true in exited and failed, until what
  // the root left behind is gone.
  bool has_processes = false;
};

// One step of a service, as the stream and the history tell it.
struct StateChange {
  uint64_t number = 0;  // 1, 2, 3 ... since the daemon started
  WallTime at;
  std::string service;
  ServiceState from = ServiceState::kStopped;
  ServiceState to = ServiceState::kStopped;
  std::string reason;  // the event, and its details: "exited badly: exited with code 3"
};

}  // namespace idlewatt
