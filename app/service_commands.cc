#include "app/service_commands.h"

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/control_token.h"
#include "app/exit_code.h"
#include "app/http_client.h"
#include "app/output_file.h"
#include "app/tables.h"

namespace idlewatt {

using Json = nlohmann::ordered_json;

int ServiceCommand(ServiceRequest request, const ServiceArguments& arguments) {
  const auto token = ControlTokenFor(arguments.http);
  if (!token) return Fail(token.error());
  const auto errors = RequestServices(request, arguments, *token);
  if (!errors) return Fail(errors.error());
  for (const std::string& error : *errors) std::fprintf(stderr, "idlewatt: %s\n", error.c_str());
  return errors->empty() ? kExitDone : kExitFailed;
}

namespace {

Result<void> Swap(const SwapArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(arguments.http));
  Json body = Json::object();
  if (!arguments.model.empty()) body["model"] = arguments.model;
  if (!arguments.command.empty()) body["command"] = arguments.command;
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  RETURN_IF_ERROR(HttpPost(arguments.http, ServicePath(arguments.name, "swap"), token, text));
  std::printf("%s: the swap is under way; `idlewatt status` shows what comes of it\n",
              arguments.name.c_str());
  return {};
}

std::string JoinNames(const Json& names) {
  std::string out;
  for (const Json& name : names) out += (out.empty() ? "" : ", ") + name.get<std::string>();
  return out;
}

Result<std::string> ProfilesText(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  try {
    TextTable table({"PROFILE", "ACTIVE", "SERVICES"});
    for (const Json& profile : json.at("profiles")) {
      table.Add({profile.at("name"), profile.at("active") == true ? "yes" : "no",
                 JoinNames(profile.at("services"))});
    }
    return json.at("profiles").empty() ? "no service names a profile\n" : table.ToString();
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
}

Result<void> ListProfiles(const std::string& http, bool json) {
  ASSIGN_OR_RETURN(const std::string body, HttpGet(http, "/api/v1/profiles"));
  ASSIGN_OR_RETURN(const std::string text, ProfilesText(body));
  std::fputs(json ? body.c_str() : text.c_str(), stdout);
  return {};
}

Result<void> ActivateProfile(const std::string& http, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(http));
  RETURN_IF_ERROR(HttpPost(http, "/api/v1/profiles/" + UrlEncode(name) + "/activate", token, ""));
  std::printf("%s is the active profile; `idlewatt status` shows its services start\n",
              name.c_str());
  return {};
}

// The daemon ends the answer when it ends itself, or when the service is gone.
Result<void> PrintLog(const LogsArguments& arguments) {
  std::string path = ServicePath(arguments.name, "logs");
  path += "?lines=" + std::to_string(arguments.lines);
  if (arguments.follow) path += "&follow=true";
  ASSIGN_OR_RETURN(HttpExchange log,
                   HttpExchange::Start(arguments.http,
                                       {.method = "GET", .path = path, .token = {}, .body = {}}));
  for (;;) {
    ASSIGN_OR_RETURN(const auto piece, log.Read(std::chrono::hours(1)));
    if (!piece) return {};
    RETURN_IF_ERROR(PrintText(*piece));
  }
}

Result<std::string> ReloadText(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  std::string out;
  try {
    for (const char* what : {"added", "removed", "restarted", "updated"}) {
      if (!json.at(what).empty()) {
        out += std::string(what) + ": " + JoinNames(json.at(what)) + "\n";
      }
    }
    if (!json.at("not_applied").empty()) {
      out += "changed, but only applied when the daemon is restarted: " +
             JoinNames(json.at("not_applied")) + "\n";
    }
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
  return out.empty() ? "nothing changed\n" : out;
}

Result<void> Reload(const std::string& http) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(http));
  ASSIGN_OR_RETURN(const std::string body, HttpPost(http, "/-/reload", token, ""));
  ASSIGN_OR_RETURN(const std::string text, ReloadText(body));
  std::fputs(text.c_str(), stdout);
  return {};
}

int ExitCodeOf(const Result<void>& done) { return done.ok() ? kExitDone : Fail(done.error()); }

}  // namespace

int SwapCommand(const SwapArguments& arguments) { return ExitCodeOf(Swap(arguments)); }

int ProfileListCommand(const std::string& http, bool json) {
  return ExitCodeOf(ListProfiles(http, json));
}

int ProfileActivateCommand(const std::string& http, const std::string& name) {
  return ExitCodeOf(ActivateProfile(http, name));
}

int LogsCommand(const LogsArguments& arguments) { return ExitCodeOf(PrintLog(arguments)); }

int ReloadCommand(const std::string& http) { return ExitCodeOf(Reload(http)); }

}  // namespace idlewatt
