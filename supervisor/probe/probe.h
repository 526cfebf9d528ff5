#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/event_loop.h"

namespace idlewatt {

// What came of a question to a run, and how that is said: "answered 503", "found port 8001 open".
struct Answer {
  bool good = false;
  std::string text;
};

// Which server of this machine is asked, and for what.
struct ProbeTarget {
  uint16_t port = 0;
  std::string path;  // of HTTP GET; empty: whether it accepts a connection
  std::string host;  // for the server: "127.0.0.1:8001"
  bool ipv4 = true;
  bool ipv6 = true;  // asked second, when nobody is there with IPv4
  bool operator==(const ProbeTarget&) const = default;
};

// Whether `port` accepts connections.
ProbeTarget TcpTarget(uint16_t port);
// What `http_get` of the configuration means: a path at `port`, or a URL of 127.0.0.1, localhost or
// [::1]. kInvalid for anything else, and for a path without a port.
Result<ProbeTarget> HttpTarget(std::string_view http_get, std::optional<uint16_t> port);

// The status of the HTTP answer that begins with `text`.
struct HttpStatus {
  enum class State { kIncomplete, kNoHttp, kKnown };
  State state = State::kIncomplete;
  int code = 0;
};
HttpStatus ParseHttpStatus(std::string_view text);
inline constexpr size_t kHttpStatusBytes = 13;  // "HTTP/1.1 200 ": so many always suffice

// One question to a server of this machine, from our own address (base/own_address.h), which does
// not count as use of the service. An HTTP status of 200 to 399 is a good answer.
// Threads: loop only.
// Owns:    one socket.
class Probe {
 public:
  using Done = std::function<void(Answer)>;
  // `done` is called once, within `timeout`, from the loop and never within this call; it may
  // destroy the probe. Destroyed earlier, the probe ends without a call.
  Probe(EventLoop& loop, ProbeTarget target, std::chrono::milliseconds timeout, Done done);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

 private:
  void Begin(int family);
  int Connect(int family);
  void OnEvent();
  void OnConnectFailed(int error);
  void OnConnected();
  bool IsConnectedToItself() const;
  void Send();
  void Receive();
  void Finish(bool good, std::string text);

  EventLoop& loop_;
  const ProbeTarget target_;
  const std::chrono::milliseconds timeout_;
  Done done_;
  EventLoop::Timer begin_;
  EventLoop::Timer deadline_;
  UniqueFd socket_;
  EventLoop::Watch watch_;
  int family_ = AF_UNSPEC;
  bool connected_ = false;
  std::string request_;  // what is left to send
  std::string answer_;   // its first bytes
};

}  // namespace idlewatt
