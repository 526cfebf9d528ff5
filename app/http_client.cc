#include "app/http_client.h"

#include <civetweb.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "exporters/http_server.h"

namespace idlewatt {
namespace {

constexpr int kTimeoutMs = 10'000;

struct CloseConnection {
  void operator()(mg_connection* connection) const { mg_close_connection(connection); }
};

Result<std::string> ReadBody(mg_connection* connection) {
  std::string body;
  std::array<char, 16384> buffer{};
  for (;;) {
    const int got = mg_read(connection, buffer.data(), buffer.size());
    if (got < 0) return Error{ErrorCode::kTransient, "", 0, "the daemon's answer broke off"};
    if (got == 0) return body;
    body.append(buffer.data(), static_cast<size_t>(got));
  }
}

std::string MessageOf(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    return json["error"].value("message", "");
  }
  return "";
}

}  // namespace

std::string DaemonAddress() {
  const char* address = std::getenv("IDLEWATT_HTTP");
  return address != nullptr && *address != '\0' ? address : HttpServer::Options().listen;
}

std::string UrlEncode(const std::string& text) {
  std::string out(text.size() * 3 + 1, '\0');
  const int length = mg_url_encode(text.c_str(), out.data(), out.size());
  out.resize(length < 0 ? 0 : static_cast<size_t>(length));
  return out;
}

Result<std::string> HttpGet(const std::string& address, const std::string& path) {
  const size_t colon = address.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : ParseNumber<uint16_t>(std::string_view(address).substr(colon + 1));
  if (!port) {
    return Error{ErrorCode::kInvalid, address, 0, "is not an address and a port"};
  }
  const std::string host = address.substr(0, colon);
  std::array<char, 256> error{};
  const std::unique_ptr<mg_connection, CloseConnection> connection(
      mg_connect_client(host.c_str(), *port, 0, error.data(), error.size()));
  if (!connection) {
    return Error{ErrorCode::kGone, "http://" + address, 0,
                 "no idlewatt answers there; start it with `idlewatt run`, or name another with "
                 "--http"};
  }
  mg_printf(connection.get(),
            "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: application/json\r\n\r\n",
            path.c_str(), address.c_str());
  if (mg_get_response(connection.get(), error.data(), error.size(), kTimeoutMs) < 0) {
    return Error{ErrorCode::kTransient, "http://" + address, 0, error.data()};
  }
  const int status = mg_get_response_info(connection.get())->status_code;
  ASSIGN_OR_RETURN(std::string body, ReadBody(connection.get()));
  if (status >= 200 && status < 300) return body;
  std::string message = MessageOf(body);
  if (message.empty()) message = "answered with status " + std::to_string(status);
  return Error{ErrorCode::kInvalid, "", 0, message};
}

}  // namespace idlewatt
