#include "exporters/service_api.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <string>
#include <utility>

#include "base/text.h"
#include "exporters/event_stream.h"

namespace idlewatt {
namespace {

constexpr std::string_view kServices = "/api/v1/services";
constexpr std::string_view kProfiles = "/api/v1/profiles";
constexpr size_t kDefaultLogLines = 50;
constexpr size_t kMostLogLines = 1'000'000;  // more than a LogTail holds
constexpr size_t kLogPiece = size_t{64} << 10;
constexpr auto kLogTurn = std::chrono::milliseconds(100);  // see HttpStream::IsOpen

// Takes as long for a wrong token as for the right one, wherever the first difference is.
bool IsSameToken(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

// The token of "Bearer TOKEN"; the scheme's case does not matter (RFC 9110). Empty for all else.
std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  const bool is_bearer =
      authorization.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), authorization.begin(),
                 [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  return is_bearer ? Trim(authorization.substr(kScheme.size())) : std::string_view();
}

// `request.path` after `prefix` and a slash.
std::string_view PathBelow(const HttpRequest& request, std::string_view prefix) {
  const std::string_view path = request.path;
  return path.substr(std::min(prefix.size() + 1, path.size()));
}

// "NAME/ACTION".
struct Target {
  std::string name;
  std::string_view action;
};
Target TargetOf(std::string_view path) {
  const size_t slash = std::min(path.rfind('/'), path.size());
  return {std::string(path.substr(0, slash)), path.substr(std::min(slash + 1, path.size()))};
}

HttpResponse NotFound(const std::string& message) {
  return HttpResponse::Error(404, "not_found", message);
}

HttpResponse NothingAt(const HttpRequest& request) {
  return NotFound("there is nothing at " + request.path);
}

// 404 for what is not among `known`, services or profiles; 503 when it may work later, else 400.
template <typename Known>
HttpResponse Refusal(const Error& error, const std::string& name, const Known& known) {
  if (std::none_of(known.begin(), known.end(), [&](const auto& one) { return one.name == name; })) {
    return NotFound(error.ToString());
  }
  if (error.code == ErrorCode::kTransient) {
    return HttpResponse::Error(503, ErrorCodeName(error.code), error.ToString());
  }
  return BadRequest(error);
}

Error BadSwap(const std::string& text) {
  return Error{ErrorCode::kInvalid, "the body", 0,
               text + "; give {\"model\": \"…\"} or {\"command\": [\"…\", …]} or both"};
}

Result<SwapRequest> ParseSwap(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return BadSwap("is no JSON object");
  SwapRequest request;
  for (const auto& [key, value] : json.items()) {
    const bool is_list = value.is_array() && !value.empty();
    if (key == "model" && value.is_string()) {
      request.model = value.get<std::string>();
    } else if (key == "command" && is_list &&
               std::all_of(value.begin(), value.end(),
                           [](const Json& word) { return word.is_string(); })) {
      request.command = value.get<std::vector<std::string>>();
    } else if (key == "model" || key == "command") {
      return BadSwap("has a wrong type for \"" + key + "\"");
    } else {
      return BadSwap("has the unknown key \"" + key + "\"");
    }
  }
  if (!request.model && !request.command) return BadSwap("names neither model nor command");
  return request;
}

// Nothing when there is no such action.
std::optional<Result<void>> Act(ServiceControl& control, const Target& target,
                                const std::string& body) {
  if (target.action == "start") return control.Start(target.name);
  if (target.action == "stop") return control.Stop(target.name);
  if (target.action == "restart") return control.Restart(target.name);
  if (target.action != "swap") return std::nullopt;
  const Result<SwapRequest> swap = ParseSwap(body);
  if (!swap) return Result<void>(swap.error());
  return control.Swap(target.name, *swap);
}

HttpResponse ControlService(const ApiSources& sources, const HttpRequest& request) {
  ServiceControl& control = *sources.control();
  const Target target = TargetOf(PathBelow(request, kServices));
  const std::optional<Result<void>> done = Act(control, target, request.body);
  if (!done) return NothingAt(request);
  const std::vector<ServiceStatus> services = control.Status();
  if (!done->ok()) return Refusal(done->error(), target.name, services);
  return JsonResponse(
      ServiceJson(*sources.snapshot.Get(), services, target.name).value_or(nullptr));
}

std::string SkippedLine(uint64_t bytes) {
  return "[idlewatt: " + std::to_string(bytes) + " bytes skipped: this reader was too slow]\n";
}

// Writes what `log` gets from `position` on. Ends when the service is no longer there.
void FollowLog(const ServiceControl& control, const std::string& name,
               const std::shared_ptr<const LogTail>& log, uint64_t position, HttpStream& stream) {
  bool at_line_begin = true;
  while (stream.IsOpen()) {
    LogTail::Piece piece = log->WaitAndRead(position, kLogPiece, kLogTurn);
    if (piece.dropped > 0) {
      piece.text.insert(0, (at_line_begin ? "" : "\n") + SkippedLine(piece.dropped));
    }
    if (!piece.text.empty()) {
      stream.Write(piece.text);
      at_line_begin = piece.text.ends_with('\n');
    } else if (control.Log(name) != log) {
      return;
    }
    position = piece.next;
  }
}

HttpResponse ServiceLog(const ServiceControl& control, const std::string& name,
                        std::shared_ptr<const LogTail> log, const HttpRequest& request) {
  const Result<size_t> lines = NumberOf(request, "lines", kDefaultLogLines, 0, kMostLogLines);
  if (!lines) return BadRequest(lines.error());
  const std::string follow = request.Query("follow").value_or("false");
  const bool is_follow = follow == "1" || follow == "true" || follow.empty();
  if (!is_follow && follow != "0" && follow != "false") {
    return BadRequest({ErrorCode::kInvalid, "follow", 0, "must be true or false"});
  }
  const uint64_t begin = log->BeginOfLastLines(*lines);
  HttpResponse response{200, "text/plain; charset=utf-8", ""};
  if (!is_follow) {
    response.body = log->Read(begin, LogTail::kDefaultCapacity).text;
    return response;
  }
  response.stream = [&control, name, log = std::move(log), begin](HttpStream& stream) {
    FollowLog(control, name, log, begin, stream);
  };
  return response;
}

// For `path`, which is no service's name.
HttpResponse NoService(const std::string& path, const std::vector<std::string>& names) {
  const Target target = TargetOf(path);
  const std::string& name = target.action == "logs" ? target.name : path;
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    return NotFound("\"" + name + "\" was not started by idlewatt, so its output is not known");
  }
  const std::string nearest = Nearest(name, names);
  return NotFound("there is no service \"" + name + "\"" +
                  (nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?"));
}

HttpResponse GetServices(const ApiSources& sources, const HttpRequest& request) {
  const ServiceControl* control = sources.control();
  const std::vector<ServiceStatus> services = sources.Services();
  const std::string path(PathBelow(request, kServices));
  if (path.empty()) return JsonResponse(ServicesJson(*sources.snapshot.Get(), services));
  if (const Target target = TargetOf(path); control != nullptr && target.action == "logs") {
    if (auto log = control->Log(target.name)) {
      return ServiceLog(*control, target.name, std::move(log), request);
    }
  }
  const Json all = ServicesJson(*sources.snapshot.Get(), services)["services"];
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const Json& row : all) {
    if (row["name"] == path) return JsonResponse(row);
    names.push_back(row["name"]);
  }
  return NoService(path, names);
}

HttpResponse GetProfiles(const ApiSources& sources, const HttpRequest& request) {
  if (!PathBelow(request, kProfiles).empty()) return NothingAt(request);
  const ServiceControl* control = sources.control();
  if (control == nullptr) return NotReady();
  return JsonResponse({{"profiles", ProfilesJson(control->Profiles())}});
}

HttpResponse ControlProfile(const ApiSources& sources, const HttpRequest& request) {
  ServiceControl& control = *sources.control();
  const Target target = TargetOf(PathBelow(request, kProfiles));
  if (target.action != "activate") return NothingAt(request);
  const Result<void> done = control.ActivateProfile(target.name);
  const std::vector<ProfileStatus> profiles = control.Profiles();
  if (!done.ok()) return Refusal(done.error(), target.name, profiles);
  return JsonResponse({{"profiles", ProfilesJson(profiles)}});
}

HttpResponse Reload(const ApiSources& sources, const HttpRequest& request) {
  if (request.path != "/-/reload") return NothingAt(request);
  const Result<ReloadOutcome> outcome = sources.reload();
  return outcome ? JsonResponse(ReloadJson(*outcome)) : BadRequest(outcome.error());
}

HttpResponse Stream(const ApiSources& sources, const HttpRequest& request) {
  if (request.path != "/api/v1/stream") return NothingAt(request);
  const ServiceControl* control = sources.control();
  if (control == nullptr) return NotReady();
  HttpResponse response{200, "text/event-stream", ""};
  response.stream = [sources, control](HttpStream& stream) {
    StreamEvents(sources, *control, stream);
  };
  return response;
}

}  // namespace

HttpServer::Handler WithToken(const ApiSources& sources, HttpServer::Handler handler) {
  return [sources, handler = std::move(handler)](const HttpRequest& request) {
    const std::string token = sources.token();
    if (token.empty() || sources.control() == nullptr) return NotReady();
    if (IsSameToken(BearerToken(request.authorization), token)) return handler(request);
    HttpResponse refused = HttpResponse::Error(
        401, "unauthorized",
        request.authorization.empty()
            ? "this needs \"Authorization: Bearer TOKEN\"; the token is in control.token in the "
              "daemon's data folder"
            : "the token is not that of this daemon, which is in control.token in its data folder");
    refused.headers.emplace_back("WWW-Authenticate", "Bearer");
    return refused;
  };
}

void AddServiceEndpoints(const ApiSources& sources, HttpServer::Endpoints& endpoints) {
  using View = HttpResponse (*)(const ApiSources&, const HttpRequest&);
  const auto open = [&sources](View view) {
    return [sources, view](const HttpRequest& request) { return view(sources, request); };
  };
  const auto guarded = [&](View view) { return WithToken(sources, open(view)); };
  endpoints[std::string(kServices)] = {open(GetServices), guarded(ControlService)};
  endpoints[std::string(kProfiles)] = {open(GetProfiles), guarded(ControlProfile)};
  endpoints["/api/v1/stream"] = {open(Stream), nullptr};
  endpoints["/-/reload"] = {nullptr, guarded(Reload)};
}

}  // namespace idlewatt
