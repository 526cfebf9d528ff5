// The OpenAI-style HTTP interface of the demo server.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "packaging/demo/options.h"

struct mg_connection;
struct mg_context;

namespace idlewatt::demo {

// Answers /health, /v1/models and /v1/chat/completions; 503 for all of them until it is ready.
// Threads: SetReady and the destructor from the one that made it; answers run on civetweb's.
// Owns:    the listening socket and civetweb's threads. `options` must outlive this object.
//          The destructor waits for civetweb's poll, up to 2 s, and for answers being written.
class ChatApi {
 public:
  // Fails when the address cannot be listened on.
  static Result<std::unique_ptr<ChatApi>> Start(const Options& options);
  ChatApi(const ChatApi&) = delete;
  ChatApi& operator=(const ChatApi&) = delete;
  ~ChatApi();

  void SetReady() { ready_ = true; }
  // "http://127.0.0.1:8080", with the port that was really taken.
  std::string Url() const;

 private:
  explicit ChatApi(const Options& options) : options_(options) {}

  static int HandleRequest(mg_connection* connection, void* self);
  int Route(mg_connection* connection);
  int ListModels(mg_connection* connection) const;
  int Complete(mg_connection* connection) const;
  int Stream(mg_connection* connection, int tokens) const;
  int AnswerWhole(mg_connection* connection, int tokens) const;
  // Waits as long as one token takes.
  void PaceToken() const;

  const Options& options_;
  std::atomic<bool> ready_ = false;
  mg_context* context_ = nullptr;
};

}  // namespace idlewatt::demo
