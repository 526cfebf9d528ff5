// [[alert]] of the configuration.
#pragma once

#include <vector>

#include "analysis/alerts.h"
#include "app/toml_section.h"

namespace idlewatt {

// Reads [[alert]] of the root table: a rule of a built-in condition takes the place of its default
// in `rules`, others are added.
void ReadAlerts(TomlSection& root, std::vector<AlertRule>& rules,
                std::vector<ConfigFinding>& findings);

}  // namespace idlewatt
