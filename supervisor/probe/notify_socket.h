#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/event_loop.h"

namespace idlewatt {

// What one datagram of sd_notify(3) says, of all that it may say.
struct NotifyMessage {
  bool ready = false;                                       // READY=1
  std::optional<std::string> status;                        // STATUS=, valid UTF-8, one line
  std::optional<std::chrono::microseconds> extend_timeout;  // EXTEND_TIMEOUT_USEC=
  bool operator==(const NotifyMessage&) const = default;
};
// Lines NAME=value; others are left out, of two of one name the last counts.
NotifyMessage ParseNotifyMessage(std::string_view datagram);

// The socket that a run tells us through that it is ready.
// Threads: loop only.
// Owns:    an abstract socket of the kind AF_UNIX, SOCK_DGRAM. Datagrams above kMaxBytes and
//          descriptors that come with them are dropped by the kernel.
class NotifySocket {
 public:
  using IsMember = std::function<bool(int32_t pid)>;
  // Called from the loop; may destroy the socket.
  using OnMessage = std::function<void(const NotifyMessage& message, int32_t pid)>;

  // `name` begins with '@', as in the variable NOTIFY_SOCKET. Messages of processes that are no
  // members are dropped. kTransient when the name is taken.
  static Result<std::unique_ptr<NotifySocket>> Open(EventLoop& loop, const std::string& name,
                                                    IsMember is_member, OnMessage on_message);
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // Who sent the last message that was dropped.
  std::optional<int32_t> stranger() const { return stranger_; }

  static constexpr size_t kMaxBytes = 4096;
  static constexpr size_t kStatusBytes = 256;

 private:
  NotifySocket(IsMember is_member, OnMessage on_message)
      : is_member_(std::move(is_member)), on_message_(std::move(on_message)) {}
  void Receive();

  const IsMember is_member_;
  const OnMessage on_message_;
  UniqueFd socket_;
  EventLoop::Watch watch_;
  std::optional<int32_t> stranger_;
};

}  // namespace idlewatt
