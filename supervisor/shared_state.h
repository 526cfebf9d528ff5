#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "collector/service_directory.h"
#include "supervisor/service_control.h"

namespace idlewatt {

// What the loop tells others after a turn, in one step, so that a root is seen either running or
// ended. Empty parts leave what was there.
struct Publication {
  // When services came or went: the names in their order, and their logs.
  struct Layout {
    std::vector<ServiceStatus> statuses;
    std::map<std::string, std::shared_ptr<const LogTail>, std::less<>> logs;
  };
  std::optional<Layout> layout;
  std::vector<ServiceStatus> statuses;  // that changed
  std::optional<std::vector<SupervisedRoot>> roots;
  std::optional<std::vector<ProfileStatus>> profiles;
  std::vector<EndedRoot> ended;
  std::vector<StateChange> changes;  // numbered here
  bool removed_run = false;          // do services that are no longer configured have processes?
  size_t handled_requests = 0;
};

// All that the loop shares with other threads: requests in, what it publishes out.
// Threads: any; one mutex, held for a copy.
class SharedState {
 public:
  using Statuses = std::vector<ServiceStatus>;
  using Request = std::function<void()>;

  // For the loop thread to call. Counts as open until Publish says it was handled.
  void Post(Request request);
  std::vector<Request> Take();
  void Publish(Publication news);

  Statuses GetStatuses() const;
  std::vector<ProfileStatus> GetProfiles() const;
  std::vector<SupervisedRoot> GetRoots() const;
  // Of the newest 1,024, those that were not taken yet.
  std::vector<EndedRoot> TakeEnded();
  std::shared_ptr<const LogTail> GetLog(std::string_view service) const;
  // kInvalid, with the nearest name, when there is no such service.
  Result<void> CheckName(std::string_view service) const;
  // The newest 4,096 are kept.
  StateNews WaitForChanges(uint64_t after, std::chrono::nanoseconds timeout) const;

  // Waits until `done(statuses)` or until `timeout` passed, and says whether it was done. `done` is
  // called with the mutex held: it must not call back.
  bool WaitFor(const std::function<bool(const Statuses&)>& done,
               std::chrono::nanoseconds timeout) const;
  // The same, once every request was handled and what is no longer configured has no process.
  bool WaitForAll(const std::function<bool(const Statuses&)>& done,
                  std::chrono::nanoseconds timeout) const;

 private:
  bool Wait(const std::function<bool()>& done, std::chrono::nanoseconds timeout) const
      REQUIRES(mutex_);

  mutable Mutex mutex_;
  mutable CondVar changed_;
  Statuses statuses_ GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const LogTail>, std::less<>> logs_ GUARDED_BY(mutex_);
  std::vector<SupervisedRoot> roots_ GUARDED_BY(mutex_);
  std::vector<ProfileStatus> profiles_ GUARDED_BY(mutex_);
  std::deque<EndedRoot> ended_ GUARDED_BY(mutex_);
  std::deque<StateChange> changes_ GUARDED_BY(mutex_);
  uint64_t last_change_ GUARDED_BY(mutex_) = 0;
  bool removed_run_ GUARDED_BY(mutex_) = false;
  std::vector<Request> requests_ GUARDED_BY(mutex_);
  size_t open_requests_ GUARDED_BY(mutex_) = 0;  // posted, not yet handled
};

}  // namespace idlewatt
