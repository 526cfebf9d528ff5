#pragma once

#include <string>

namespace idlewatt {

// Sends the log to stderr. `level` is debug, info, warn or error; `format` text or json (one
// object a line). Called once, before threads are started.
void SetUpLogging(const std::string& level, const std::string& format);

}  // namespace idlewatt
