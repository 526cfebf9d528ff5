#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "app/http_answer.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// Of the daemon that client commands ask when they are not told: IDLEWATT_HTTP, or its default.
std::string DaemonAddress();

// What is asked of a daemon.
struct HttpCall {
  std::string method = "GET";
  std::string path;   // query included
  std::string token;  // of control; empty: none
  std::string body;   // of a POST, JSON
};

// One request and its answer, which is read while it comes.
// Errors:  kGone when nobody listens there; kTransient when the answer breaks off or does not come.
// Threads: one.
// Owns:    the connection.
class HttpExchange {
 public:
  // Sends `call` to the daemon at `address` ("127.0.0.1:19288") and waits for the head of the
  // answer. An answer beyond the 200s is kInvalid with the error's message.
  static Result<HttpExchange> Start(const std::string& address, const HttpCall& call);

  // What came of the body since the last call, waiting for it at most `timeout`: empty when nothing
  // came. Nothing at the end of the answer.
  Result<std::optional<std::string>> Read(std::chrono::milliseconds timeout);

 private:
  HttpExchange(std::string subject, UniqueFd socket)
      : subject_(std::move(subject)), socket_(std::move(socket)) {}
  Result<void> Receive(std::chrono::milliseconds timeout);
  Result<std::string> ReadAll();

  friend Result<std::string> HttpAsk(const std::string& address, const HttpCall& call);

  std::string subject_;  // of errors
  UniqueFd socket_;
  HttpAnswer answer_;
  std::string body_;  // came, and was not given out
  bool ended_ = false;
};

// The whole body of the answer. Errors: as HttpExchange.
Result<std::string> HttpAsk(const std::string& address, const HttpCall& call);
Result<std::string> HttpGet(const std::string& address, const std::string& path);
Result<std::string> HttpPost(const std::string& address, const std::string& path,
                             const std::string& token, const std::string& body);

// kParse, for an answer in which `what` is missing or wrong.
Error UnexpectedAnswer(const std::string& what);

// Where a service of this name is, or what can be done to it.
std::string ServicePath(const std::string& name, std::string_view action = {});

// `text` for use in a path or query.
std::string UrlEncode(const std::string& text);

}  // namespace idlewatt
