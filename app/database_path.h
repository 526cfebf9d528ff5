#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "storage/history_reader.h"

namespace idlewatt {

// The history of the daemon at `address`. kGone when none answers there, kInvalid while it starts.
Result<std::string> DatabasePathOfDaemon(const std::string& address);

// The history that a command means: `db_option`; when it is empty, that of the daemon that answers
// (see DaemonAddress in app/http_client.h); when none does, that of the default data folder. It
// need not be there.
std::string DatabasePath(const std::string& db_option);

// Says on stderr what an answer that `reader` gave from the file `path` lacks.
void WarnOf(const std::string& path, const HistoryReader& reader, size_t damaged_rows);

}  // namespace idlewatt
