#include "supervisor/spec/service_spec.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "supervisor/spec/surroundings.h"

namespace idlewatt {
namespace {

std::string WhyNoValue(std::string_view variable) {
  const std::string shown = "${" + std::string(variable) + "}";
  if (variable == "MODEL") return shown + " is used, but the service has no model";
  if (variable == "PORT") return shown + " is used, but the service has no port";
  if (variable.starts_with("env.")) {
    return shown + " is used, but that variable is not set, or empty";
  }
  return "unknown variable " + shown +
         "; known are ${NAME}, ${MODEL}, ${PORT} and ${env.X}; $${ stands for ${";
}

// Replaces the variables in the texts of one service.
class Expander {
 public:
  // `before_start`: as ExpandBeforeStart.
  Expander(const ServiceSpec& spec, bool before_start)
      : spec_(spec), out_(spec), before_start_(before_start) {}

  Result<ServiceSpec> Expand();

 private:
  // `key` names the text for people: "command".
  Result<void> Replace(std::string_view key, std::string& text);
  Result<void> Replace(std::string_view key, std::vector<std::string>& texts);
  // An error without key and service when it has none.
  Result<std::string> ValueOf(std::string_view variable);
  Result<std::string> FromEnvironment(const std::string& name);

  const ServiceSpec& spec_;
  ServiceSpec out_;
  const bool before_start_;
  bool sees_environment_ = false;       // the values of `environment` do not see each other
  std::optional<Variables> inherited_;  // since it was needed
};

Result<ServiceSpec> Expander::Expand() {
  // A path that depends on what is in the file does not see the file.
  out_.env_file.clear();
  std::string env_file = spec_.env_file;
  RETURN_IF_ERROR(Replace("env_file", env_file));
  out_.env_file = std::move(env_file);
  inherited_.reset();
  for (auto& [name, value] : out_.environment) {
    RETURN_IF_ERROR(Replace("environment." + name, value));
  }
  sees_environment_ = true;
  RETURN_IF_ERROR(Replace("command", out_.command));
  RETURN_IF_ERROR(Replace("stop_command", out_.stop_command));
  RETURN_IF_ERROR(Replace("working_dir", out_.working_dir));
  if (out_.ready) {
    RETURN_IF_ERROR(Replace("ready.exec", out_.ready->exec));
    RETURN_IF_ERROR(Replace("ready.http_get", out_.ready->http_get));
  }
  if (out_.liveness) {
    RETURN_IF_ERROR(Replace("liveness.exec", out_.liveness->exec));
    RETURN_IF_ERROR(Replace("liveness.http_get", out_.liveness->http_get));
  }
  return std::move(out_);
}

Result<void> Expander::Replace(std::string_view key, std::vector<std::string>& texts) {
  for (std::string& text : texts) RETURN_IF_ERROR(Replace(key, text));
  return {};
}

Result<void> Expander::Replace(std::string_view key, std::string& text) {
  const auto invalid = [&](const std::string& what) { return ServiceError(spec_, key, what); };
  std::string out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t dollar = rest.find('$');
    out += rest.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    rest.remove_prefix(dollar);
    if (rest.starts_with("$${")) {
      out += "${";
      rest.remove_prefix(3);
    } else if (!rest.starts_with("${")) {
      out += '$';
      rest.remove_prefix(1);
    } else {
      const size_t end = rest.find('}');
      if (end == std::string_view::npos) return invalid("\"${\" without \"}\"");
      const Result<std::string> value = ValueOf(rest.substr(2, end - 2));
      if (!value) return invalid(value.error().ToString());
      out += *value;
      rest.remove_prefix(end + 1);
    }
  }
  text = std::move(out);
  return {};
}

Result<std::string> Expander::ValueOf(std::string_view variable) {
  std::string value;
  if (variable == "NAME") value = spec_.name;
  if (variable == "MODEL") value = spec_.model;
  if (variable == "PORT" && spec_.port) value = std::to_string(*spec_.port);
  if (variable.starts_with("env.")) {
    ASSIGN_OR_RETURN(value, FromEnvironment(std::string(variable.substr(4))));
  }
  if (value.empty()) return Error{ErrorCode::kInvalid, "", 0, WhyNoValue(variable)};
  return value;
}

// Empty when it is not set.
Result<std::string> Expander::FromEnvironment(const std::string& name) {
  if (sees_environment_) {
    const auto own = out_.environment.find(name);
    if (own != out_.environment.end()) return own->second;
  }
  if (!inherited_) {
    ServiceSpec seen = out_;
    if (before_start_) seen.env_file.clear();
    ASSIGN_OR_RETURN(inherited_, InheritedVariables(seen));
  }
  const auto found = inherited_->find(name);
  if (found != inherited_->end()) return found->second;
  const bool may_be_in_file = before_start_ && !out_.env_file.empty();
  return std::string(may_be_in_file ? "?" : "");
}

// What a run is started from, each part with its length: no two specs that differ give one text.
class StartText {
 public:
  explicit StartText(const ServiceSpec& spec);
  const std::string& text() const { return text_; }

 private:
  void Add(std::string_view part) {
    text_ += std::to_string(part.size()) + ":";
    text_ += part;
  }
  void Add(int64_t number) { Add(std::to_string(number)); }
  template <typename T>
  void Add(const std::optional<T>& number) {
    Add(number ? std::to_string(*number) : std::string("-"));
  }

  std::string text_;
};

StartText::StartText(const ServiceSpec& spec) {
  Add(spec.name);
  Add(static_cast<int64_t>(spec.command.size()));
  for (const std::string& word : spec.command) Add(word);
  Add(spec.model);
  Add(spec.port);
  Add(spec.auto_port ? 1 : 0);
  Add(spec.working_dir);
  Add(static_cast<int64_t>(spec.environment.size()));
  for (const auto& [name, value] : spec.environment) {
    Add(name);
    Add(value);
  }
  Add(spec.env_file);
  Add(spec.user);
  for (const Ulimit& limit : spec.ulimits) {
    Add(limit.resource);
    Add(std::to_string(limit.soft));
    Add(std::to_string(limit.hard));
  }
  Add(spec.nice);
  Add(spec.oom_score_adj);
}

}  // namespace

Error ServiceError(const ServiceSpec& spec, std::string_view key, std::string_view text) {
  return {ErrorCode::kInvalid, "service \"" + spec.name + "\"", 0,
          std::string(key) + ": " + std::string(text)};
}

std::vector<std::string> UsualReadyPatterns() {
  return {"server is listening", "http server listening", "listening on", "server started"};
}

Result<ServiceSpec> Expand(const ServiceSpec& spec) { return Expander(spec, false).Expand(); }

Result<ServiceSpec> ExpandBeforeStart(const ServiceSpec& spec) {
  ServiceSpec with_port = spec;
  if (spec.auto_port) with_port.port = 1;
  return Expander(with_port, true).Expand();
}

bool NeedsRestart(const ServiceSpec& a, const ServiceSpec& b) {
  return StartText(a).text() != StartText(b).text();
}

std::string StartFingerprint(const ServiceSpec& spec) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: std::hash may differ in the next build
  const StartText start(spec);
  for (const char c : start.text()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(hash));
  return digits.data();
}

Result<uint16_t> PickFreePort() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (!fd || ::bind(fd.get(), generic, size) != 0 || ::getsockname(fd.get(), generic, &size) != 0) {
    return ErrnoError(errno, "127.0.0.1", "no free port could be found");
  }
  return ntohs(address.sin_port);
}

}  // namespace idlewatt
