#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file_root.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// What would make a start fail now but may be mended until then: a program, folder, env_file or
// model that is not there, a user that this process may not become. One sentence each. For a
// service without mistakes.
std::vector<std::string> Doubts(const ServiceSpec& spec);
// The same of a port that somebody else than the service listens on, as far as this process may
// look into others. `proc` is the real /proc.
std::optional<std::string> PortDoubt(const ServiceSpec& spec, const FileRoot& proc);

}  // namespace idlewatt
