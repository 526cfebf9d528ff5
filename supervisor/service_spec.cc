#include "supervisor/service_spec.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/unique_fd.h"

namespace idlewatt {
namespace {

Error Invalid(const ServiceSpec& spec, std::string text) {
  return Error{ErrorCode::kInvalid, "service \"" + spec.name + "\"", 0, std::move(text)};
}

// The value of ${`variable`}; nothing when it has none.
std::optional<std::string> Lookup(const ServiceSpec& spec, std::string_view variable,
                                  bool with_environment) {
  if (variable == "NAME") return spec.name;
  if (variable == "MODEL" && !spec.model.empty()) return spec.model;
  if (variable == "PORT" && spec.port) return std::to_string(*spec.port);
  if (!variable.starts_with("env.")) return std::nullopt;
  const std::string key(variable.substr(4));
  if (with_environment) {
    if (const auto it = spec.environment.find(key); it != spec.environment.end()) return it->second;
  }
  if (const char* value = std::getenv(key.c_str()); value != nullptr) return value;
  return std::nullopt;
}

std::string WhyNoValue(std::string_view variable) {
  const std::string shown = "${" + std::string(variable) + "}";
  if (variable == "MODEL") return shown + " is used, but the service has no model";
  if (variable == "PORT") return shown + " is used, but the service has no port";
  if (variable.starts_with("env.")) return shown + " is used, but that variable is not set";
  return "unknown variable " + shown +
         "; known are ${NAME}, ${MODEL}, ${PORT} and ${env.X}; $${ stands for ${";
}

// `where` names the key for people: "command".
Result<std::string> ExpandText(const ServiceSpec& spec, std::string_view where,
                               std::string_view text, bool with_environment) {
  std::string out;
  while (!text.empty()) {
    const size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar);
    if (text.starts_with("$${")) {
      out += "${";
      text.remove_prefix(3);
    } else if (!text.starts_with("${")) {
      out += '$';
      text.remove_prefix(1);
    } else {
      const size_t end = text.find('}');
      if (end == std::string_view::npos) {
        return Invalid(spec, std::string(where) + ": \"${\" without \"}\"");
      }
      const std::string_view variable = text.substr(2, end - 2);
      const auto value = Lookup(spec, variable, with_environment);
      if (!value) return Invalid(spec, std::string(where) + ": " + WhyNoValue(variable));
      out += *value;
      text.remove_prefix(end + 1);
    }
  }
  return out;
}

// It becomes a file name and a label value.
bool IsGoodName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

// The kernel takes C strings: what follows a NUL would be lost silently.
bool HasNul(const ServiceSpec& spec) {
  const auto has_nul = [](const std::string& s) { return s.find('\0') != std::string::npos; };
  return has_nul(spec.working_dir) || has_nul(spec.model) ||
         std::ranges::any_of(spec.command, has_nul) ||
         std::ranges::any_of(spec.environment,
                             [&](const auto& e) { return has_nul(e.first) || has_nul(e.second); });
}

}  // namespace

Result<ServiceSpec> Expand(const ServiceSpec& spec) {
  ServiceSpec out = spec;
  for (auto& [key, value] : out.environment) {
    ASSIGN_OR_RETURN(value, ExpandText(spec, "environment." + key, value, false));
  }
  for (std::string& word : out.command) {
    ASSIGN_OR_RETURN(word, ExpandText(out, "command", word, true));
  }
  ASSIGN_OR_RETURN(out.working_dir, ExpandText(out, "working_dir", spec.working_dir, true));
  return out;
}

Result<void> Validate(const ServiceSpec& spec) {
  if (!IsGoodName(spec.name)) {
    return Invalid(spec, "a name has 1 to 64 letters, digits, '.', '_' or '-', and no '.' first");
  }
  if (spec.command.empty() || spec.command.front().empty()) {
    return Invalid(spec, "command is empty");
  }
  if (HasNul(spec)) return Invalid(spec, "a text of it contains a NUL character");
  for (const auto& [key, value] : spec.environment) {
    if (key.empty() || key.find('=') != std::string::npos) {
      return Invalid(spec, "environment: \"" + key + "\" is no name of a variable");
    }
  }
  if (spec.stop_timeout.count() < 0) return Invalid(spec, "stop_timeout is negative");
  if (spec.stop_signal < 1 || spec.stop_signal > SIGRTMAX) {
    return Invalid(spec, "stop_signal is no signal");
  }
  if (spec.log.max_size < 1) return Invalid(spec, "log.max_size must be at least 1 byte");
  if (spec.log.max_backups < 0) return Invalid(spec, "log.max_backups is negative");
  ServiceSpec with_port = spec;
  if (spec.auto_port) with_port.port = 1;
  RETURN_IF_ERROR(Expand(with_port));
  return {};
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
