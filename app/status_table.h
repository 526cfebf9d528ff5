#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace idlewatt {

// What `idlewatt status` prints, from the bodies of /api/v1/services and /api/v1/alerts: how many
// services, a row for each, below it why it failed and what it waits for, and the alerts. Columns
// without any value are left out, and long names cut, so that a row has at most `columns` where
// that can be. kParse when the bodies are not what we expect. A pure function.
Result<std::string> StatusTable(const std::string& services, const std::string& alerts,
                                WallTime now, size_t columns);

}  // namespace idlewatt
