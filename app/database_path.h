#pragma once

#include <string>

namespace idlewatt {

// The history that a command means: `db_option`; when it is empty, that of the daemon that answers
// (see DaemonAddress in app/http_client.h); when none does, that of the default data folder. It
// need not be there.
std::string DatabasePath(const std::string& db_option);

}  // namespace idlewatt
