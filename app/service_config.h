// [[service]] of the configuration.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "app/toml_section.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

struct ServiceConfig {
  ServiceSpec spec;
  std::optional<std::chrono::milliseconds> idle_after;  // of this service alone
};

// One [[service]], with all that is wrong with it appended to `findings`.
ServiceConfig ReadService(const toml::table& table, std::vector<ConfigFinding>& findings);

// What is wrong between services. `tables` are those that `specs` were read from.
void CheckServices(const std::vector<const toml::table*>& tables,
                   const std::vector<ServiceSpec>& specs, std::vector<ConfigFinding>& findings);

// `port`: a number from 1 to 65535.
void ReadPort(TomlSection& section, std::optional<uint16_t>& port);

}  // namespace idlewatt
