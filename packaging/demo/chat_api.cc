#include "packaging/demo/chat_api.h"

#include <civetweb.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace idlewatt::demo {
namespace {

using nlohmann::json;

constexpr int kMaxBodyBytes = 1 << 20;
constexpr int kDefaultTokens = 16;
constexpr int kMaxTokens = 1'000'000;
constexpr char kCompletionId[] = "chatcmpl-demo";
constexpr std::array<std::string_view, 8> kWords = {"idle", "servers", "cost", "watts",
                                                    "even", "when",    "none", "ask"};

std::string Word(int token) {
  return std::string(token == 0 ? "" : " ") + std::string(kWords[token % kWords.size()]);
}

std::string_view Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Payload Too Large";
    default:
      return "Service Unavailable";
  }
}

// Each Send... gives back the status, which is what civetweb wants from a handler.
int SendJson(mg_connection* connection, int status, const json& body) {
  const std::string text = body.dump(-1, ' ', false, json::error_handler_t::replace);
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            status, Reason(status).data(), text.size());
  mg_write(connection, text.data(), text.size());
  return status;
}

int SendError(mg_connection* connection, int status, std::string_view type,
              const std::string& message) {
  return SendJson(
      connection, status,
      {{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", status}}}});
}

int SendBadRequest(mg_connection* connection, int status, const std::string& message) {
  return SendError(connection, status, "invalid_request_error", message);
}

// Nothing when the body is longer than kMaxBodyBytes.
std::optional<std::string> ReadBody(mg_connection* connection) {
  std::string body;
  std::array<char, 4096> buffer{};
  int count = 0;
  while ((count = mg_read(connection, buffer.data(), buffer.size())) > 0) {
    body.append(buffer.data(), static_cast<size_t>(count));
    if (body.size() > kMaxBodyBytes) return std::nullopt;
  }
  return body;
}

struct ChatRequest {
  int tokens = kDefaultTokens;
  bool stream = false;
};

Result<ChatRequest> ParseChatRequest(const std::string& body) {
  const auto invalid = [](const char* text) { return Error{ErrorCode::kInvalid, "", 0, text}; };
  const json request = json::parse(body, nullptr, false);
  if (!request.is_object()) return invalid("the body is not a JSON object");
  const auto messages = request.find("messages");
  if (messages == request.end() || !messages->is_array()) {
    return invalid("\"messages\" must be an array");
  }
  const json stream = request.value("stream", json(false));
  if (!stream.is_boolean()) return invalid("\"stream\" must be true or false");
  const json tokens = request.value("max_tokens", json(kDefaultTokens));
  if (!tokens.is_number_integer() || tokens.get<int64_t>() < 1) {
    return invalid("\"max_tokens\" must be a whole number above 0");
  }
  return ChatRequest{
      .tokens = static_cast<int>(std::min<int64_t>(tokens.get<int64_t>(), kMaxTokens)),
      .stream = stream.get<bool>()};
}

json Chunk(const std::string& model, json delta, json finish_reason) {
  return {{"id", kCompletionId},
          {"object", "chat.completion.chunk"},
          {"created", std::time(nullptr)},
          {"model", model},
          {"choices", json::array({{{"index", 0},
                                    {"delta", std::move(delta)},
                                    {"finish_reason", std::move(finish_reason)}}})}};
}

json Completion(const std::string& model, const std::string& text, int tokens) {
  return {
      {"id", kCompletionId},
      {"object", "chat.completion"},
      {"created", std::time(nullptr)},
      {"model", model},
      {"choices", json::array({{{"index", 0},
                                {"message", {{"role", "assistant"}, {"content", text}}},
                                {"finish_reason", "length"}}})},
      {"usage", {{"prompt_tokens", 0}, {"completion_tokens", tokens}, {"total_tokens", tokens}}}};
}

// False when the client went away.
bool SendEvent(mg_connection* connection, const std::string& data) {
  const std::string event = "data: " + data + "\n\n";
  return mg_send_chunk(connection, event.data(), static_cast<unsigned>(event.size())) > 0;
}

}  // namespace

Result<std::unique_ptr<ChatApi>> ChatApi::Start(const Options& options) {
  const std::string address = options.host + ":" + std::to_string(options.port);
  std::unique_ptr<ChatApi> api(new ChatApi(options));
  const char* settings[] = {
      "listening_ports", address.c_str(), "num_threads", "32", "tcp_nodelay", "1", nullptr};
  const mg_callbacks callbacks{};
  api->context_ = mg_start(&callbacks, nullptr, settings);
  if (api->context_ == nullptr) {
    return Error{ErrorCode::kInvalid, address, 0,
                 "cannot listen there; is another program using the port? Choose one with --port"};
  }
  mg_set_request_handler(api->context_, "/", &ChatApi::HandleRequest, api.get());
  return api;
}

ChatApi::~ChatApi() {
  if (context_ != nullptr) mg_stop(context_);
}

std::string ChatApi::Url() const {
  mg_server_port port{};
  mg_get_server_ports(context_, 1, &port);
  return "http://" + options_.host + ":" + std::to_string(port.port);
}

int ChatApi::HandleRequest(mg_connection* connection, void* self) {
  return static_cast<ChatApi*>(self)->Route(connection);
}

int ChatApi::Route(mg_connection* connection) {
  const mg_request_info* request = mg_get_request_info(connection);
  const std::string_view path = request->local_uri;
  const std::string_view method = request->request_method;
  if (!ready_) return SendError(connection, 503, "unavailable_error", "Loading model");

  const bool is_chat = path == "/v1/chat/completions";
  if (!is_chat && path != "/health" && path != "/v1/models") {
    return SendBadRequest(connection, 404, "nothing is served at " + std::string(path));
  }
  const std::string_view wanted = is_chat ? "POST" : "GET";
  if (method != wanted) {
    return SendBadRequest(connection, 405, "use " + std::string(wanted) + " here");
  }
  if (is_chat) return Complete(connection);
  if (path == "/v1/models") return ListModels(connection);
  return SendJson(connection, 200, {{"status", "ok"}});
}

int ChatApi::ListModels(mg_connection* connection) const {
  return SendJson(connection, 200,
                  {{"object", "list"},
                   {"data", json::array({{{"id", options_.model},
                                          {"object", "model"},
                                          {"created", 0},
                                          {"owned_by", "idlewatt-demo"}}})}});
}

int ChatApi::Complete(mg_connection* connection) const {
  const std::optional<std::string> body = ReadBody(connection);
  if (!body) return SendBadRequest(connection, 413, "the body is longer than 1 MiB");
  const Result<ChatRequest> request = ParseChatRequest(*body);
  if (!request) return SendBadRequest(connection, 400, request.error().text);
  return request->stream ? Stream(connection, request->tokens)
                         : AnswerWhole(connection, request->tokens);
}

int ChatApi::AnswerWhole(mg_connection* connection, int tokens) const {
  std::string text;
  for (int token = 0; token < tokens; ++token) {
    PaceToken();
    text += Word(token);
  }
  return SendJson(connection, 200, Completion(options_.model, text, tokens));
}

int ChatApi::Stream(mg_connection* connection, int tokens) const {
  mg_printf(connection,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  for (int token = 0; token < tokens; ++token) {
    PaceToken();
    const json chunk = Chunk(options_.model, {{"content", Word(token)}}, nullptr);
    if (!SendEvent(connection, chunk.dump())) return 200;
  }
  SendEvent(connection, Chunk(options_.model, json::object(), "length").dump());
  SendEvent(connection, "[DONE]");
  mg_send_chunk(connection, "", 0);
  return 200;
}

void ChatApi::PaceToken() const {
  if (options_.tokens_per_second <= 0) return;
  std::this_thread::sleep_for(std::chrono::duration<double>(1 / options_.tokens_per_second));
}

}  // namespace idlewatt::demo
