// A sequence of integers as bytes: "Integers" in docs/storage-format.md. Made for what machines
// measure: each value is foretold from those before, and what is left is range coded under models
// that learn how large it usually is.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// Appends the sequence to `out`. Any integers, at least one.
void EncodeIntegers(std::span<const int64_t> values, std::string& out);

// Sets `values` to the `count` integers of exactly these bytes. kParse, with `values` in any state,
// when they are not such a sequence. What is random in the bytes is random in the values: a
// checksum must tell.
Result<void> DecodeIntegers(std::string_view bytes, size_t count, std::vector<int64_t>& values);

}  // namespace idlewatt
