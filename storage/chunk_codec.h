// The body of one row of the tables `chunks` and `chunk_times`: "Chunks" in docs/storage-format.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// A chunk has 1 to kMostChunkSamples samples: a day at ten a second.
inline constexpr size_t kMostChunkSamples = 1'000'000;

// Any doubles; each comes back bit by bit, NaN with its payload.
std::string EncodeChunkValues(std::span<const double> values);
// Never falling.
std::string EncodeChunkTimes(std::span<const int64_t> times_ms);

// The reverse. kParse, with the vector in any state, for a body that does not follow the format or
// fails its checksum. Needs at most 32 MiB, whatever the body says.
Result<void> DecodeChunkValues(std::string_view body, std::vector<double>& values);
Result<void> DecodeChunkTimes(std::string_view body, std::vector<int64_t>& times_ms);

}  // namespace idlewatt
