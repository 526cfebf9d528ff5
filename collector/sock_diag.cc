#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "collector/socket_sampler.h"

namespace idlewatt {
namespace {

// TCP states of include/net/tcp_states.h.
constexpr int kEstablished = 1;
constexpr int kTimeWait = 6;
constexpr int kListen = 10;
constexpr uint32_t kAllStatesButListen = 0xFFF & ~(1U << kListen);

Error NetlinkError(int error) {
  return Error{error == EPERM || error == EACCES ? ErrorCode::kPermission : ErrorCode::kTransient,
               "NETLINK_SOCK_DIAG", error, "cannot list TCP connections"};
}

bool IsLocalPair(const inet_diag_sockid& id, int family) {
  const size_t bytes = family == AF_INET ? 4 : 16;
  return std::memcmp(id.idiag_src, id.idiag_dst, bytes) == 0;
}

// One connection may be IPv6 (::ffff:1.2.3.4) for a server and IPv4 for its client.
std::string_view AddressBytes(const void* address, int family) {
  const std::string_view bytes(static_cast<const char*>(address), family == AF_INET ? 4 : 16);
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  return bytes.starts_with(kMapped) ? bytes.substr(kMapped.size()) : bytes;
}

std::string Key(int family, const void* near_address, uint16_t near_port, const void* far_address,
                uint16_t far_port) {
  std::string key(AddressBytes(near_address, family));
  key.append(reinterpret_cast<const char*>(&near_port), sizeof near_port);
  key += AddressBytes(far_address, family);
  key.append(reinterpret_cast<const char*>(&far_port), sizeof far_port);
  return key;
}

class SockDiag {
 public:
  Result<std::vector<TcpConnection>> List(const std::vector<uint16_t>& ports) {
    if (!socket_) {
      socket_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
      if (!socket_) return NetlinkError(errno);
    }
    std::vector<TcpConnection> connections;
    if (auto listed = ListAll(ports, connections); !listed) {
      socket_.reset();  // what is left of the answer must not be taken for the next one
      return std::move(listed).error();
    }
    return connections;
  }

 private:
  // The older form of the request: it lists IPv4 and IPv6 in one walk through the kernel's table.
  // The newer one takes a walk for each, and a walk is what it costs: 0.15 ms for the 262,144
  // buckets of a kernel 6.18 with 24 GB, however few sockets there are.
  Result<void> ListAll(const std::vector<uint16_t>& ports, std::vector<TcpConnection>& out) {
    struct {
      nlmsghdr header;
      inet_diag_req request;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = TCPDIAG_GETSOCK;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.request.idiag_family = AF_INET;
    message.request.idiag_ext = 1U << (INET_DIAG_INFO - 1);
    message.request.idiag_states = kAllStatesButListen;
    if (::send(socket_.get(), &message, sizeof message, 0) < 0) return NetlinkError(errno);
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), buffer_.get(), kBufferBytes, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return NetlinkError(errno);
      const std::string_view messages(buffer_.get(), static_cast<size_t>(got));
      ASSIGN_OR_RETURN(const bool done, TakeSockDiagMessages(messages, ports, out));
      if (done) return {};
    }
  }

 public:
  static Result<bool> TakeMessages(std::string_view messages, const std::vector<uint16_t>& ports,
                                   std::vector<TcpConnection>& out) {
    auto* header = reinterpret_cast<const nlmsghdr*>(messages.data());
    size_t bytes = messages.size();
    for (; NLMSG_OK(header, bytes); header = Next(header, bytes)) {
      if (header->nlmsg_type == NLMSG_DONE) return true;
      if (header->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(header));
        const bool is_errno = header->nlmsg_len >= NLMSG_LENGTH(sizeof error->error) &&
                              error->error < 0 && error->error > -4096;
        return NetlinkError(is_errno ? -error->error : EPROTO);
      }
      if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(inet_diag_msg))) TakeSocket(*header, ports, out);
    }
    return false;
  }

 private:
  // NLMSG_NEXT takes the padding of the last message off too, also where there is none.
  static const nlmsghdr* Next(const nlmsghdr* header, size_t& bytes) {
    const size_t length = std::min<size_t>(NLMSG_ALIGN(header->nlmsg_len), bytes);
    bytes -= length;
    return reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(header) + length);
  }

  static void TakeSocket(const nlmsghdr& header, const std::vector<uint16_t>& ports,
                         std::vector<TcpConnection>& out) {
    const auto* socket = static_cast<const inet_diag_msg*>(NLMSG_DATA(&header));
    const inet_diag_sockid& id = socket->id;
    const uint16_t near_port = ntohs(id.idiag_sport);
    const uint16_t far_port = ntohs(id.idiag_dport);
    const auto is_ours = [&](uint16_t port) {
      return std::binary_search(ports.begin(), ports.end(), port);
    };
    const int family = socket->idiag_family;
    TcpConnection connection;
    connection.established = socket->idiag_state == kEstablished;
    const bool time_wait = socket->idiag_state == kTimeWait;
    if (is_ours(near_port)) {
      connection.port = near_port;
      connection.key = Key(family, id.idiag_src, near_port, id.idiag_dst, far_port);
    } else if (time_wait && is_ours(far_port) && IsLocalPair(id, family)) {
      // The client's side of a connection within this machine: the same key as the server's side.
      connection.port = far_port;
      connection.key = Key(family, id.idiag_dst, far_port, id.idiag_src, near_port);
    } else {
      return;
    }
    connection.ended = !TakeBytes(header, connection);
    out.push_back(std::move(connection));
  }

  // False when there are none: a socket that is not set up yet, or only waits for stray packets
  // (TIME_WAIT, and FIN_WAIT2 in its later part).
  static bool TakeBytes(const nlmsghdr& header, TcpConnection& connection) {
    const auto* socket = static_cast<const inet_diag_msg*>(NLMSG_DATA(&header));
    auto length = static_cast<int>(header.nlmsg_len - NLMSG_LENGTH(sizeof(inet_diag_msg)));
    // NOLINTNEXTLINE: the kernel's macros work on untyped memory
    for (auto* attribute = (const rtattr*)(socket + 1); RTA_OK(attribute, length);
         attribute = RTA_NEXT(attribute, length)) {
      if (attribute->rta_type != INET_DIAG_INFO) continue;
      tcp_info info{};  // an older kernel gives a shorter one
      std::memcpy(&info, RTA_DATA(attribute),
                  std::min(sizeof info, size_t{RTA_PAYLOAD(attribute)}));
      connection.bytes_in = info.tcpi_bytes_received;
      connection.bytes_out = info.tcpi_bytes_acked;
      return true;
    }
    return false;
  }

  static constexpr size_t kBufferBytes = 32768;
  UniqueFd socket_;
  std::unique_ptr<char[]> buffer_ = std::make_unique<char[]>(kBufferBytes);
};

}  // namespace

Result<bool> TakeSockDiagMessages(std::string_view messages, const std::vector<uint16_t>& ports,
                                  std::vector<TcpConnection>& out) {
  return SockDiag::TakeMessages(messages, ports, out);
}

SocketSampler::Lister MakeSockDiagLister() {
  auto diag = std::make_shared<SockDiag>();
  return [diag](const std::vector<uint16_t>& ports) { return diag->List(ports); };
}

}  // namespace idlewatt
