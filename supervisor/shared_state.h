#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "collector/service_directory.h"
#include "supervisor/status.h"

namespace idlewatt {

// A request of another thread to the loop. Nothing for all services.
struct Command {
  ServiceEvent event;
  std::optional<size_t> service;
};

// All that the loop shares with other threads: requests in, statuses and ended roots out.
// Threads: any; one mutex, held for a copy. Requests are unbounded, but each is 24 bytes and taken
// within a turn of the loop.
class SharedState {
 public:
  using Statuses = std::vector<ServiceStatus>;

  // Fixes how many services there are.
  explicit SharedState(Statuses initial) : statuses_(std::move(initial)) {}

  void Post(Command command);
  // What was posted since the last call. Counts as open until Publish says it was handled.
  std::vector<Command> Take();

  struct Change {
    size_t service = 0;
    ServiceStatus status;
    std::optional<SupervisedRoot> root;
  };
  // In one step, so that a root is seen either running or ended. Keeps the newest 1,024 ended.
  void Publish(std::vector<Change> changes, std::vector<EndedRoot> ended, size_t handled_commands);

  Statuses GetStatuses() const;
  std::vector<SupervisedRoot> GetRoots() const;
  std::vector<EndedRoot> TakeEnded();

  enum class Requests { kAny, kHandled };
  // Waits until `done(statuses)` or until `timeout` passed, and says whether it was done. With
  // kHandled every request posted so far must have been handled too. `done` is called with the
  // mutex held: it must not call back.
  bool WaitFor(const std::function<bool(const Statuses&)>& done, std::chrono::nanoseconds timeout,
               Requests requests = Requests::kAny) const;

 private:
  mutable Mutex mutex_;
  mutable CondVar changed_;
  Statuses statuses_ GUARDED_BY(mutex_);
  std::vector<std::optional<SupervisedRoot>> roots_ GUARDED_BY(mutex_);
  std::deque<EndedRoot> ended_ GUARDED_BY(mutex_);
  std::vector<Command> commands_ GUARDED_BY(mutex_);
  size_t open_commands_ GUARDED_BY(mutex_) = 0;  // posted, not yet handled
};

}  // namespace idlewatt
