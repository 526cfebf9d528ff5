#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "collector/frame.h"
#include "collector/snapshot.h"

namespace idlewatt {

// [idle] of the configuration, and the `idle` of single services.
struct IdleOptions {
  std::chrono::milliseconds after{60000};
  double cpu_ratio = 0.05;  // of one CPU
  double network_bytes_per_second = 64;
  std::map<std::string, std::chrono::milliseconds> after_by_service{};
};

// Is anybody using a service? By the bytes and connections on its ports where they are known; CPU
// counts as use only where they are not: a service nobody talks to that burns CPU is idle and
// wasteful, which is the finding. The first sight of a service, and its return, count as use.
// Threads: one.
class IdleTracker {
 public:
  explicit IdleTracker(IdleOptions options) : options_(std::move(options)) {}

  // Takes the tick in `snapshot` and appends the idle metrics of every service that has processes.
  void Update(const Snapshot& snapshot, Readings& out);
  // As of the last tick; false for a service without processes.
  bool IsIdle(std::string_view service) const;
  // From its last activity to the last tick; 0 for a service without processes.
  double IdleSeconds(std::string_view service) const;

 private:
  struct State {
    TimePoint activity;  // the last one; its wall time follows jumps of the wall clock
    BootTime seen;
    bool idle = false;
  };

  bool IsUsed(const Snapshot& snapshot, const std::string& service) const;
  std::chrono::milliseconds AfterFor(const std::string& service) const;
  void Publish(const std::string& service, State& state, TimePoint now, Readings& out) const;

  const IdleOptions options_;
  std::map<std::string, State, std::less<>> services_;  // with processes
};

// CPU of a service over the last interval, 1 is one CPU; nothing at its first reading.
std::optional<double> ServiceCpuRatio(const Snapshot& snapshot, std::string_view service);

}  // namespace idlewatt
