// The values of one series over some frames, as bytes: "Column" in docs/storage-format.md.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// Appends the column to `out`. NaN stands for "absent"; at least one value must be present.
void EncodeColumn(std::span<const double> values, std::string& out);

// Sets `values` to the `frames` values of the column, NaN where absent. Every other double comes
// back bit by bit. kParse, with `values` in any state, when `bytes` is not exactly one column.
Result<void> DecodeColumn(std::string_view bytes, size_t frames, std::vector<double>& values);

}  // namespace idlewatt
