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

// The alerts of one name and service that began in some time: events of kind "alert" and state
// "firing".
struct FiredAlert {
  std::string builtin;  // its condition; the alert's name where the event does not tell it
  std::string alert;
  std::string service;          // empty: of the machine
  std::string summary, advice;  // of the newest
  // How often it began. What is critical is a warning as well, so warnings are counted, and
  // critical ones only where there is no warning.
  int64_t times = 0;
};

// Those from `since_ms` to `until_ms`, both included, the one that fired last at the end.
Result<std::vector<FiredAlert>> QueryFiredAlerts(HistoryReader& history, int64_t since_ms,
                                                 int64_t until_ms);

}  // namespace idlewatt
