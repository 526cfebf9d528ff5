#include "collector/sock_diag_message.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace idlewatt {
namespace {

constexpr int kMaxErrno = 4095;

// A structure of the kernel at the front of `bytes`, which may be shorter (an older kernel) or not
// aligned: then the rest is zero.
template <typename T>
T FrontOf(std::string_view bytes) {
  T out{};
  std::memcpy(&out, bytes.data(), std::min(sizeof out, bytes.size()));
  return out;
}

std::string_view AfterFront(std::string_view bytes, size_t count) {
  return bytes.substr(std::min(bytes.size(), count));
}

// One connection may be IPv6 (::ffff:1.2.3.4) for a server and IPv4 for its client.
std::string_view AddressBytes(std::string_view field, int family) {
  if (family == AF_INET) return field.substr(0, 4);
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  return field.starts_with(kMapped) ? field.substr(kMapped.size()) : field;
}

std::optional<TcpUse> UseIn(std::string_view attributes) {
  while (attributes.size() >= sizeof(rtattr)) {
    const auto attribute = FrontOf<rtattr>(attributes);
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > attributes.size()) break;
    if (attribute.rta_type == INET_DIAG_INFO) {
      const auto info =
          FrontOf<tcp_info>(attributes.substr(sizeof(rtattr), attribute.rta_len - sizeof(rtattr)));
      return TcpUse{info.tcpi_bytes_received, info.tcpi_bytes_acked,
                    std::chrono::milliseconds(info.tcpi_last_data_recv),
                    std::chrono::milliseconds(info.tcpi_last_data_sent)};
    }
    attributes = AfterFront(attributes, RTA_ALIGN(attribute.rta_len));
  }
  return std::nullopt;
}

std::optional<SocketMessage> SocketIn(std::string_view payload) {
  if (payload.size() < sizeof(inet_diag_msg)) return std::nullopt;
  const auto socket = FrontOf<inet_diag_msg>(payload);
  if (socket.idiag_family != AF_INET && socket.idiag_family != AF_INET6) return std::nullopt;
  constexpr size_t kNear = offsetof(inet_diag_msg, id) + offsetof(inet_diag_sockid, idiag_src);
  constexpr size_t kFar = offsetof(inet_diag_msg, id) + offsetof(inet_diag_sockid, idiag_dst);
  SocketMessage out;
  out.state = socket.idiag_state;
  std::memcpy(&out.cookie, socket.id.idiag_cookie, sizeof out.cookie);
  out.near_address = AddressBytes(payload.substr(kNear, 16), socket.idiag_family);
  out.far_address = AddressBytes(payload.substr(kFar, 16), socket.idiag_family);
  out.near_port = ntohs(socket.id.idiag_sport);
  out.far_port = ntohs(socket.id.idiag_dport);
  out.use = UseIn(AfterFront(payload, NLMSG_ALIGN(sizeof(inet_diag_msg))));
  return out;
}

}  // namespace

SockDiagEnd ForEachSocket(std::string_view datagram,
                          const std::function<void(const SocketMessage&)>& visit) {
  SockDiagEnd end;
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto header = FrontOf<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) break;
    const std::string_view payload = datagram.substr(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
    if (header.nlmsg_type == NLMSG_DONE) {
      end.done = true;
      break;
    }
    if (header.nlmsg_type == NLMSG_ERROR) {
      const int error = FrontOf<nlmsgerr>(payload).error;
      end.error = error < 0 && error >= -kMaxErrno ? -error : EPROTO;
      break;
    }
    if (header.nlmsg_type != NLMSG_NOOP && header.nlmsg_type != NLMSG_OVERRUN) {
      if (const auto socket = SocketIn(payload)) visit(*socket);
    }
    datagram = AfterFront(datagram, NLMSG_ALIGN(header.nlmsg_len));
  }
  return end;
}

}  // namespace idlewatt
