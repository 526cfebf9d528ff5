#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/awake_clock.h"
#include "analysis/service_table.h"
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

// What tells of the use of a service, best first.
enum class ActivitySource { kProxy, kSockets, kCpu };
std::string_view ActivitySourceName(ActivitySource source);

// Is anybody using a service? By the requests through its proxy; else by the bytes and connections
// on its ports; else by its CPU time. CPU counts as use only where nothing better tells: a service
// nobody talks to that burns CPU is idle and wasteful, which is the finding. The first sight of a
// service, and its return, count as use. One that flaps, idle twice running for less than
// idle.after, must be left alone for longer the next time, up to eight times idle.after. The
// machine is idle while every service is, and nobody who is logged in types.
// Threads: one.
class IdleTracker {
 public:
  explicit IdleTracker(IdleOptions options) : options_(std::move(options)) {}

  // A service that an earlier run of the daemon knew.
  struct Past {
    WallTime last_activity;
    WallTime seen;  // the last tick that told of it
  };
  // Before the first Update. Counts for a service that is seen again before it could have become
  // idle unseen, and that was not started anew since.
  void Remember(std::map<std::string, Past, std::less<>> past) { past_ = std::move(past); }

  // Takes the tick in `snapshot` with its services; appends the idle metrics of every service that
  // has processes, and of the machine.
  void Update(const Snapshot& snapshot, const ServiceTable& services, const AwakeClock& awake,
              Readings& out);
  // As of the last tick; false for a service without processes.
  bool IsIdle(size_t service) const { return service < states_.size() && states_[service].idle; }
  // From its last activity to the last tick; 0 for a service without processes.
  double IdleSeconds(size_t service) const;
  bool IsHostIdle() const { return host_idle_; }

 private:
  static constexpr std::array<std::string_view, 2> kStateNames{"active", "idle"};

  // Time spent active and idle.
  struct Spent {
    std::array<double, 2> seconds{};
    std::array<KnownSeries, 2> series;
  };
  struct State {
    bool there = false;  // it has processes
    bool idle = false;
    TimePoint activity;  // the last one; its wall time follows jumps of the wall clock
    BootTime seen;
    BootTime idle_since;
    int flaps = 0;
    ActivitySource source = ActivitySource::kCpu;
    Spent spent;
    KnownSeries idle_series, seconds_series, activity_series;
    std::array<KnownSeries, 3> source_series;  // by ActivitySource
  };

  void Judge(const ServiceRow& row, const ServiceTable& services, State& state, TimePoint now);
  TimePoint FirstActivity(const ServiceRow& row, const ServiceTable& services, TimePoint now);
  bool IsUsed(const ServiceRow& row, ActivitySource source) const;
  std::chrono::milliseconds AfterFor(const std::string& service) const;
  void JudgeHost(const Snapshot& snapshot, const ServiceTable& services);
  static void Publish(const std::string& service, State& state, TimePoint now, Readings& out);
  void PublishHost(BootTime now, Readings& out);

  const IdleOptions options_;
  std::map<std::string, Past, std::less<>> past_;
  std::vector<State> states_;          // by the number of the service
  std::chrono::nanoseconds awake_{0};  // by the last tick
  bool started_ = false;
  std::optional<BootTime> last_input_;  // of somebody who is logged in
  bool host_idle_ = false;
  Spent host_spent_;
  KnownSeries host_series_;
};

// CPU of a service over the last interval, 1 is one CPU; nothing at its first reading.
std::optional<double> ServiceCpuRatio(const Snapshot& snapshot, std::string_view service);

}  // namespace idlewatt
