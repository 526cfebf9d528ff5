// What the kernel says of a TCP socket over NETLINK_SOCK_DIAG. Pure functions: every message is
// taken as bytes of unknown origin, whole or broken.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace idlewatt {

// Of struct tcp_info, as far as we use it.
struct TcpUse {
  uint64_t bytes_received = 0;
  uint64_t bytes_acked = 0;
  // Since data last came or went. The kernel starts both when the connection is established.
  std::chrono::milliseconds since_received{0};
  std::chrono::milliseconds since_sent{0};
};

// One socket, seen from its own side.
struct SocketMessage {
  int state = 0;  // of include/net/tcp_states.h
  // Of the socket as long as it lives, in lists and at its end; what stays behind in TIME_WAIT may
  // have another.
  uint64_t cookie = 0;
  // 4 bytes, or 16; an IPv4 address in IPv6 (::ffff:1.2.3.4) is given as 4. They point into the
  // message.
  std::string_view near_address;
  std::string_view far_address;
  uint16_t near_port = 0;
  uint16_t far_port = 0;
  std::optional<TcpUse> use;  // not of sockets in TIME_WAIT
};

// How a datagram of messages ended.
struct SockDiagEnd {
  bool done = false;         // the last of a list
  std::optional<int> error;  // an errno
};

// Calls `visit` for each socket in a datagram; what is cut off or of another kind is left out.
SockDiagEnd ForEachSocket(std::string_view datagram,
                          const std::function<void(const SocketMessage&)>& visit);

}  // namespace idlewatt
