// The units people write: "5s", "15m", "24h", "14d", "5y" and "10MiB".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace idlewatt {

// A whole or decimal number and one unit of ms, s, m, h, d, w, y (365 d). From 0 to 200 years, so
// that it holds in nanoseconds and can be added to a time.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
// "1h 5m", "12s", "350ms": the two largest units.
std::string FormatDuration(std::chrono::milliseconds duration);

// A whole or decimal number and one unit of B, KiB, MiB, GiB, TiB, KB, MB, GB, TB. In bytes.
Result<int64_t> ParseSize(std::string_view text);

// RFC 3339 ("2026-11-21T03:37:00Z", offset or fraction allowed), a date alone ("2026-11-21", UTC
// midnight), "now", or a duration back from `now` ("24h").
Result<WallTime> ParseTime(std::string_view text, WallTime now);

}  // namespace idlewatt
