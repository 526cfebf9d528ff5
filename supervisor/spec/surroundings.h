// What a process of a service finds when it starts: account, variables, programs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "supervisor/process/spawner.h"
#include "supervisor/spec/env_file.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

struct Account {
  SpawnPlan::Identity identity;
  Variables variables;  // HOME, LOGNAME, SHELL, USER
};

// `user` is "name" or "name:group"; a number is an id. kInvalid for one that is not on this
// machine.
Result<Account> FindAccount(const std::string& user);
// Is it what this process is already? A plain user may then start it, but not call setgroups.
bool IsOurs(const SpawnPlan::Identity& identity);

// What a service sees before its `environment` is added: the daemon's variables but for those that
// systemd means for the daemon alone, then those of its user, then those of its env_file.
Result<Variables> InheritedVariables(const ServiceSpec& spec);

// Where `program` is looked for, in this order: as it is when it has a '/', else in the PATH.
std::vector<std::string> ProgramPaths(const std::string& program);

}  // namespace idlewatt
