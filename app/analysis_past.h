#pragma once

#include "analysis/analyzer.h"
#include "base/clock.h"
#include "base/result.h"
#include "storage/history_reader.h"

namespace idlewatt {

// What earlier runs of the daemon wrote and the analysis goes on with: who was used when, which
// alerts fired, how memory grew in the last hour, who crashed in it, floors, sources, the baseline.
// Errors:  as HistoryReader; what is damaged is left out.
Result<AnalysisPast> ReadAnalysisPast(HistoryReader& history, WallTime now);

}  // namespace idlewatt
