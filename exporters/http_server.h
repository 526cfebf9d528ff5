#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace idlewatt {

struct HttpRequest {
  std::string method;
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> query;  // decoded; of a repeated name the last
  std::string accept_encoding;

  // The value of a query parameter, or nothing.
  std::optional<std::string> Query(const std::string& name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;

  // {"error":{"code":"…","message":"…"}}
  static HttpResponse Error(int status, std::string_view code, std::string_view message);
};

// One civetweb server for scrape, API and page.
// Errors:  kInvalid for an address that is none or may not be listened on; the message names who
//          holds a port that is in use, if that can be known.
// Threads: handlers run on civetweb's workers, several at a time.
// Owns:    the server and its threads; the destructor waits for the requests in flight.
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  struct Options {
    std::string listen = "127.0.0.1:19288";  // IPv4 address and port; port 0 is any free one
    bool allow_unauthenticated = false;      // needed for an address that is not loopback
    int threads = 4;
  };
  // Handlers are found by the longest prefix of the path that ends at a '/' or at its end: one at
  // "/api/v1/services" also gets "/api/v1/services/llama".
  static Result<std::unique_ptr<HttpServer>> Start(const Options& options,
                                                   std::map<std::string, Handler> handlers);
  virtual ~HttpServer() = default;

  // "127.0.0.1:19288", with the port that was taken.
  virtual std::string address() const = 0;
};

// Is `listen` ("ADDR:PORT") well formed, and may it be used? Checks what can be known beforehand.
Result<void> CheckListen(const HttpServer::Options& options);

}  // namespace idlewatt
