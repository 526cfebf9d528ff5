#pragma once

#include <string>
#include <vector>

#include "base/file_root.h"
#include "supervisor/service_spec.h"

namespace idlewatt {

// What would make a start fail now but may be mended until then: a program, folder, env_file or
// model that is not there, a user that this process may not become, a port that somebody else
// listens on. One sentence each. For a service without mistakes. `proc` is the real /proc; who
// listens is known of processes that this one may look into.
std::vector<std::string> Doubts(const ServiceSpec& spec, const FileRoot& proc);

}  // namespace idlewatt
