// The subcommands that control services through a running daemon, and show their output. Exit codes
// as in app/commands.h.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "app/service_requests.h"

namespace idlewatt {

// One service that fails does not stop the others.
int ServiceCommand(ServiceRequest request, const ServiceArguments& arguments);

struct SwapArguments {
  std::string http;
  std::string name;
  std::string model;                 // empty: as before
  std::vector<std::string> command;  // empty: as before
};
int SwapCommand(const SwapArguments& arguments);

int ProfileListCommand(const std::string& http, bool json);
int ProfileActivateCommand(const std::string& http, const std::string& name);

struct LogsArguments {
  std::string http;
  std::string name;
  bool follow = false;
  size_t lines = 50;
};
int LogsCommand(const LogsArguments& arguments);

int ReloadCommand(const std::string& http);

}  // namespace idlewatt
