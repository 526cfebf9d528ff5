#include "app/service_requests.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "app/event_reader.h"
#include "app/http_client.h"
#include "app/live_lines.h"
#include "app/tables.h"
#include "app/terminal.h"
#include "base/duration.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;
using Time = std::chrono::steady_clock::time_point;

// A field of an answer; empty when it is no text.
std::string TextOf(const Json& object, const char* field) {
  const auto it = object.find(field);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

// Of rows as the API lists them.
struct ServiceNow {
  std::string name;
  std::string state;
};
Result<std::vector<ServiceNow>> SupervisedOf(const Json& services) {
  std::vector<ServiceNow> found;
  try {
    for (const Json& row : services.at("services")) {
      if (row.at("kind") == "supervised") found.push_back({row.at("name"), row.at("state")});
    }
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
  return found;
}

// What is shown of the services while they are waited for: on a terminal a line for each that
// changes with it, else a line for each that is through.
class Board {
 public:
  explicit Board(const std::vector<std::string>& names) {
    for (const std::string& name : names) width_ = std::max(width_, WidthOf(name));
    const auto terminal = TerminalOf(STDOUT_FILENO);
    const char* kind = std::getenv("TERM");
    const bool is_dumb = kind == nullptr || std::string_view(kind) == "dumb";
    if (!terminal || is_dumb || names.size() >= terminal->rows) return;
    std::vector<std::string> lines;
    lines.reserve(names.size());
    for (const std::string& name : names) lines.push_back(Line(name, "asked"));
    live_.emplace(std::move(lines), terminal->columns);
    Print(live_->Begin());
  }
  void Show(size_t index, const std::string& name, const std::string& text, bool is_through) {
    if (live_) {
      Print(live_->Set(index, Line(name, text)));
    } else if (is_through) {
      Print(Line(name, text) + "\n");
    }
  }

 private:
  std::string Line(const std::string& name, const std::string& text) const {
    return name + std::string(width_ - WidthOf(name) + 2, ' ') + Printable(text);
  }
  static void Print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  size_t width_ = 0;
  std::optional<LiveLines> live_;
};

// One request to several services, and what comes of it.
class ServiceRequests {
 public:
  ServiceRequests(ServiceRequest request, const ServiceArguments& arguments, std::string token)
      : request_(request), arguments_(arguments), token_(std::move(token)) {}

  Result<void> Run();
  // "NAME: what went wrong", in the order of the services.
  std::vector<std::string> Errors() const;

 private:
  struct Item {
    std::string name;
    ServiceWait wait;
    std::string error;
    bool is_waiting() const {
      return error.empty() && wait.outcome() == ServiceWait::Outcome::kWaiting;
    }
  };

  Result<void> RunAndWait(std::chrono::milliseconds timeout);
  Result<void> TakeItems(const Json& services);
  void AskAll();
  void WaitForAll(HttpExchange& stream, EventReader& reader, Time deadline);
  void OnEvent(const ServerEvent& event);
  void OnState(Item& item, std::string_view state, const std::string& reason, bool is_snapshot);
  void GiveUp(const std::string& why);
  std::string FailureOf(const std::string& name) const;
  bool IsWaiting() const {
    return std::any_of(items_.begin(), items_.end(),
                       [](const Item& item) { return item.is_waiting(); });
  }
  void Show(const Item& item, const std::string& text, bool is_through) {
    if (board_)
      board_->Show(static_cast<size_t>(&item - items_.data()), item.name, text, is_through);
  }

  const ServiceRequest request_;
  const ServiceArguments& arguments_;
  const std::string token_;
  std::vector<Item> items_;
  std::optional<Board> board_;
};

Result<void> ServiceRequests::Run() {
  ASSIGN_OR_RETURN(const auto timeout, ParseDuration(arguments_.timeout));
  if (arguments_.wait) return RunAndWait(timeout);
  ASSIGN_OR_RETURN(const std::string body, HttpGet(arguments_.http, "/api/v1/services"));
  RETURN_IF_ERROR(TakeItems(Json::parse(body, nullptr, /*allow_exceptions=*/false)));
  AskAll();
  return {};
}

// The stream is opened first, so that no change is missed.
Result<void> ServiceRequests::RunAndWait(std::chrono::milliseconds timeout) {
  const Time deadline = std::chrono::steady_clock::now() + timeout;
  const HttpCall call{.method = "GET", .path = "/api/v1/stream", .token = {}, .body = {}};
  auto stream = HttpExchange::Start(arguments_.http, call);
  if (!stream) return std::move(stream).error();
  EventReader reader;
  std::vector<ServerEvent> events;
  while (events.empty()) {
    ASSIGN_OR_RETURN(const auto piece, stream->Read(std::chrono::seconds(10)));
    if (!piece || piece->empty()) return UnexpectedAnswer("stream");
    events = reader.Take(*piece);
  }
  if (events[0].name != "snapshot") return UnexpectedAnswer("stream");
  RETURN_IF_ERROR(TakeItems(Json::parse(events[0].data, nullptr, /*allow_exceptions=*/false)));
  std::vector<std::string> names;
  for (const Item& item : items_) names.push_back(item.name);
  board_.emplace(names);
  AskAll();
  for (size_t i = 1; i < events.size(); ++i) OnEvent(events[i]);
  WaitForAll(*stream, reader, deadline);
  return {};
}

Result<void> ServiceRequests::TakeItems(const Json& services) {
  ASSIGN_OR_RETURN(const std::vector<ServiceNow> supervised, SupervisedOf(services));
  std::map<std::string, std::string> states;
  std::vector<std::string> names = arguments_.names;
  for (const ServiceNow& service : supervised) {
    states[service.name] = service.state;
    const bool is_off = request_ != ServiceRequest::kStop && service.state == "disabled";
    if (arguments_.all && !is_off) names.push_back(service.name);
  }
  for (const std::string& name : names) {
    const bool is_twice = std::any_of(items_.begin(), items_.end(),
                                      [&](const Item& item) { return item.name == name; });
    if (!is_twice) items_.push_back({name, ServiceWait(request_, states[name]), ""});
  }
  return {};
}

void ServiceRequests::AskAll() {
  for (Item& item : items_) {
    const auto asked =
        HttpPost(arguments_.http, ServicePath(item.name, ServiceRequestName(request_)), token_, "");
    if (!asked) {
      item.error = asked.error().ToString();
      Show(item, "refused", true);
    } else if (!item.is_waiting()) {
      Show(item, item.wait.state() + " already", true);
    } else {
      Show(item, item.wait.state(), false);
    }
  }
}

void ServiceRequests::WaitForAll(HttpExchange& stream, EventReader& reader, Time deadline) {
  while (IsWaiting()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return GiveUp("after " + arguments_.timeout);
    const auto piece = stream.Read(left);
    if (!piece || !*piece) return GiveUp("when the daemon ended");
    for (const ServerEvent& event : reader.Take(**piece)) OnEvent(event);
  }
}

void ServiceRequests::OnEvent(const ServerEvent& event) {
  const Json data = Json::parse(event.data, nullptr, /*allow_exceptions=*/false);
  const bool is_snapshot = event.name == "snapshot";
  if (!data.is_object() || (!is_snapshot && event.name != "state")) return;
  if (is_snapshot) {
    const auto services = SupervisedOf(data);
    for (const ServiceNow& service : services.value_or(std::vector<ServiceNow>())) {
      for (Item& item : items_) {
        if (item.name == service.name) OnState(item, service.state, "", true);
      }
    }
    return;
  }
  for (Item& item : items_) {
    if (item.name == TextOf(data, "service")) {
      OnState(item, TextOf(data, "to"), TextOf(data, "reason"), false);
    }
  }
}

void ServiceRequests::OnState(Item& item, std::string_view state, const std::string& reason,
                              bool is_snapshot) {
  if (!item.is_waiting()) return;
  if (is_snapshot) {
    item.wait.OnSnapshot(state);
  } else {
    item.wait.OnState(state);
  }
  if (item.wait.outcome() == ServiceWait::Outcome::kFailed) item.error = FailureOf(item.name);
  Show(item, std::string(state) + (reason.empty() ? "" : ": " + reason), !item.is_waiting());
}

void ServiceRequests::GiveUp(const std::string& why) {
  for (Item& item : items_) {
    if (!item.is_waiting()) continue;
    item.error = "was still " + item.wait.state() + " " + why;
    Show(item, item.wait.state(), true);
  }
}

// What the daemon says of it, with the last lines that it wrote.
std::string ServiceRequests::FailureOf(const std::string& name) const {
  const auto body = HttpGet(arguments_.http, ServicePath(name));
  const Json row = Json::parse(body.value_or(""), nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return "failed";
  std::string text = "is " + TextOf(row, "state");
  if (const std::string why = TextOf(row, "failure"); !why.empty()) text += ": " + Printable(why);
  for (const Json& line : row.value("/last_exit/lines"_json_pointer, Json::array())) {
    if (line.is_string()) text += "\n    | " + Printable(line.get<std::string>());
  }
  return text;
}

std::vector<std::string> ServiceRequests::Errors() const {
  std::vector<std::string> errors;
  for (const Item& item : items_) {
    if (!item.error.empty()) errors.push_back(item.name + ": " + item.error);
  }
  return errors;
}

}  // namespace

Result<std::vector<std::string>> RequestServices(ServiceRequest request,
                                                 const ServiceArguments& arguments,
                                                 const std::string& token) {
  ServiceRequests run(request, arguments, token);
  RETURN_IF_ERROR(run.Run());
  return run.Errors();
}

}  // namespace idlewatt
