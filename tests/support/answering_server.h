// A daemon that gives one answer.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "exporters/http_server.h"

namespace idlewatt {

// Answers each GET of `path` with `answer`, a text of JSON, which must not change meanwhile.
// Threads: created and destroyed by one; the last request may be looked at once it is answered.
class AnsweringServer {
 public:
  AnsweringServer(const std::string& path, std::string answer) : answer_(std::move(answer)) {
    HttpServer::Endpoints endpoints;
    endpoints[path].get = [this](const HttpRequest& request) {
      last_request_ = request;
      return HttpResponse{200, "application/json", answer_};
    };
    HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    auto started = HttpServer::Start(options, endpoints);
    EXPECT_TRUE(started) << started.error().ToString();
    if (started) server_ = std::move(*started);
  }

  std::string address() const { return server_->address(); }
  const HttpRequest& last_request() const { return last_request_; }

 private:
  const std::string answer_;
  HttpRequest last_request_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace idlewatt
