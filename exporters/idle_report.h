#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/recommendations.h"
#include "base/clock.h"
#include "base/result.h"
#include "exporters/json_views.h"
#include "storage/history_reader.h"
#include "storage/ring.h"

namespace idlewatt {

// What a report is asked about: times in [since, until], in buckets of `step`.
struct IdleWindow {
  WallTime since;
  WallTime until;
  std::chrono::milliseconds step{0};  // 0: an hour below four days, else a day
  WallTime now;                       // when it is asked
  // Services bear the floor ([attribution] share_floor), which goes on without them. Not told by
  // the history.
  bool floor_shared = false;
};

// What the machine used in some time.
struct MachineUse {
  StateJoules joules;                         // idle: every service is, and nobody types
  std::optional<double> seconds;              // watched
  std::optional<double> idle_seconds;         // of these
  StateJoules services;                       // joules of all services
  std::optional<double> floor, unattributed;  // joules
};

struct IdleReportBucket {
  WallTime start;  // a multiple of the step, which may lie before `since`
  MachineUse machine;
  std::map<std::string, StateJoules> services;
};

// An event of kind "alert".
struct AlertRecord {
  WallTime time;
  std::string alert, service, severity, state, summary, advice;
};

// Which services used energy while nobody used them. All sums are those of the buckets.
struct IdleReport {
  IdleWindow window;              // with the step that was chosen
  std::set<std::string> sources;  // whose energy was attributed
  MachineUse machine;
  std::vector<ServiceUse> services;       // most idle joules first
  std::vector<IdleReportBucket> buckets;  // from the first to the last with any value
  std::vector<Recommendation> recommendations;
  std::vector<AlertRecord> alerts;  // the newest 200, oldest first
  size_t damaged_rows = 0;          // of the history, skipped

  // "meter", "model" (estimated) or "mixed": what the joules rest on. Empty: none are known.
  std::string_view Meter() const;
};

// Makes the report from what analysis/metrics.h says was counted, of the history and, where frames
// are not flushed yet, of `ring`, which may be null, and from the idle intervals of the history.
// Hours and days that are over are read from roll-ups.
// What is yet to come is left out of the window.
// kInvalid for a window that is empty then or ends before it begins, or for a step that makes more
// than 2,000 buckets; else as HistoryReader.
Result<IdleReport> QueryIdleReport(IdleWindow window, const Ring* ring, HistoryReader& history);

// As GET /api/v1/idle gives it: docs/api.md.
Json IdleReportJson(const IdleReport& report);

}  // namespace idlewatt
