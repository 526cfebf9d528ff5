#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/alerts.h"
#include "analysis/idle_baseline.h"
#include "base/clock.h"
#include "base/slot.h"
#include "collector/snapshot.h"
#include "exporters/api_answers.h"
#include "exporters/http_server.h"
#include "exporters/idle_report.h"
#include "storage/history.h"
#include "storage/range_query.h"
#include "storage/series_query.h"
#include "supervisor/service_control.h"

namespace idlewatt {

// The history of the daemon.
struct StorageStatus {
  std::string path;  // absolute
  HistoryStats history;
};

// What the HTTP answers are made from, and what they control.
// Threads: the functions are called from several HTTP workers at once.
struct ApiSources {
  const Slot<Snapshot>& snapshot;
  const Slot<std::vector<AlertStatus>>& alerts;
  // The supervisor; null while the daemon starts.
  std::function<ServiceControl*()> control;
  // What must be shown to control anything; empty while the daemon starts.
  std::function<std::string()> token;
  // Reads the configuration file again and applies it.
  std::function<Result<ReloadOutcome>()> reload;
  // The following are kTransient while the daemon starts.
  // Points of a selector from ring and history.
  std::function<Result<RangeAnswer>(const Selector&, const RangeWindow&)> range;
  // Series of the history; all of them without a selector.
  std::function<Result<SeriesAnswer>(const Selector*)> series;
  // The newest events of the history, so many at most, oldest first.
  std::function<Result<std::vector<HistoryEvent>>(const TimeSpan&, size_t)> events;
  // What the idle machine should draw; nothing when it is not set.
  std::function<std::optional<Baseline>()> baseline{};
  // Sets or clears it, and keeps that in the history.
  std::function<void(std::optional<Baseline>)> set_baseline{};
  // Who used energy while idle. kTransient while the daemon starts.
  std::function<Result<IdleReport>(const IdleWindow&)> idle{};
  // Nothing while the daemon starts.
  std::function<std::optional<StorageStatus>()> storage;
  const Clock& clock;

  // None while the daemon starts.
  std::vector<ServiceStatus> Services() const;
};

// The endpoints of /metrics, /api/v1/, /api/system/, /-/ and the page. `sources` is copied; what
// it refers to must outlive the server.
HttpServer::Endpoints MakeEndpoints(const ApiSources& sources);

}  // namespace idlewatt
