#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace idlewatt {

// Tells the service manager how we are, in the words of sd_notify(3); without one it says nothing.
// Source:  NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment.
// Errors:  logged; a daemon that nobody hears runs on.
// Threads: any, but FromEnvironment.
// Owns:    a datagram socket.
class SdNotify {
 public:
  // Takes the variables out of the environment, so that no service takes itself for the daemon. To
  // be called before there is a second thread: another one may read the environment meanwhile.
  static SdNotify FromEnvironment();

  // Each of these may wait for the manager, for a second at most.
  void Ready() const;
  void Reloading() const;  // Ready must follow, also when the reload came to nothing
  void Stopping() const;
  // One line for `systemctl status`.
  void Status(std::string_view text) const;

  // How often Alive must be called, twice for each time that the manager waits; nothing when it
  // does not wait for it.
  std::optional<std::chrono::nanoseconds> alive_interval() const { return alive_interval_; }
  // To be called by the thread whose standstill is to end the daemon. Never waits.
  void Alive() const;

 private:
  void Connect(const std::string& address);
  void Send(std::string_view message, int flags) const;

  UniqueFd socket_;  // -1 without a manager
  std::optional<std::chrono::nanoseconds> alive_interval_;
};

}  // namespace idlewatt
