#include "exporters/http_stream.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>

#include "base/text.h"

namespace idlewatt {
namespace {

// How long a stop may go unnoticed.
constexpr auto kTurn = std::chrono::milliseconds(50);

using EndOfSocket = int (*)(int, sockaddr*, socklen_t*);

// Our or the other end of a TCP connection over IPv4; port 0 for whatever else `fd` is.
sockaddr_in EndOf(EndOfSocket get, int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (get(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sin_family != AF_INET) {
    return {};
  }
  return address;
}

}  // namespace

bool SocketStream::Write(std::string_view data) {
  if (data.empty()) return !failed_;  // an empty chunk would be the last
  std::array<char, 24> head{};
  const int size = std::snprintf(head.data(), head.size(), "%zx\r\n", data.size());
  std::string chunk(head.data(), static_cast<size_t>(size));
  chunk.append(data).append("\r\n");
  return Send(chunk);
}

bool SocketStream::IsOpen() {
  if (failed_ || stop_.stop_requested()) return false;
  pollfd poll_fd{.fd = socket_, .events = POLLRDHUP, .revents = 0};
  return ::poll(&poll_fd, 1, 0) == 0;
}

// Tried once and not waited for: at the stop of the server too a client learns that all went well.
void SocketStream::Finish() {
  constexpr std::string_view kEnd = "0\r\n\r\n";
  finished_ = !failed_ && ::send(socket_, kEnd.data(), kEnd.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
                              static_cast<ssize_t>(kEnd.size());
}

bool SocketStream::Send(std::string_view bytes) {
  while (!failed_ && !bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno != EINTR && (errno != EAGAIN || !WaitUntilWritable())) {
      failed_ = true;
    }
  }
  return !failed_;
}

bool SocketStream::WaitUntilWritable() {
  const auto deadline = std::chrono::steady_clock::now() + patience_;
  pollfd poll_fd{.fd = socket_, .events = POLLOUT, .revents = 0};
  while (!stop_.stop_requested() && std::chrono::steady_clock::now() < deadline) {
    if (::poll(&poll_fd, 1, kTurn.count()) > 0) return true;
  }
  return false;
}

namespace {

// Until `use` of a descriptor and its other end is true; gives that descriptor, or -1.
int FindAmongConnections(uint16_t local_port,
                         const std::function<bool(int, const sockaddr_in&)>& use) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), &::closedir);
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    const auto fd = ParseNumber<int>(entry->d_name);
    if (!fd || EndOf(::getsockname, *fd).sin_port != htons(local_port)) continue;
    const sockaddr_in peer = EndOf(::getpeername, *fd);
    if (peer.sin_port != 0 && use(*fd, peer)) return *fd;
  }
  return -1;
}

}  // namespace

int FindConnection(uint16_t local_port, const std::string& remote, uint16_t remote_port) {
  in_addr remote_ip{};
  if (::inet_pton(AF_INET, remote.c_str(), &remote_ip) != 1) return -1;
  return FindAmongConnections(local_port, [&](int, const sockaddr_in& peer) {
    return peer.sin_port == htons(remote_port) && peer.sin_addr.s_addr == remote_ip.s_addr;
  });
}

void EndReading(uint16_t local_port) {
  FindAmongConnections(local_port, [](int fd, const sockaddr_in&) {
    ::shutdown(fd, SHUT_RD);
    return false;
  });
}

}  // namespace idlewatt
