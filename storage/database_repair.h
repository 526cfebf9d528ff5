#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/data_dir.h"

namespace idlewatt {

struct RepairOutcome {
  struct Table {
    std::string name;
    uint64_t kept = 0;
    uint64_t damaged = 0;     // rows that could be read but hold nonsense, and were left out
    uint64_t unreadable = 0;  // stretches of the table where nobody knows how many rows there were
  };
  std::vector<Table> tables;
  // Series whose row is lost: their samples are now those of idlewatt_lost_series{id="…"}.
  std::vector<int64_t> nameless_series;
  std::string set_aside;  // where the damaged file is now; empty: it was sound, nothing was done
};

// Copies every row that can be read and is sound from a damaged history into a new one, which takes
// its place; the damaged one keeps all that it holds under another name. `folder` must be that of
// `path`: no daemon uses it.
// Errors: kParse when not even its first page can be read; kInvalid for a file that is not a
//         history, or when `path`.repaired is there; as Database. Then nothing was changed but,
//         perhaps, `path`.repaired.
Result<RepairOutcome> RepairDatabase(const DataDir& folder, const std::string& path);

}  // namespace idlewatt
