#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "base/own_address.h"
#include "base/unique_fd.h"
#include "supervisor/event_loop.h"

namespace idlewatt {

// A listening socket of loopback; IPv6 is for ::1 only. Port 0 is a free one.
class Listener {
 public:
  explicit Listener(int family = AF_INET, uint16_t port = 0)
      : fd_(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in6 address{};  // large enough for both; the port is at the same place
    address.sin6_family = static_cast<sa_family_t>(family);
    address.sin6_port = htons(port);
    socklen_t size = sizeof address;
    if (family == AF_INET6) {
      address.sin6_addr = in6addr_loopback;
      ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    } else {
      reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      size = sizeof(sockaddr_in);
    }
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_.get(), 16), 0);
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin6_port);
  }
  int fd() const { return fd_.get(); }
  uint16_t port() const { return port_; }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
};

// A server on the loop of the test. A request that has come to its end is answered with `answer`,
// and the connection closed; without an answer it stays open until the server ends.
class TestServer {
 public:
  explicit TestServer(EventLoop& loop, int family = AF_INET, uint16_t port = 0)
      : loop_(loop), listener_(family, port) {
    watch_ = std::move(*loop_.WatchFd(listener_.fd(), EPOLLIN, [this](uint32_t) { Accept(); }));
  }
  ~TestServer() = default;
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  uint16_t port() const { return listener_.port(); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port()); }

  std::optional<std::string> answer = Status(200);
  bool reads = true;  // else it answers, or closes, as soon as it accepts
  int connections = 0;
  int foreign_connections = 0;  // not from our own address
  std::string last_request;

  static std::string Status(int code) {
    return "HTTP/1.1 " + std::to_string(code) + " Text\r\nContent-Length: 0\r\n\r\n";
  }

 private:
  struct Connection {
    UniqueFd fd;
    EventLoop::Watch watch;
    std::string request;
  };

  void Accept() {
    sockaddr_in6 peer{};
    socklen_t size = sizeof peer;
    UniqueFd fd(::accept4(listener_.fd(), reinterpret_cast<sockaddr*>(&peer), &size,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    ++connections;
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(peer);
    const std::string_view address =
        peer.sin6_family == AF_INET6
            ? std::string_view(reinterpret_cast<const char*>(&peer.sin6_addr), 16)
            : std::string_view(reinterpret_cast<const char*>(&ipv4.sin_addr), 4);
    if (!IsOwnAddress(address, ntohs(peer.sin6_port))) ++foreign_connections;
    if (!reads) {
      Answer(fd.get());
      return;
    }
    open_.push_back({std::move(fd), {}, {}});
    const auto it = std::prev(open_.end());
    it->watch =
        std::move(*loop_.WatchFd(it->fd.get(), EPOLLIN, [this, it](uint32_t) { OnReadable(it); }));
  }
  void OnReadable(std::list<Connection>::iterator it) {
    std::array<char, 4096> buffer;
    const ssize_t count = ::recv(it->fd.get(), buffer.data(), buffer.size(), 0);
    if (count <= 0) {
      open_.erase(it);
      return;
    }
    it->request.append(buffer.data(), static_cast<size_t>(count));
    if (!it->request.ends_with("\r\n\r\n")) return;
    last_request = it->request;
    if (!answer) return;
    Answer(it->fd.get());
    open_.erase(it);
  }
  void Answer(int fd) const {
    if (answer) (void)::send(fd, answer->data(), answer->size(), MSG_NOSIGNAL);
  }

  EventLoop& loop_;
  Listener listener_;
  EventLoop::Watch watch_;
  std::list<Connection> open_;
};

}  // namespace idlewatt
