#include "app/service_config.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "supervisor/spec/service_checks.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using Findings = std::vector<ConfigFinding>;

constexpr std::string_view kPath = "service";

// The words of Compose.
constexpr std::array<std::pair<std::string_view, int>, 15> kUlimits{
    {{"as", RLIMIT_AS},
     {"core", RLIMIT_CORE},
     {"cpu", RLIMIT_CPU},
     {"data", RLIMIT_DATA},
     {"fsize", RLIMIT_FSIZE},
     {"locks", RLIMIT_LOCKS},
     {"memlock", RLIMIT_MEMLOCK},
     {"msgqueue", RLIMIT_MSGQUEUE},
     {"nofile", RLIMIT_NOFILE},
     {"nproc", RLIMIT_NPROC},
     {"rss", RLIMIT_RSS},
     {"rtprio", RLIMIT_RTPRIO},
     {"rttime", RLIMIT_RTTIME},
     {"sigpending", RLIMIT_SIGPENDING},
     {"stack", RLIMIT_STACK}}};

// Reads the tables of one [[service]].
class ServiceReader {
 public:
  ServiceReader(const toml::table& table, Findings& findings)
      : section_(table, std::string(kPath), findings), findings_(findings) {}

  ServiceConfig Read() &&;

 private:
  // Reads the table `key` with `read`, if it is there.
  template <typename Reader>
  void ReadTable(std::string_view key, Reader read);

  void ReadProcess();
  void ReadPlace();
  void ReadRestart();
  void ReadStop();
  void ReadReady();
  void ReadLiveness();
  void ReadLog();
  void ReadIdle();

  void ReadPortOrAuto();
  void ReadDependencies();
  void ReadStopSignal();
  void ReadUlimit(TomlSection& ulimits, std::string_view name, int resource);
  void ReadLogPatterns(TomlSection& ready, std::vector<std::string>& patterns);

  TomlSection section_;
  Findings& findings_;
  ServiceConfig config_;
};

template <typename Reader>
void ServiceReader::ReadTable(std::string_view key, Reader read) {
  const toml::table* table = section_.Table(key);
  if (table == nullptr) return;
  TomlSection section(*table, section_.PathOf(key), findings_);
  read(section);
}

ServiceConfig ServiceReader::Read() && {
  ReadProcess();
  ReadPlace();
  ReadRestart();
  ReadStop();
  ReadReady();
  ReadLiveness();
  ReadLog();
  ReadIdle();
  section_.ReadSize("memory", config_.spec.memory);
  section_.Planned({"proxy", "pinned"});
  return std::move(config_);
}

// What is started, and in which surroundings.
void ServiceReader::ReadProcess() {
  ServiceSpec& spec = config_.spec;
  section_.Read("name", spec.name);
  section_.Read("command", spec.command);
  section_.Read("model", spec.model);
  ReadPortOrAuto();
  section_.Read("working_dir", spec.working_dir);
  section_.Read("environment", spec.environment);
  section_.Read("env_file", spec.env_file);
  section_.Read("user", spec.user);
  section_.Read("nice", spec.nice);
  section_.Read("oom_score_adj", spec.oom_score_adj);
  ReadTable("ulimits", [&](TomlSection& ulimits) {
    for (const auto& [name, resource] : kUlimits) ReadUlimit(ulimits, name, resource);
  });
}

// Among the other services.
void ServiceReader::ReadPlace() {
  section_.Read("autostart", config_.spec.autostart);
  section_.Read("profiles", config_.spec.profiles);
  ReadDependencies();
}

void ServiceReader::ReadRestart() {
  ServiceSpec& spec = config_.spec;
  section_.ReadChoice("restart", spec.restart,
                      {{"no", RestartMode::kNo},
                       {"on-failure", RestartMode::kOnFailure},
                       {"always", RestartMode::kAlways},
                       {"unless-stopped", RestartMode::kUnlessStopped}});
  section_.Read("success_exit_codes", spec.success_exit_codes);
  section_.Read("restart_prevent_exit_codes", spec.restart_prevent_exit_codes);
  ReadTable("backoff", [&](TomlSection& backoff) {
    backoff.Read("initial", spec.backoff.initial);
    backoff.Read("multiplier", spec.backoff.multiplier);
    backoff.Read("max", spec.backoff.max);
    backoff.Read("jitter", spec.backoff.jitter);
    backoff.Read("reset_after", spec.backoff.reset_after);
  });
  ReadTable("start_limit", [&](TomlSection& limit) {
    limit.Read("burst", spec.start_limit.burst);
    limit.Read("interval", spec.start_limit.interval);
  });
}

void ServiceReader::ReadStop() {
  ServiceSpec& spec = config_.spec;
  ReadStopSignal();
  section_.Read("stop_timeout", spec.stop_timeout);
  section_.Read("stop_command", spec.stop_command);
  section_.ReadChoice("orphan_policy", spec.orphan_policy,
                      {{"adopt", OrphanPolicy::kAdopt}, {"kill", OrphanPolicy::kKill}});
}

void ServiceReader::ReadReady() {
  ReadTable("ready", [&](TomlSection& section) {
    ReadySpec& ready = config_.spec.ready.emplace();
    ReadLogPatterns(section, ready.log_patterns);
    section.Read("http_get", ready.http_get);
    section.Read("tcp_socket", ready.tcp_socket);
    section.Read("exec", ready.exec);
    section.Read("notify", ready.notify);
    section.Read("delay", ready.delay);
    section.Read("timeout", ready.timeout);
    section.Read("stall_timeout", ready.stall_timeout);
    section.ReadChoice("on_timeout", ready.fail_on_timeout, {{"ready", false}, {"fail", true}});
  });
}

void ServiceReader::ReadLiveness() {
  ReadTable("liveness", [&](TomlSection& section) {
    LivenessSpec& liveness = config_.spec.liveness.emplace();
    section.Read("http_get", liveness.http_get);
    section.Read("tcp_socket", liveness.tcp_socket);
    section.Read("exec", liveness.exec);
    section.Read("period", liveness.period);
    section.Read("timeout", liveness.timeout);
    section.Read("failure_threshold", liveness.failure_threshold);
  });
}

void ServiceReader::ReadLog() {
  ReadTable("log", [&](TomlSection& section) {
    ServiceSpec::Log& log = config_.spec.log;
    section.ReadSize("max_size", log.max_size);
    section.Read("max_backups", log.max_backups);
    section.Read("max_age", log.max_age);
    section.Read("compress", log.compress);
    section.Read("delete_on_stop", log.delete_on_stop);
  });
}

void ServiceReader::ReadIdle() {
  ReadTable("idle", [&](TomlSection& idle) {
    idle.Read("after", config_.idle_after);
    idle.Planned({"action"});
  });
}

void ServiceReader::ReadPortOrAuto() {
  const toml::node* node = section_.Node("port");
  ServiceSpec& spec = config_.spec;
  spec.auto_port = node != nullptr && node->value<std::string>() == "auto";
  if (spec.auto_port) return;
  ReadPort(section_, spec.port);
  // One that is wrong is told of once, and not again by all that needs a port.
  spec.auto_port = node != nullptr && !spec.port;
}

// A table of conditions, or only names.
void ServiceReader::ReadDependencies() {
  constexpr std::string_view kKey = "depends_on";
  const toml::node* node = section_.Node(kKey);
  auto& dependencies = config_.spec.depends_on;
  if (node == nullptr) return;
  if (node->is_array()) {
    std::vector<std::string> names;
    section_.Read(kKey, names);
    for (const std::string& name : names) dependencies[name] = DependencyCondition::kReady;
    return;
  }
  if (!node->is_table()) {
    return section_.Wrong(kKey, *node, "a table, as in { db = \"ready\" }, or an array of names");
  }
  TomlSection table(*node->as_table(), section_.PathOf(kKey), findings_);
  for (const auto& [name, unused] : *node->as_table()) {
    table.ReadChoice(name.str(), dependencies[std::string(name.str())],
                     {{"started", DependencyCondition::kStarted},
                      {"ready", DependencyCondition::kReady},
                      {"completed", DependencyCondition::kCompleted}});
  }
}

// "SIGTERM" or "TERM"; nothing when there is no such signal.
std::optional<int> FindSignal(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int signal = 1; signal < SIGRTMIN; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  return std::nullopt;
}

void ServiceReader::ReadStopSignal() {
  std::string name = "SIGTERM";
  section_.Read("stop_signal", name);
  const std::optional<int> signal = FindSignal(name);
  if (!signal) {
    return section_.Error("stop_signal", InQuotes(name) +
                                             " is not a signal; write one as \"SIGTERM\", "
                                             "\"SIGINT\" or \"SIGQUIT\"");
  }
  config_.spec.stop_signal = *signal;
}

// A limit is a number that is not negative, or "unlimited".
std::optional<uint64_t> LimitOf(const toml::node& node) {
  if (node.value<std::string>() == "unlimited") return RLIM_INFINITY;
  const auto number = node.value_exact<int64_t>();
  if (!number || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

void ServiceReader::ReadUlimit(TomlSection& ulimits, std::string_view name, int resource) {
  constexpr std::string_view kExpected =
      "a number, \"unlimited\", or a table as { soft = 1024, hard = 4096 }";
  const toml::node* node = ulimits.Node(name);
  if (node == nullptr) return;
  const toml::node* soft = node;
  const toml::node* hard = node;
  if (const toml::table* table = node->as_table(); table != nullptr) {
    TomlSection both(*table, ulimits.PathOf(name), findings_);
    soft = both.Node("soft");
    hard = both.Node("hard");
  }
  const auto soft_limit = soft != nullptr ? LimitOf(*soft) : std::nullopt;
  const auto hard_limit = hard != nullptr ? LimitOf(*hard) : std::nullopt;
  if (!soft_limit || !hard_limit) return ulimits.Error(name, "must be " + std::string(kExpected));
  config_.spec.ulimits.push_back({resource, *soft_limit, *hard_limit});
}

// true: the usual ones.
void ServiceReader::ReadLogPatterns(TomlSection& ready, std::vector<std::string>& patterns) {
  constexpr std::string_view kKey = "log_pattern";
  const toml::node* node = ready.Node(kKey);
  if (node == nullptr) return;
  if (node->value_exact<bool>() == true) {
    patterns = UsualReadyPatterns();
  } else if (node->is_string()) {
    ready.Read(kKey, patterns.emplace_back());
  } else if (node->is_array()) {
    ready.Read(kKey, patterns);
  } else {
    ready.Error(kKey, "must be a pattern, an array of patterns, or true for the usual ones");
  }
}

// Where `key`, "ready.http_get", stands in `table`, or the nearest table around it.
uint32_t LineOf(const toml::table& table, std::string_view key) {
  const toml::node* node = &table;
  for (const std::string_view part : Split(key, '.')) {
    const toml::table* parent = node->as_table();
    const toml::node* child = parent != nullptr ? parent->get(part) : nullptr;
    if (child == nullptr) break;
    node = child;
  }
  return node->source().begin.line;
}

std::string_view KeyOf(const Error& error) {
  return std::string_view(error.text).substr(0, error.text.find(':'));
}

void AddFinding(const toml::table& table, const Error& error, Findings& findings) {
  findings.push_back({LineOf(table, KeyOf(error)), std::string(kPath) + "." + error.text, true});
}

// Is there an error at `key` of a service, or below it, from `first` on?
bool IsTold(const Findings& findings, size_t first, std::string_view key) {
  const std::string path = std::string(kPath) + "." + std::string(key);
  return std::any_of(findings.begin() + static_cast<ptrdiff_t>(first), findings.end(),
                     [&](const ConfigFinding& finding) {
                       const std::string_view text = finding.text;
                       return finding.is_error && text.starts_with(path) &&
                              (text[path.size()] == ':' || text[path.size()] == '.');
                     });
}

}  // namespace

ServiceConfig ReadService(const toml::table& table, Findings& findings) {
  const size_t first = findings.size();
  ServiceConfig config = ServiceReader(table, findings).Read();
  for (const Error& mistake : Mistakes(config.spec)) {
    // A value that could not be read is not wrong a second time for being missing.
    if (!IsTold(findings, first, KeyOf(mistake))) AddFinding(table, mistake, findings);
  }
  return config;
}

void CheckServices(const std::vector<const toml::table*>& tables,
                   const std::vector<ServiceSpec>& specs, Findings& findings) {
  for (const Error& conflict : ValidateTogether(specs)) {
    // Of two services with one name the later one.
    for (size_t i = specs.size(); i-- > 0;) {
      if (ServiceError(specs[i], "", "").subject != conflict.subject) continue;
      AddFinding(*tables[i], conflict, findings);
      break;
    }
  }
}

void ReadPort(TomlSection& section, std::optional<uint16_t>& port) {
  const toml::node* node = section.Node("port");
  if (node == nullptr) return;
  const auto number = node->value_exact<int64_t>();
  if (!number || *number < 1 || *number > 65535) {
    return section.Error("port", "must be a number from 1 to 65535");
  }
  port = static_cast<uint16_t>(*number);
}

}  // namespace idlewatt
