#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/event_loop.h"
#include "supervisor/process/child_processes.h"
#include "supervisor/process/spawner.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// The run of a service that is asked whether it is ready or alive.
struct ProbedRun {
  ServiceSpec spec;  // expanded; its port is the one of this run
  SpawnMarks marks;  // of its own processes; probes that are commands get them too
  // Does this process belong to the run? Asked before an answer from the port, or a message of
  // sd_notify, is believed: a stranger's 200 is not our readiness.
  std::function<bool(int32_t pid)> is_member;
};

// Waits until a run is ready, by every way that its `ready` names at once; the first wins.
// Ports are asked at once and then every 50 ms, later less often, from our own address
// (base/own_address.h), which does not count as use of the service.
// Threads: supervisor loop only.
// Owns:    probes, timers and the socket of sd_notify. All end with it, or with its answer. What a
//          run sends through sd_notify before this object is there is lost.
class Readiness {
 public:
  struct Callbacks {
    // Once: it is ready, and how that was known ("log line \"listening on 8001\"").
    std::function<void(std::string how)> on_ready;
    // Once: the timeout passed (stall_timeout considered); nothing is asked any more. The text
    // says what the last answers were.
    std::function<void(std::string why)> on_timeout;
    // STATUS= of sd_notify.
    std::function<void(std::string text)> on_status;
  };
  // `run.spec.ready` must be set. `started` is when the run began: for one that was adopted, before
  // now. No callback is called within this call; each may destroy this object. `children` and
  // `proc` must outlive it.
  Readiness(EventLoop& loop, ChildProcesses& children, const FileRoot& proc, ProbedRun run,
            BootTime started, Callbacks callbacks);
  ~Readiness();

  // What the run has just written. May call back.
  void OnOutput(std::string_view data);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The address of the sd_notify socket of a run, to be put into its environment: an abstract one,
// because the path of a data folder may be longer than an address holds.
std::string NotifySocketName(std::string_view run);

// Asks a ready run every period whether it is alive.
// Threads: supervisor loop only.
class Liveness {
 public:
  struct Callbacks {
    // After each failure, and after the first good answer that follows one: failures in a row, 0
    // when it is well, and why the last one failed. May destroy this object.
    std::function<void(int failures, std::string why)> on_change;
  };
  // `run.spec.liveness` must be set. The first question comes after one period.
  Liveness(EventLoop& loop, ChildProcesses& children, const FileRoot& proc, ProbedRun run,
           Callbacks callbacks);
  ~Liveness();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace idlewatt
