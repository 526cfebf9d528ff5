#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"
#include "collector/idle_interval.h"
#include "storage/history_reader.h"

namespace idlewatt {

using IntervalVisitor = std::function<void(const IdleInterval&)>;

// Shows the idle intervals of services, not those of the machine, that have time in common with
// [since_ms, until_ms), whole, by start and service. Each is valid until the visitor returns: there
// may be millions.
// Cost: grows with what is found and with the number of services, not with the history: of each
//       service, those are looked at that begin in the window and the eight before it, which is
//       enough but where the wall clock was set back again and again.
Result<void> VisitIntervals(HistoryReader& history, int64_t since_ms, int64_t until_ms,
                            const IntervalVisitor& visit);

}  // namespace idlewatt
