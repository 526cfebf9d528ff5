#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/alerts.h"
#include "base/clock.h"
#include "base/slot.h"
#include "collector/snapshot.h"
#include "exporters/http_server.h"
#include "storage/history.h"
#include "storage/range_query.h"
#include "storage/series_query.h"
#include "supervisor/status.h"

namespace idlewatt {

// The history of the daemon.
struct StorageStatus {
  std::string path;  // absolute
  HistoryStats history;
};

// What the HTTP answers are made from. Everything is read, nothing is written or sampled.
// Threads: the functions are called from several HTTP workers at once.
struct ApiSources {
  const Slot<Snapshot>& snapshot;
  const Slot<std::vector<AlertStatus>>& alerts;
  std::function<std::vector<ServiceStatus>()> services;
  // Points of a selector from ring and history.
  std::function<Result<RangeAnswer>(const Selector&, const RangeWindow&)> range;
  // Series of the history; all of them without a selector.
  std::function<Result<SeriesAnswer>(const Selector*)> series;
  // Nothing while the daemon starts.
  std::function<std::optional<StorageStatus>()> storage;
  const Clock& clock;
};

// The handlers of /metrics, /api/v1/, /api/system/, /-/ and the page. `sources` is copied; what
// it refers to must outlive the server.
std::map<std::string, HttpServer::Handler> MakeHandlers(const ApiSources& sources);

}  // namespace idlewatt
