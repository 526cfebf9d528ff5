#include "base/own_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace idlewatt {
namespace {

Error BindError(int error) {
  return Error{error == EACCES || error == EPERM ? ErrorCode::kPermission : ErrorCode::kTransient,
               "socket", error, "cannot be bound to the address of idlewatt's own probes"};
}

Result<void> BindIpv4(int fd) {
  // The kernel chooses the port when it knows the other end, so that no port is used up.
  const int on = 1;
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kOwnIpv4Address);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return {};
  return BindError(errno);
}

// Each call begins at the next port, so that one is taken again only after the wait that a
// connection leaves behind (60 s) or nearly so.
Result<void> BindIpv6(int fd) {
  static std::atomic<uint32_t> next_port = 0;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  for (int tries = 0; tries < kOwnIpv6Ports; ++tries) {
    const uint32_t port = kOwnIpv6FirstPort + next_port++ % kOwnIpv6Ports;
    address.sin6_port = htons(static_cast<uint16_t>(port));
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return {};
    if (errno != EADDRINUSE) break;
  }
  return BindError(errno);
}

}  // namespace

Result<void> BindOwnAddress(int fd) {
  int family = 0;
  socklen_t size = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return BindError(errno);
  return family == AF_INET6 ? BindIpv6(fd) : BindIpv4(fd);
}

bool IsOwnAddress(std::string_view address, uint16_t port) {
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (address.size() == 16 && address.starts_with(kMapped)) address.remove_prefix(kMapped.size());
  if (address.size() == 4) {
    uint32_t number = 0;
    std::memcpy(&number, address.data(), sizeof number);
    return ntohl(number) == kOwnIpv4Address;
  }
  const std::string_view loopback(reinterpret_cast<const char*>(&in6addr_loopback), 16);
  return address == loopback && port >= kOwnIpv6FirstPort &&
         port < kOwnIpv6FirstPort + kOwnIpv6Ports;
}

}  // namespace idlewatt
