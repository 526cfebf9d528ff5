#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/history_reader.h"
#include "storage/history_store.h"

namespace idlewatt {

// The newest `limit` events from `since_ms` to `until_ms`, both included, oldest first. Those of
// one time stand in the order in which they came.
Result<std::vector<HistoryEvent>> QueryEvents(HistoryReader& history, int64_t since_ms,
                                              int64_t until_ms, size_t limit);

// The newest event of a kind; nothing when there is none.
Result<std::optional<HistoryEvent>> QueryNewestEvent(HistoryReader& history,
                                                     const std::string& kind);

}  // namespace idlewatt
