// Where an idle report gets its numbers: the body of /api/v1/idle. `since` and `until` are RFC
// 3339, a date, "now", or how long ago; `step` is the length of the buckets, empty where the report
// may choose.
#pragma once

#include <string>

#include "base/result.h"

namespace idlewatt {

// Errors: those of HttpGet.
Result<std::string> IdleReportFromDaemon(const std::string& address, const std::string& since,
                                         const std::string& until, const std::string& step = "");

// The same body from a database file, without a daemon. Says on stderr what is lacking.
// Errors: as QueryIdleReport; kInvalid for what is no time or no step.
Result<std::string> IdleReportFromFile(const std::string& db, const std::string& since,
                                       const std::string& until, const std::string& step = "");

}  // namespace idlewatt
