#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <thread>

#include "base/unique_fd.h"

namespace idlewatt {

// A server of HTTP in a thread of its own, whose CPU time is not the asker's. It is well.
class BenchServer {
 public:
  BenchServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    (void)::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size);
    (void)::listen(listener_.get(), SOMAXCONN);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { Serve(); });
  }
  ~BenchServer() { ::shutdown(listener_.get(), SHUT_RDWR); }
  BenchServer(const BenchServer&) = delete;
  BenchServer& operator=(const BenchServer&) = delete;
  uint16_t port() const { return port_; }

 private:
  void Serve() const {
    constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    std::array<char, 4096> buffer;
    while (true) {
      const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client && errno != EINTR) return;
      (void)::recv(client.get(), buffer.data(), buffer.size(), 0);
      (void)::send(client.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
    }
  }

  UniqueFd listener_;
  uint16_t port_ = 0;
  std::jthread thread_;
};

}  // namespace idlewatt
