#pragma once

#include <chrono>
#include <csignal>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// When another service counts as there.
enum class DependencyCondition { kStarted, kReady, kCompleted };

enum class RestartMode { kNo, kOnFailure, kAlways, kUnlessStopped };

// What becomes of a service that outlived the daemon.
enum class OrphanPolicy { kAdopt, kKill };

// A limit of setrlimit(2); RLIM_INFINITY for "unlimited".
struct Ulimit {
  int resource = 0;  // RLIMIT_NOFILE ...
  uint64_t soft = 0;
  uint64_t hard = 0;
  bool operator==(const Ulimit&) const = default;
};

// How it is known that a service can be used. Of several ways the first that says so wins.
struct ReadySpec {
  std::vector<std::string> log_patterns;  // POSIX extended, case ignored, searched in each line
  std::string http_get;           // path at the service's port, or http://127.0.0.1:PORT/path
  bool tcp_socket = false;        // its port accepts connections
  std::vector<std::string> exec;  // a command that ends with 0
  bool notify = false;            // READY=1 of sd_notify(3)
  std::optional<std::chrono::milliseconds> delay;  // runs for so long
  std::chrono::milliseconds timeout{120'000};
  // After `timeout` it is waited on as long as output comes at least so often.
  std::optional<std::chrono::milliseconds> stall_timeout;
  bool fail_on_timeout = false;  // else it counts as ready then
  bool operator==(const ReadySpec&) const = default;
};

// Asked while the service is ready. Exactly one way is set.
struct LivenessSpec {
  std::string http_get;
  bool tcp_socket = false;
  std::vector<std::string> exec;
  std::chrono::milliseconds period{10'000};
  std::chrono::milliseconds timeout{2'000};
  int failure_threshold = 3;
  bool operator==(const LivenessSpec&) const = default;
};

// One [[service]] as the configuration says it, variables not yet replaced. What is right and what
// is not stands in supervisor/spec/service_checks.h.
struct ServiceSpec {
  std::string name;                  // letters, digits, '.', '_', '-'; names the log file too
  std::vector<std::string> command;  // argv; the program is looked for in the daemon's PATH
  std::string model;
  std::optional<uint16_t> port;
  bool auto_port = false;                          // a free loopback port is picked at each start
  std::string working_dir;                         // empty: the daemon's
  std::map<std::string, std::string> environment;  // added to what it inherits
  std::string env_file;                            // lines NAME=value; read at each start
  std::string user;  // "name" or "name:group", numbers too; empty: the daemon's
  std::vector<Ulimit> ulimits;
  std::optional<int> nice;           // -20 to 19
  std::optional<int> oom_score_adj;  // -1000 to 1000

  bool autostart = true;
  std::vector<std::string> profiles;  // empty: in every profile
  std::map<std::string, DependencyCondition> depends_on;

  RestartMode restart = RestartMode::kOnFailure;
  std::vector<int> success_exit_codes;  // besides 0
  std::vector<int> restart_prevent_exit_codes;
  struct Backoff {
    std::chrono::milliseconds initial{2'000};
    double multiplier = 2;
    std::chrono::milliseconds max{60'000};
    double jitter = 0.2;  // a delay is multiplied by 1 - jitter to 1 + jitter
    std::chrono::milliseconds reset_after{600'000};  // of being ready
    bool operator==(const Backoff&) const = default;
  } backoff;
  struct StartLimit {
    int burst = 3;  // restarts within `interval`; the crash after them is the last
    std::chrono::milliseconds interval{300'000};
    bool operator==(const StartLimit&) const = default;
  } start_limit;

  std::optional<ReadySpec> ready;  // nothing: ready once it runs
  std::optional<LivenessSpec> liveness;

  int stop_signal = SIGTERM;
  std::chrono::milliseconds stop_timeout{10'000};
  std::vector<std::string> stop_command;  // in the place of the signal
  OrphanPolicy orphan_policy = OrphanPolicy::kAdopt;

  struct Log {
    int64_t max_size = int64_t{10} << 20;  // bytes; a full file is rotated
    int max_backups = 5;                   // NAME.log.1 (newest) to NAME.log.5
    std::chrono::milliseconds max_age{std::chrono::hours(24 * 14)};  // of a backup; 0: for ever
    bool compress = true;                                            // backups become NAME.log.N.gz
    bool delete_on_stop = false;  // the log and its backups go when the service is stopped
    bool operator==(const Log&) const = default;
  } log;
  std::optional<int64_t> memory;  // bytes that it is expected to need

  bool operator==(const ServiceSpec&) const = default;
};

// What is wrong with a key of a service: kInvalid, the subject `service "NAME"`, "KEY: text".
Error ServiceError(const ServiceSpec& spec, std::string_view key, std::string_view text);

// The patterns of the usual model servers: llama.cpp, vLLM, whisper.cpp, uvicorn and their like.
std::vector<std::string> UsualReadyPatterns();

// `spec` with ${NAME}, ${MODEL}, ${PORT} and ${env.X} replaced in env_file, environment, commands,
// http_get and working_dir; "$${" stands for "${". ${env.X} is what the service will see: in
// `environment` what it inherits (see InheritedVariables), elsewhere `environment` first. kInvalid
// for a variable that is unknown or has no value: an empty argument is never put in its place.
// Reads env_file and looks up the user, if ${env.X} asks for it.
Result<ServiceSpec> Expand(const ServiceSpec& spec);
// The same before a start: port = "auto" counts as a port, env_file is not read, and a variable
// that may stand in it becomes "?".
Result<ServiceSpec> ExpandBeforeStart(const ServiceSpec& spec);

// Must a running service be started anew when its configuration changes from `a` to `b`? Not for
// what only the supervisor looks at: policies, limits of logs, readiness, profiles, dependencies.
bool NeedsRestart(const ServiceSpec& a, const ServiceSpec& b);
// Sixteen hexadecimal digits that are the same as long as NeedsRestart is false, in every later
// daemon too. Does not show what is in the environment.
std::string StartFingerprint(const ServiceSpec& spec);

// A TCP port that nobody listens on at 127.0.0.1 right now. Another process may take it before
// the service does; the service then fails to bind and says so.
Result<uint16_t> PickFreePort();

}  // namespace idlewatt
