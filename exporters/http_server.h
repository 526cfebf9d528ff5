#pragma once

#include <chrono>
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
#include "exporters/http_stream.h"

namespace idlewatt {

struct HttpRequest {
  std::string method;
  std::string path;                          // decoded, without the query
  std::map<std::string, std::string> query;  // decoded; of a repeated name the last
  std::string accept_encoding;
  std::string authorization;
  std::string body;  // at most kMostBody bytes; a larger one is refused

  // The value of a query parameter, or nothing.
  std::optional<std::string> Query(const std::string& name) const;

  static constexpr size_t kMostBody = size_t{1} << 20;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};  // besides those that all have
  // When set, there is no `body`: it is called once and writes what follows until the stream is no
  // longer open or nothing more is to say.
  std::function<void(HttpStream&)> stream = {};

  // {"error":{"code":"…","message":"…"}}
  static HttpResponse Error(int status, std::string_view code, std::string_view message);
};

// One civetweb server for scrape, API and page.
// Errors:  kInvalid for an address that is none or may not be listened on; the message names who
//          holds a port that is in use, if that can be known.
// Threads: handlers run on civetweb's workers, several at a time. A stream keeps its worker, so the
//          number of streams is bounded below that of workers; one more is answered with 503.
// Owns:    the server and its threads; the destructor ends the streams and waits for the requests
//          in flight.
class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  // What is done at a path; a method without a handler is answered with 405.
  struct Endpoint {
    Handler get;  // also of HEAD, whose answer ends after its head
    Handler post = nullptr;
  };
  using Endpoints = std::map<std::string, Endpoint>;

  struct Options {
    std::string listen = "127.0.0.1:19288";  // IPv4 address and port; port 0 is any free one
    bool allow_unauthenticated = false;      // needed for an address that is not loopback
    int threads = 16;
    int streams = 12;                                   // at most, of the threads
    std::chrono::milliseconds stream_patience{10'000};  // with a client that takes nothing
  };
  // Endpoints are found by the longest prefix of the path that ends at a '/' or at its end: one at
  // "/api/v1/services" also gets "/api/v1/services/llama".
  static Result<std::unique_ptr<HttpServer>> Start(const Options& options, Endpoints endpoints);
  virtual ~HttpServer() = default;

  // "127.0.0.1:19288", with the port that was taken.
  virtual std::string address() const = 0;
};

// Is `listen` ("ADDR:PORT") well formed, and may it be used? Checks what can be known beforehand.
Result<void> CheckListen(const HttpServer::Options& options);

}  // namespace idlewatt
