#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// One [[service]] as the configuration says it, variables not yet replaced.
struct ServiceSpec {
  std::string name;                  // letters, digits, '.', '_', '-'; names the log file too
  std::vector<std::string> command;  // argv; the program is looked for in the daemon's PATH
  std::string model;
  std::optional<uint16_t> port;
  bool auto_port = false;                          // a free loopback port is picked at each start
  std::string working_dir;                         // empty: the daemon's
  std::map<std::string, std::string> environment;  // added to the daemon's own
  bool autostart = true;
  int stop_signal = SIGTERM;
  std::chrono::milliseconds stop_timeout{10'000};
  struct Log {
    int64_t max_size = int64_t{10} << 20;  // bytes; a full file is rotated
    int max_backups = 5;                   // NAME.log.1 (newest) to NAME.log.5
  } log;
};

// `spec` with ${NAME}, ${MODEL}, ${PORT} and ${env.X} replaced in environment, command and
// working_dir; "$${" stands for "${". ${env.X} is what the service will see: in `environment` the
// daemon's own variables, elsewhere `environment` first. kInvalid for a variable that is unknown
// or has no value: an empty argument is never put in its place.
Result<ServiceSpec> Expand(const ServiceSpec& spec);

// What can be known to be wrong before a start: the name, an empty command, variables, limits.
Result<void> Validate(const ServiceSpec& spec);

// A TCP port that nobody listens on at 127.0.0.1 right now. Another process may take it before
// the service does; the service then fails to bind and says so.
Result<uint16_t> PickFreePort();

}  // namespace idlewatt
