#include "app/http_client.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "exporters/http_server.h"

namespace idlewatt {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(10'000);

bool WaitFor(int socket, short events, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  pollfd poll_fd{.fd = socket, .events = events, .revents = 0};
  for (auto left = timeout;; left = std::chrono::ceil<std::chrono::milliseconds>(
                                 deadline - std::chrono::steady_clock::now())) {
    const int got =
        ::poll(&poll_fd, 1, static_cast<int>(std::max(left.count(), left.zero().count())));
    if (got >= 0 || errno != EINTR) return got > 0;
  }
}

Error NobodyAnswers(const std::string& subject) {
  return Error{ErrorCode::kGone, subject, 0,
               "no idlewatt answers there; start it with `idlewatt run`, or name another with "
               "--http"};
}

// Tried in turn; the first that answers counts.
Result<UniqueFd> Connect(const std::string& host, const std::string& port,
                         const std::string& subject) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return NobodyAnswers(subject);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    UniqueFd socket(::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), address->ai_addr, address->ai_addrlen) != 0) {
      int failure = errno;
      socklen_t size = sizeof failure;
      if (failure != EINPROGRESS || !WaitFor(socket.get(), POLLOUT, kPatience) ||
          ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0) {
        continue;
      }
    }
    return socket;
  }
  return NobodyAnswers(subject);
}

Result<void> SendAll(int socket, std::string_view text, const std::string& subject) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      text.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return {};  // it answers, and reads no further
    } else if (errno != EINTR && (errno != EAGAIN || !WaitFor(socket, POLLOUT, kPatience))) {
      return ErrnoError(errno, subject, "cannot be asked");
    }
  }
  return {};
}

std::string RequestText(const std::string& address, const HttpCall& call) {
  std::string text = call.method + " " + call.path + " HTTP/1.1\r\nHost: " + address +
                     "\r\nConnection: close\r\nAccept: application/json\r\n";
  if (!call.token.empty()) text += "Authorization: Bearer " + call.token + "\r\n";
  if (call.method == "POST") {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(call.body.size()) +
        "\r\n";
  }
  return text + "\r\n" + call.body;
}

std::string MessageOf(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error") && json["error"].is_object() &&
      json["error"].contains("message") && json["error"]["message"].is_string()) {
    return json["error"]["message"];
  }
  return "";
}

}  // namespace

std::string DaemonAddress() {
  const char* address = std::getenv("IDLEWATT_HTTP");
  return address != nullptr && *address != '\0' ? address : HttpServer::Options().listen;
}

std::string UrlEncode(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    std::array<char, 4> code{};
    std::snprintf(code.data(), code.size(), "%%%02X", byte);
    out += code.data();
  }
  return out;
}

Result<HttpExchange> HttpExchange::Start(const std::string& address, const HttpCall& call) {
  const size_t colon = std::min(address.rfind(':'), address.size());
  const std::string port = address.substr(std::min(colon + 1, address.size()));
  if (!ParseNumber<uint16_t>(port)) {
    return Error{ErrorCode::kInvalid, address, 0, "is not an address and a port"};
  }
  const std::string subject = "http://" + address;
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  ASSIGN_OR_RETURN(UniqueFd socket, Connect(host, port, subject));
  HttpExchange exchange(subject, std::move(socket));
  RETURN_IF_ERROR(SendAll(exchange.socket_.get(), RequestText(address, call), subject));
  while (!exchange.answer_.has_head() && !exchange.ended_) {
    RETURN_IF_ERROR(exchange.Receive(kPatience));
  }
  const int status = exchange.answer_.status();
  if (status >= 200 && status < 300) return exchange;
  ASSIGN_OR_RETURN(const std::string body, exchange.ReadAll());
  const std::string message = MessageOf(body);
  return Error{ErrorCode::kInvalid, "", 0,
               message.empty() ? "answered with status " + std::to_string(status) : message};
}

// Waits for one piece. Nothing within `timeout` is an error only before the head.
Result<void> HttpExchange::Receive(std::chrono::milliseconds timeout) {
  if (!WaitFor(socket_.get(), POLLIN, timeout)) {
    if (answer_.has_head()) return {};
    return Error{ErrorCode::kTransient, subject_, 0, "does not answer"};
  }
  std::array<char, 16384> buffer{};
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (got <= 0) {
    ended_ = true;
    if (answer_.has_head() && answer_.may_end_here()) return {};
    return Error{ErrorCode::kTransient, subject_, 0, "the daemon's answer broke off"};
  }
  auto taken = answer_.Take({buffer.data(), static_cast<size_t>(got)}, body_);
  if (!taken) {
    taken.error().subject = subject_;
    return taken;
  }
  ended_ = answer_.is_whole();
  return {};
}

Result<std::optional<std::string>> HttpExchange::Read(std::chrono::milliseconds timeout) {
  if (body_.empty() && !ended_) {
    RETURN_IF_ERROR(Receive(timeout));
  }
  if (body_.empty() && ended_) return std::optional<std::string>();
  return std::optional(std::exchange(body_, {}));
}

Result<std::string> HttpExchange::ReadAll() {
  std::string all;
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<std::string> piece, Read(kPatience));
    if (!piece) return all;
    if (piece->empty()) {
      return Error{ErrorCode::kTransient, subject_, 0, "the daemon's answer broke off"};
    }
    all += *piece;
  }
}

Result<std::string> HttpAsk(const std::string& address, const HttpCall& call) {
  ASSIGN_OR_RETURN(HttpExchange exchange, HttpExchange::Start(address, call));
  return exchange.ReadAll();
}

Result<std::string> HttpGet(const std::string& address, const std::string& path) {
  return HttpAsk(address, {.method = "GET", .path = path, .token = {}, .body = {}});
}

Result<std::string> HttpPost(const std::string& address, const std::string& path,
                             const std::string& token, const std::string& body) {
  return HttpAsk(address, {.method = "POST", .path = path, .token = token, .body = body});
}

Error UnexpectedAnswer(const std::string& what) {
  return Error{ErrorCode::kParse, "", 0,
               "the daemon's answer is not what this version expects (" + what + ")"};
}

std::string ServicePath(const std::string& name, std::string_view action) {
  std::string path = "/api/v1/services/" + UrlEncode(name);
  if (!action.empty()) path.append("/").append(action);
  return path;
}

}  // namespace idlewatt
