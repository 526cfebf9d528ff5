#include "supervisor/probe/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/duration.h"
#include "base/own_address.h"
#include "base/text.h"

namespace idlewatt {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Control characters would end the request line, and blanks the path; HTTP has no others than
// ASCII.
bool IsPath(std::string_view path) {
  return path.starts_with('/') &&
         std::ranges::all_of(path, [](char c) { return c > ' ' && c < 0x7F; });
}

Error NoTarget(std::string_view http_get, std::string text) {
  return {ErrorCode::kInvalid, "http_get \"" + std::string(http_get) + "\"", 0, std::move(text)};
}

// The port behind a host: ":8001".
std::optional<uint16_t> ParsePort(std::string_view text) {
  if (!text.starts_with(':')) return std::nullopt;
  const auto port = ParseNumber<uint16_t>(text.substr(1));
  return port == 0 ? std::nullopt : port;
}

struct LoopbackName {
  std::string_view name;
  bool ipv4;
  bool ipv6;
};
constexpr std::array kLoopbackNames{LoopbackName{"127.0.0.1", true, false},
                                    LoopbackName{"localhost", true, true},
                                    LoopbackName{"[::1]", false, true}};

std::string Request(const ProbeTarget& target) {
  return "GET " + target.path + " HTTP/1.1\r\nHost: " + target.host +
         "\r\nUser-Agent: idlewatt\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

}  // namespace

ProbeTarget TcpTarget(uint16_t port) { return {.port = port, .path = {}, .host = {}}; }

Result<ProbeTarget> HttpTarget(std::string_view http_get, std::optional<uint16_t> port) {
  if (IsPath(http_get)) {
    if (!port) return NoTarget(http_get, "the service has no port; set one, or give a whole URL");
    return ProbeTarget{
        .port = *port, .path = std::string(http_get), .host = "127.0.0.1:" + std::to_string(*port)};
  }
  constexpr std::string_view kScheme = "http://";
  const std::string_view rest = http_get.substr(std::min(kScheme.size(), http_get.size()));
  const std::string_view host = rest.substr(0, rest.find('/'));
  const std::string_view path = rest.substr(host.size());
  for (const LoopbackName& known : kLoopbackNames) {
    if (!http_get.starts_with(kScheme) || !host.starts_with(known.name) || !IsPath(path)) continue;
    const auto url_port = ParsePort(host.substr(known.name.size()));
    if (!url_port) continue;
    return ProbeTarget{*url_port, std::string(path), std::string(host), known.ipv4, known.ipv6};
  }
  return NoTarget(http_get,
                  "give a path that begins with /, or a URL as http://127.0.0.1:8001/health");
}

HttpStatus ParseHttpStatus(std::string_view text) {
  // 'd' stands for a digit; what follows the status is a blank or the end of the line.
  constexpr std::string_view kForm = "HTTP/d.d ddd";
  static_assert(kForm.size() + 1 == kHttpStatusBytes);
  for (size_t i = 0; i < std::min(text.size(), kForm.size()); ++i) {
    if (kForm[i] == 'd' ? !IsDigit(text[i]) : text[i] != kForm[i]) {
      return {HttpStatus::State::kNoHttp};
    }
  }
  if (text.size() <= kForm.size()) return {HttpStatus::State::kIncomplete};
  const char next = text[kForm.size()];
  if (next != ' ' && next != '\r' && next != '\n') return {HttpStatus::State::kNoHttp};
  return {HttpStatus::State::kKnown, ParseNumber<int>(text.substr(9, 3)).value_or(0)};
}

Probe::Probe(EventLoop& loop, ProbeTarget target, std::chrono::milliseconds timeout, Done done)
    : loop_(loop),
      target_(std::move(target)),
      timeout_(timeout),
      done_(std::move(done)),
      begin_(loop),
      deadline_(loop) {
  begin_.Set(loop_.Now(), [this] { Begin(target_.ipv4 ? AF_INET : AF_INET6); });
  deadline_.SetAfter(
      timeout_, [this] { Finish(false, "did not answer within " + FormatDuration(timeout_)); });
}

void Probe::Begin(int family) {
  family_ = family;
  if (const int error = Connect(family); error != 0) return OnConnectFailed(error);
  // Edges: each step goes on until the kernel has no more, so one watch serves all.
  Result<EventLoop::Watch> watch =
      loop_.WatchFd(socket_.get(), EPOLLIN | EPOLLOUT | EPOLLET, [this](uint32_t) { OnEvent(); });
  if (!watch) return Finish(false, "could not be asked: " + watch.error().ToString());
  watch_ = std::move(*watch);
}

// 0, also for a connection that is still under way; else the errno.
int Probe::Connect(int family) {
  socket_.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return errno;
  // Where our own address cannot be had, an answer that counts as use is better than none.
  (void)BindOwnAddress(socket_.get());
  sockaddr_in ipv4{};
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(target_.port);
  ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 ipv6{};
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(target_.port);
  ipv6.sin6_addr = in6addr_loopback;
  const int status =
      family == AF_INET
          ? ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&ipv4), sizeof ipv4)
          : ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&ipv6), sizeof ipv6);
  return status == 0 || errno == EINPROGRESS ? 0 : errno;
}

void Probe::OnEvent() {
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return OnConnectFailed(error);
    return OnConnected();
  }
  if (!request_.empty()) Send();
  Receive();
}

void Probe::OnConnectFailed(int error) {
  watch_.Reset();
  socket_.reset();
  const bool nobody_with_ipv4 = family_ == AF_INET && error == ECONNREFUSED;
  if (nobody_with_ipv4 && target_.ipv6) return Begin(AF_INET6);
  // Asked second: a machine without IPv6 is none of the reader's business.
  if (error == ECONNREFUSED || (family_ == AF_INET6 && target_.ipv4)) {
    return Finish(false, "found nobody on port " + std::to_string(target_.port));
  }
  Finish(false, std::string("could not be asked: ") + std::strerror(error));
}

void Probe::OnConnected() {
  if (IsConnectedToItself()) return OnConnectFailed(ECONNREFUSED);
  if (target_.path.empty()) {
    return Finish(true, "found port " + std::to_string(target_.port) + " open");
  }
  connected_ = true;
  request_ = Request(target_);
  Send();
}

// Where nobody listens, TCP connects a socket that was bound to the very port it asks for: with
// IPv6 our own end has a port of a fixed range, which may hold the service's.
bool Probe::IsConnectedToItself() const {
  if (family_ != AF_INET6) return false;
  sockaddr_in6 near{};
  socklen_t size = sizeof near;
  return ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&near), &size) == 0 &&
         ntohs(near.sin6_port) == target_.port;
}

void Probe::Send() {
  while (!request_.empty()) {
    const ssize_t count = ::send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    // A server that ends early may have answered, so errors are left to Receive.
    if (count < 0) return;
    request_.erase(0, static_cast<size_t>(count));
  }
}

void Probe::Receive() {
  std::array<char, 4096> buffer;
  HttpStatus status;
  while (status.state == HttpStatus::State::kIncomplete) {
    const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return Finish(false, "closed the connection without an HTTP answer");
    answer_.append(buffer.data(), static_cast<size_t>(count));
    status = ParseHttpStatus(answer_);
  }
  if (status.state == HttpStatus::State::kNoHttp) return Finish(false, "gave no HTTP answer");
  Finish(status.code >= 200 && status.code < 400, "answered " + std::to_string(status.code));
}

void Probe::Finish(bool good, std::string text) {
  begin_.Cancel();
  deadline_.Cancel();
  watch_.Reset();
  socket_.reset();
  const Done done = std::move(done_);
  done({good, std::move(text)});  // may destroy this
}

}  // namespace idlewatt
