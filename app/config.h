#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/analyzer.h"
#include "app/toml_section.h"
#include "base/result.h"
#include "collector/sampler_table.h"
#include "exporters/http_server.h"
#include "storage/history.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// The whole configuration, with its defaults.
struct Config {
  std::string data_dir = DefaultDataDir();
  std::string log_level = "info";
  std::string log_format = "text";
  CollectorOptions collector;
  std::chrono::milliseconds ring{std::chrono::hours(1)};
  HistoryOptions history;
  HttpServer::Options http;
  AnalysisOptions analysis;
  std::vector<ServiceSpec> services;
  std::string profile;  // active at the start; empty: the one of the last daemon, or none

  // What a reload does not apply, as text: each table but [[service]], and "service NAME idle".
  std::map<std::string, std::string> fixed;

  // /var/lib/idlewatt for root, else $XDG_STATE_HOME/idlewatt or ~/.local/state/idlewatt.
  static std::string DefaultDataDir();
};

struct ParsedConfig {
  Config config;
  std::vector<ConfigFinding> findings;  // sorted by line; usable only without errors
  bool ok() const;
};

// Reads TOML. Every mistake is found in one go; nothing is thrown.
ParsedConfig ParseConfig(std::string_view text);

// The configuration in `path`. kInvalid with all errors, one a line ("FILE:LINE: KEY: what is
// wrong"); what is only worth telling is appended to `warnings` in the same form.
Result<Config> LoadConfig(const std::string& path, std::vector<std::string>& warnings);

// What would make services fail if they were started now, and may be mended until then: one
// sentence each. See supervisor/spec/service_doubts.h.
std::vector<std::string> Doubts(const Config& config);
// The same of ports that others listen on. A daemon has no need of it: it may be about to take back
// who listens, and a start that finds its port in use fails with the same sentence.
std::vector<std::string> PortDoubts(const Config& config);

}  // namespace idlewatt
