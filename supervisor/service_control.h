// The supervisor as others see it: what can be asked of it and what it tells.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supervisor/log/log_tail.h"
#include "supervisor/status.h"

namespace idlewatt {

struct SwapRequest {
  std::optional<std::string> model;
  std::optional<std::vector<std::string>> command;  // argv, variables not yet replaced
};

struct ProfileStatus {
  std::string name;
  bool active = false;
  std::vector<std::string> services;  // that belong to it and not to every profile
};

// What a reload changed, by name.
struct ReloadOutcome {
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> restarted;  // of those that run
  std::vector<std::string> updated;    // without a restart
  // Parts of the configuration that differ and need a restart of the daemon: "http".
  std::vector<std::string> not_applied;
};

// State changes, and the status of every service after them.
struct StateNews {
  std::vector<StateChange> changes;  // after the number that was asked for, oldest first
  bool missed = false;               // some before them are no longer known
};

// Requests are asynchronous: success means that the request was taken, Status tells what came of
// it. Asking twice for what is already so, or under way, changes nothing.
// Errors:  kInvalid for a name that is not there, with the nearest one.
// Threads: any.
class ServiceControl {
 public:
  virtual ~ServiceControl() = default;

  virtual Result<void> Start(std::string_view name) = 0;
  virtual Result<void> Stop(std::string_view name) = 0;
  // Stops it if it runs, and starts it; does not count as a restart after a crash.
  virtual Result<void> Restart(std::string_view name) = 0;
  // Another model or command under the same name; kInvalid when neither is given. The new one is
  // made ready beside the old one where port and memory allow, else after it; if it does not get
  // ready the old one serves on, or comes back. The configuration file stays as it is.
  virtual Result<void> Swap(std::string_view name, const SwapRequest& request) = 0;

  virtual std::vector<ProfileStatus> Profiles() const = 0;
  // Stops the services of other profiles and starts those of this one; what is in both runs on.
  virtual Result<void> ActivateProfile(std::string_view name) = 0;

  // In the order of the configuration.
  virtual std::vector<ServiceStatus> Status() const = 0;
  // What the service writes; null when there is no such service.
  virtual std::shared_ptr<const LogTail> Log(std::string_view name) const = 0;
  // Waits until there is a change with a number above `after`, or until `timeout` passed.
  virtual StateNews WaitForChanges(uint64_t after, std::chrono::nanoseconds timeout) const = 0;
};

}  // namespace idlewatt
