#include "app/config.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "app/alert_config.h"
#include "app/service_config.h"
#include "base/duration.h"
#include "base/file_root.h"
#include "base/text.h"
#include "supervisor/spec/service_doubts.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using Findings = std::vector<ConfigFinding>;

// Reads the table `key` of `parent` with `read`, if it is there.
template <typename Reader>
void ReadTable(TomlSection& parent, std::string_view key, Findings& findings, Reader read) {
  const toml::table* table = parent.Table(key);
  if (table == nullptr) return;
  TomlSection section(*table, parent.PathOf(key), findings);
  read(section);
}

void ReadDaemon(TomlSection& section, Config& config) {
  section.Read("data_dir", config.data_dir);
  section.ReadChoice("log_level", config.log_level, {"debug", "info", "warn", "error"});
  section.ReadChoice("log_format", config.log_format, {"text", "json"});
  section.Read("profile", config.profile);
}

// A period of its own is read at ticks, so it can't be shorter than one.
void ReadPeriod(TomlSection& section, milliseconds tick, milliseconds& period) {
  section.Read("interval", period);
  if (section.Has("interval") && period < tick) {
    section.Error("interval", "must not be shorter than collector.interval");
  }
}

void ReadPower(TomlSection& section, Config& config, Findings& findings) {
  ReadPeriod(section, config.collector.interval, config.collector.power_interval);
  section.Read("sources", config.collector.power_sources);
  for (const std::string& source : config.collector.power_sources) {
    constexpr std::array<std::string_view, 5> kSources{"rapl", "hwmon", "battery", "nvml", "drm"};
    if (std::find(kSources.begin(), kSources.end(), source) == kSources.end()) {
      section.Error("sources", "\"" + source + "\" is not one of rapl, hwmon, battery, nvml, drm");
    }
  }
  ReadTable(section, "model", findings, [&](TomlSection& model) {
    PowerModel& power = config.analysis.attribution.model.emplace();
    model.ReadNumber("idle_watts", power.idle_watts, 0, 1e6);
    model.ReadNumber("max_watts", power.max_watts, 0, 1e6);
    if (power.max_watts < power.idle_watts || power.max_watts <= 0) {
      model.Error("max_watts", "must be set, and not be below idle_watts");
    }
  });
}

void ReadCollector(TomlSection& section, Config& config, Findings& findings) {
  CollectorOptions& collector = config.collector;
  section.Read("interval", collector.interval);
  if (collector.interval < milliseconds(100) || collector.interval > std::chrono::minutes(1)) {
    section.Error("interval",
                  "must be between 100ms and 1m: a longer one would miss wraps of the "
                  "energy counters");
    collector.interval = CollectorOptions().interval;
  }
  section.Read("ring", config.ring);
  if (config.ring < collector.interval || config.ring > std::chrono::hours(24)) {
    section.Error("ring", "must be between collector.interval and 24h");
  }
  ReadTable(section, "process", findings, [&](TomlSection& process) {
    std::string backend = "auto";
    process.ReadChoice("backend", backend, {"auto", "proc", "bpf"});
    collector.process_backend = backend == "bpf"    ? ProcessBackendChoice::kBpf
                                : backend == "proc" ? ProcessBackendChoice::kProc
                                                    : ProcessBackendChoice::kAuto;
    process.ReadInteger("discovered_top", collector.discovered_top, 0, 1000);
  });
  ReadTable(section, "thermal", findings, [&](TomlSection& thermal) {
    ReadPeriod(thermal, collector.interval, collector.thermal_interval);
    thermal.Read("exclude_chips", collector.exclude_chips);
  });
  ReadTable(section, "power", findings,
            [&](TomlSection& power) { ReadPower(power, config, findings); });
  ReadTable(section, "textfile", findings,
            [&](TomlSection& textfile) { textfile.Read("dir", collector.textfile_dir); });
}

constexpr int64_t kLeastHistoryBytes = int64_t{16} << 20;

void ReadStorage(TomlSection& section, Config& config) {
  RetentionOptions& retention = config.history.store.retention;
  section.Read("raw_retention", retention.raw);
  section.Read("rollup_retention", retention.rollups);
  if (retention.raw < std::chrono::hours(2)) section.Error("raw_retention", "must be at least 2h");
  if (retention.rollups < retention.raw) {
    section.Error("rollup_retention", "must not be shorter than raw_retention");
  }
  section.ReadSize("max_size", retention.max_bytes);
  if (retention.max_bytes < kLeastHistoryBytes) {
    section.Error("max_size", "must be at least 16MiB");
  }
  section.Read("flush_interval", config.history.flush_interval);
  // The queue between measuring and writing holds 180 measurements and must not run over in health.
  const milliseconds longest =
      std::min<milliseconds>(std::chrono::minutes(10), 150 * config.collector.interval);
  if (config.history.flush_interval < std::chrono::seconds(1) ||
      config.history.flush_interval > longest) {
    section.Error("flush_interval", "must be between 1s and " + FormatDuration(longest) +
                                        " (10m, or 150 times collector.interval)");
  }
  section.ReadChoice("synchronous", config.history.store.synchronous, {"off", "normal", "full"});
}

void ReadHttp(TomlSection& section, Config& config) {
  section.Read("listen", config.http.listen);
  section.Read("allow_unauthenticated", config.http.allow_unauthenticated);
  // Silence about these would leave a server open that somebody believes closed.
  for (const std::string_view key : {"tls_cert", "tls_key", "auth_file"}) {
    if (section.Node(key) != nullptr) section.Error(key, "is planned; this version can't do it");
  }
  if (const auto listen = CheckListen(config.http); !listen) {
    section.Error("listen", listen.error().ToString());
  }
}

void ReadIdle(TomlSection& section, Config& config) {
  IdleOptions& idle = config.analysis.idle;
  section.Read("after", idle.after);
  section.ReadNumber("cpu_ratio", idle.cpu_ratio, 0, 1024);
  section.ReadNumber("network_bytes_per_second", idle.network_bytes_per_second, 0, 1e12);
}

// Domains are named as in idlewatt_power_watts.
void ReadAttribution(TomlSection& section, Config& config, Findings& findings) {
  AttributionOptions& attribution = config.analysis.attribution;
  section.ReadChoice("share_floor", attribution.share_floor,
                     {{"host", FloorShare::kHost},
                      {"equal", FloorShare::kEqual},
                      {"memory", FloorShare::kMemory},
                      {"cpu", FloorShare::kCpu}});
  ReadTable(section, "floor_watts", findings, [&](TomlSection& floors) {
    const toml::table* table = section.Table("floor_watts");
    for (const auto& [domain, node] : *table) {
      floors.ReadNumber(domain.str(), attribution.floor_watts[std::string(domain.str())], 0, 1e6);
    }
  });
}

void ReadServices(TomlSection& root, Config& config, Findings& findings) {
  const std::vector<const toml::table*> tables = root.Tables("service");
  for (const toml::table* table : tables) {
    ServiceConfig service = ReadService(*table, findings);
    if (service.idle_after) {
      config.analysis.idle.after_by_service[service.spec.name] = *service.idle_after;
    }
    config.services.push_back(std::move(service.spec));
  }
  CheckServices(tables, config.services, findings);
}

// One that no service names would leave half of the services stopped, with nothing to tell why.
void CheckProfile(const toml::table& root, const Config& config, Findings& findings) {
  if (config.profile.empty()) return;
  std::vector<std::string> profiles;
  for (const ServiceSpec& service : config.services) {
    profiles.insert(profiles.end(), service.profiles.begin(), service.profiles.end());
  }
  if (std::ranges::find(profiles, config.profile) != profiles.end()) return;
  const std::string nearest = Nearest(config.profile, profiles);
  findings.push_back({root["daemon"]["profile"].node()->source().begin.line,
                      "daemon.profile: " + InQuotes(config.profile) +
                          " is in the profiles of no service" +
                          (nearest.empty() ? "" : "; did you mean " + InQuotes(nearest) + "?"),
                      true});
}

void ReadWatch(TomlSection& section, Config& config) {
  WatchedService watch;
  section.Read("name", watch.name);
  section.Read("process", watch.process);
  ReadPort(section, watch.port);
  section.Read("cgroup", watch.cgroup);
  section.Read("unit", watch.unit);
  section.Read("pid_file", watch.pid_file);
  if (watch.name.empty()) section.Error("name", "must be set");
  constexpr std::array<std::string_view, 5> kWays{"process", "port", "cgroup", "unit", "pid_file"};
  const auto ways = std::count_if(kWays.begin(), kWays.end(),
                                  [&](std::string_view way) { return section.Has(way); });
  if (ways != 1) {
    section.Error("name", "needs exactly one of process, port, cgroup, unit, pid_file");
  }
  if (!watch.cgroup.empty() && watch.cgroup[0] != '/') watch.cgroup.insert(0, "/");
  config.collector.watched.push_back(std::move(watch));
}

// What [[service]] and [[watch]] share: each name and each port once ([[service]] alone was checked
// before), and "other" is what the rest is called.
void CheckDistinct(const toml::table& root, Findings& findings) {
  std::set<std::string> names;
  std::set<int64_t> ports;
  for (const std::string kind : {"service", "watch"}) {
    const toml::array* tables = root[kind].as_array();
    if (tables == nullptr) continue;
    for (const toml::node& node : *tables) {
      const toml::table* table = node.as_table();
      if (table == nullptr) continue;
      const auto add = [&](std::string_view text) {
        findings.push_back({node.source().begin.line, kind + "." + std::string(text), true});
      };
      const auto name = (*table)["name"].value<std::string>();
      if (name == "other") {
        add("name: \"other\" stands for all that is not shown by name; choose another");
      }
      if (name && !names.insert(*name).second && kind == "watch") {
        add("name: " + InQuotes(*name) + " is used twice");
      }
      const auto port = (*table)["port"].value_exact<int64_t>();
      if (port && !ports.insert(*port).second && kind == "watch") {
        add("port: " + std::to_string(*port) + " is used twice");
      }
    }
  }
}

void ReadRoot(const toml::table& table, ParsedConfig& parsed) {
  Config& config = parsed.config;
  Findings& findings = parsed.findings;
  TomlSection root(table, "", findings);
  ReadTable(root, "daemon", findings, [&](TomlSection& s) { ReadDaemon(s, config); });
  ReadTable(root, "collector", findings,
            [&](TomlSection& s) { ReadCollector(s, config, findings); });
  ReadTable(root, "storage", findings, [&](TomlSection& s) { ReadStorage(s, config); });
  ReadTable(root, "http", findings, [&](TomlSection& s) { ReadHttp(s, config); });
  ReadTable(root, "idle", findings, [&](TomlSection& s) { ReadIdle(s, config); });
  ReadTable(root, "attribution", findings,
            [&](TomlSection& s) { ReadAttribution(s, config, findings); });
  ReadAlerts(root, config.analysis.alerts, findings);
  ReadServices(root, config, findings);
  for (const toml::table* watch : root.Tables("watch")) {
    TomlSection section(*watch, "watch", findings);
    ReadWatch(section, config);
  }
  root.Planned({"alertmanager", "pool"});
  CheckDistinct(table, findings);
  CheckProfile(table, config, findings);
}

std::string TextOf(const toml::node& node) {
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}

std::map<std::string, std::string> FixedParts(const toml::table& root) {
  std::map<std::string, std::string> parts;
  for (const auto& [key, node] : root) {
    if (key.str() != "service") parts[std::string(key.str())] = TextOf(node);
  }
  const toml::array* services = root["service"].as_array();
  for (size_t i = 0; services != nullptr && i < services->size(); ++i) {
    const toml::node_view service((*services)[i]);
    const toml::node* idle = service["idle"].node();
    if (idle == nullptr) continue;
    parts["service " + service["name"].value_or(std::string()) + " idle"] = TextOf(*idle);
  }
  return parts;
}

std::string Line(const std::string& path, const ConfigFinding& finding) {
  return path + ":" + std::to_string(finding.line) + ": " + finding.text;
}

}  // namespace

std::string Config::DefaultDataDir() {
  if (::geteuid() == 0) return "/var/lib/idlewatt";
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string(state) + "/idlewatt";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.local/state/idlewatt";
}

bool ParsedConfig::ok() const {
  return std::none_of(findings.begin(), findings.end(),
                      [](const ConfigFinding& finding) { return finding.is_error; });
}

ParsedConfig ParseConfig(std::string_view text) {
  ParsedConfig parsed;
  try {
    const toml::table table = toml::parse(text);
    ReadRoot(table, parsed);
    parsed.config.fixed = FixedParts(table);
  } catch (const toml::parse_error& error) {
    parsed.findings.push_back({error.source().begin.line,
                               "is not valid TOML: " + std::string(error.description()), true});
  }
  std::stable_sort(parsed.findings.begin(), parsed.findings.end(),
                   [](const ConfigFinding& a, const ConfigFinding& b) { return a.line < b.line; });
  return parsed;
}

std::vector<std::string> Doubts(const Config& config) {
  std::vector<std::string> doubts;
  for (const ServiceSpec& service : config.services) {
    const std::vector<std::string> more = Doubts(service);
    doubts.insert(doubts.end(), more.begin(), more.end());
  }
  return doubts;
}

std::vector<std::string> PortDoubts(const Config& config) {
  std::vector<std::string> doubts;
  const auto proc = FileRoot::Open("/proc");
  if (!proc) return {proc.error().ToString()};
  for (const ServiceSpec& service : config.services) {
    if (auto doubt = PortDoubt(service, *proc)) doubts.push_back(std::move(*doubt));
  }
  return doubts;
}

Result<Config> LoadConfig(const std::string& path, std::vector<std::string>& warnings) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad()) {
    return Error{ErrorCode::kInvalid, path, errno, "cannot be read"};
  }
  ParsedConfig parsed = ParseConfig(text);
  std::string errors;
  for (const ConfigFinding& finding : parsed.findings) {
    if (!finding.is_error) {
      warnings.push_back(Line(path, finding));
    } else {
      errors += (errors.empty() ? "" : "\n") + Line(path, finding);
    }
  }
  if (!errors.empty()) return Error{ErrorCode::kInvalid, "", 0, errors};
  return std::move(parsed.config);
}

}  // namespace idlewatt
