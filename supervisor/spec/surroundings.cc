#include "supervisor/spec/surroundings.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr std::array<std::string_view, 6> kNotInherited = {
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"};

Variables OwnVariables() {
  Variables variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const std::string_view name : kNotInherited) variables.erase(std::string(name));
  return variables;
}

// What a lookup of `name` gave when it found nothing.
Error NotFound(std::string_view kind, const std::string& name, int failure) {
  std::string subject = std::string(kind) + " \"" + name + "\"";
  if (failure != 0) {
    return {ErrorCode::kTransient, std::move(subject), failure, "cannot be looked up"};
  }
  return {ErrorCode::kInvalid, std::move(subject), 0, "there is none of this name on this machine"};
}

// `buffer` holds what the result points to.
Result<passwd> FindUser(const std::string& name, std::vector<char>& buffer) {
  passwd entry{};
  passwd* found = nullptr;
  const auto id = ParseNumber<uid_t>(name);
  const int failure = id ? ::getpwuid_r(*id, &entry, buffer.data(), buffer.size(), &found)
                         : ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return NotFound("user", name, failure);
  return entry;
}

Result<gid_t> FindGroup(const std::string& name, std::vector<char>& buffer) {
  if (const auto id = ParseNumber<gid_t>(name)) return *id;
  group entry{};
  group* found = nullptr;
  const int failure = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return NotFound("group", name, failure);
  return entry.gr_gid;
}

std::vector<gid_t> GroupsOf(const char* user, gid_t group) {
  std::vector<gid_t> groups(256);
  auto count = static_cast<int>(groups.size());
  while (::getgrouplist(user, group, groups.data(), &count) < 0) {
    groups.resize(static_cast<size_t>(count));
  }
  groups.resize(static_cast<size_t>(count));
  return groups;
}

}  // namespace

Result<Account> FindAccount(const std::string& user) {
  const size_t colon = user.find(':');
  std::vector<char> buffer(size_t{64} << 10);
  ASSIGN_OR_RETURN(const passwd entry, FindUser(user.substr(0, colon), buffer));
  Account account;
  account.identity.user = entry.pw_uid;
  account.identity.group = entry.pw_gid;
  if (colon != std::string::npos) {
    std::vector<char> group_buffer(size_t{64} << 10);
    ASSIGN_OR_RETURN(account.identity.group, FindGroup(user.substr(colon + 1), group_buffer));
  }
  account.identity.groups = GroupsOf(entry.pw_name, account.identity.group);
  account.variables = {{"HOME", entry.pw_dir},
                       {"LOGNAME", entry.pw_name},
                       {"SHELL", entry.pw_shell},
                       {"USER", entry.pw_name}};
  return account;
}

bool IsOurs(const SpawnPlan::Identity& identity) {
  return identity.user == ::geteuid() && identity.group == ::getegid();
}

Result<Variables> InheritedVariables(const ServiceSpec& spec) {
  Variables variables = OwnVariables();
  if (!spec.user.empty()) {
    ASSIGN_OR_RETURN(const Account account, FindAccount(spec.user));
    for (const auto& [name, value] : account.variables) variables[name] = value;
  }
  if (!spec.env_file.empty()) {
    ASSIGN_OR_RETURN(const Variables from_file, ReadEnvFile(spec.env_file));
    for (const auto& [name, value] : from_file) variables[name] = value;
  }
  return variables;
}

std::vector<std::string> ProgramPaths(const std::string& program) {
  if (program.find('/') != std::string::npos) return {program};
  const char* path = std::getenv("PATH");
  std::vector<std::string> paths;
  for (const std::string_view folder : Split(path != nullptr ? path : "/usr/bin:/bin", ':')) {
    paths.push_back((folder.empty() ? "." : std::string(folder)) + "/" + program);
  }
  return paths;
}

}  // namespace idlewatt
