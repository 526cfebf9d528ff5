#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace idlewatt::client {

// An HTTP/1.1 client for tests, over plain sockets: loopback only, one connection a request, every
// wait ends at a deadline.

struct HttpRequest {
  std::string method = "GET";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::chrono::milliseconds timeout{10'000};
  // When set, is asked after each piece of the body; true ends an endless answer early.
  std::function<bool(const std::string& body_so_far)> until = {};
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // decoded when it came in chunks
  std::vector<std::string> chunks;             // of a chunked answer, as the server cut them
};

// Reading one answer; a detail of SendHttp.
class HttpResponseReader {
 public:
  // Takes what the socket gave. True when the answer is whole.
  bool Feed(std::string_view bytes) {
    raw_ += bytes;
    if (!has_head_) has_head_ = TakeHead();
    if (!has_head_) return false;
    return IsChunked() ? TakeChunks() : TakeBody();
  }
  // At the end of the connection: is what came a whole answer?
  bool EndsHere() const { return has_head_ && !IsChunked() && !response_.headers.count(kLength); }
  HttpResponse& response() { return response_; }

 private:
  static constexpr char kLength[] = "content-length";

  bool TakeHead() {
    const size_t end = raw_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::string_view head(raw_.data(), end);
    // "HTTP/1.1 200 OK"
    if (head.size() > 12) response_.status = ParseNumber<int>(head.substr(9, 3)).value_or(0);
    for (const std::string_view line : Split(head, '\n')) {
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      std::string name(line.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      response_.headers[name] = Trim(line.substr(colon + 1));
    }
    raw_.erase(0, end + 4);
    return true;
  }

  bool IsChunked() const {
    const auto encoding = response_.headers.find("transfer-encoding");
    return encoding != response_.headers.end() && encoding->second == "chunked";
  }

  bool TakeBody() {
    response_.body += std::exchange(raw_, {});
    const auto length = response_.headers.find(kLength);
    return length != response_.headers.end() &&
           response_.body.size() >= ParseNumber<size_t>(length->second).value_or(0);
  }

  // Moves all chunks that are whole from raw_ to the response; true after the last one.
  bool TakeChunks() {
    while (true) {
      const size_t line_end = raw_.find("\r\n");
      if (line_end == std::string::npos) return false;
      size_t size = 0;
      std::from_chars(raw_.data(), raw_.data() + line_end, size, 16);
      if (raw_.size() < line_end + 2 + size + 2) return false;
      if (size == 0) return true;
      response_.chunks.push_back(raw_.substr(line_end + 2, size));
      response_.body += response_.chunks.back();
      raw_.erase(0, line_end + 2 + size + 2);
    }
  }

  std::string raw_;  // received and not yet understood
  bool has_head_ = false;
  HttpResponse response_;
};

namespace detail {

inline Result<UniqueFd> ConnectLoopback(uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError(errno, "127.0.0.1:" + std::to_string(port), "connect");
  }
  return fd;
}

inline std::string RequestText(uint16_t port, const HttpRequest& request) {
  std::string text = request.method + " " + request.path + " HTTP/1.1\r\n";
  const auto has = [&request](std::string_view name) {
    return std::any_of(request.headers.begin(), request.headers.end(),
                       [name](const auto& header) { return header.first == name; });
  };
  if (!has("Host")) text += "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
  text += "Connection: close\r\n";
  if (!request.body.empty() || request.method == "POST") {
    text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  for (const auto& [name, value] : request.headers) text += name + ": " + value + "\r\n";
  return text + "\r\n" + request.body;
}

inline Result<void> SendAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (count < 0) return ErrnoError(errno, "", "send");
    text.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace detail

// Sends one request to 127.0.0.1:`port` and reads the answer, whatever its status. Fails with
// kTransient at the deadline, and when the connection is refused or ends in the middle.
inline Result<HttpResponse> SendHttp(uint16_t port, const HttpRequest& request) {
  const auto deadline = std::chrono::steady_clock::now() + request.timeout;
  ASSIGN_OR_RETURN(const UniqueFd fd, detail::ConnectLoopback(port));
  RETURN_IF_ERROR(detail::SendAll(fd.get(), detail::RequestText(port, request)));
  HttpResponseReader reader;
  std::array<char, 16384> buffer{};
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd poll_fd{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&poll_fd, 1, static_cast<int>(left.count())) == 0) {
      return Error{ErrorCode::kTransient, request.path, 0, "no whole answer in time"};
    }
    const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (count < 0) return ErrnoError(errno, request.path, "recv");
    if (count == 0) {
      if (reader.EndsHere()) return std::move(reader.response());
      return Error{ErrorCode::kTransient, request.path, 0, "the connection ended early"};
    }
    if (reader.Feed({buffer.data(), static_cast<size_t>(count)}) ||
        (request.until && request.until(reader.response().body))) {
      return std::move(reader.response());
    }
  }
}

inline Result<HttpResponse> HttpGet(uint16_t port, const std::string& path) {
  return SendHttp(port, {.path = path});
}

inline Result<HttpResponse> HttpPost(uint16_t port, const std::string& path,
                                     const std::string& json_body) {
  return SendHttp(port, {.method = "POST",
                         .path = path,
                         .headers = {{"Content-Type", "application/json"}},
                         .body = json_body});
}

// A loopback port that was free a moment ago.
inline uint16_t FreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd.get(), generic, size) != 0 || ::getsockname(fd.get(), generic, &size) != 0) {
    return 0;
  }
  return ntohs(address.sin_port);
}

}  // namespace idlewatt::client
