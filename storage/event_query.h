#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/history_reader.h"
#include "storage/history_store.h"

namespace idlewatt {

// The newest `limit` events from `since_ms` to `until_ms`, both included, oldest first. Those of
// one time stand in the order in which they came. `kind`: only those; empty: all.
Result<std::vector<HistoryEvent>> QueryEvents(HistoryReader& history, int64_t since_ms,
                                              int64_t until_ms, size_t limit,
                                              std::string_view kind = {});

}  // namespace idlewatt
