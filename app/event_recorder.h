#pragma once

#include <cstdint>
#include <functional>

#include "storage/history_store.h"
#include "supervisor/service_control.h"

namespace idlewatt {

// Makes every change of a service's state an event of the history: kind "service_state", its detail
// the change as the API shows it. Changes that the supervisor no longer knows are one event
// "service_state_missed" of the whole machine.
// Threads: one at a time.
class EventRecorder {
 public:
  using Push = std::function<void(HistoryEvent)>;
  // `control` must outlive this object. `push` must not block.
  EventRecorder(const ServiceControl& control, Push push)
      : control_(control), push_(std::move(push)) {}

  // What changed since the last call; never waits. To be called more often than the supervisor
  // forgets: with each tick.
  void Record(WallTime now);

 private:
  const ServiceControl& control_;
  const Push push_;
  uint64_t last_number_ = 0;
};

}  // namespace idlewatt
