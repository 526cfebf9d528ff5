// The answers of the API as JSON, made from what they show. Pure functions.
// What is not known is null, never 0. Times are RFC 3339 in UTC.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "analysis/alerts.h"
#include "collector/snapshot.h"
#include "storage/history_store.h"
#include "storage/range_query.h"
#include "storage/series_query.h"
#include "supervisor/service_control.h"

namespace idlewatt {

using Json = nlohmann::ordered_json;

// {"total","ready","running","services":[…]}: supervised services first, whatever their state;
// then the watched ones, and the discovered ones that have processes.
Json ServicesJson(const Snapshot& snapshot, const std::vector<ServiceStatus>& supervised);
// One of its rows; nothing when no service has this name.
std::optional<Json> ServiceJson(const Snapshot& snapshot,
                                const std::vector<ServiceStatus>& supervised,
                                std::string_view name);
// {"number","at","service","from","to","reason"}
Json StateChangeJson(const StateChange& change);
// [{"name","active","services":[…]}]
Json ProfilesJson(const std::vector<ProfileStatus>& profiles);
// {"added":[…],"removed":[…],"restarted":[…],"updated":[…]}
Json ReloadJson(const ReloadOutcome& outcome);
// [{"time","kind","service","detail":{…}}]
Json EventsJson(const std::vector<HistoryEvent>& events);
// {"total","processes":[…]}, those that use most CPU first, at most `limit`.
Json ProcessesJson(const Snapshot& snapshot, size_t limit);
// {"watts","source","domains":[…],"batteries":[…],"services":[…]}
Json PowerJson(const Snapshot& snapshot);
// {"temperatures":[…],"fans":[…],"zones":[…],"cooling_devices":[…],"throttle_events":[…]}
Json ThermalJson(const Snapshot& snapshot);
// {"sources":[…],"samplers":[…]}
Json SensorsJson(const Snapshot& snapshot);
Json AlertJson(const AlertStatus& alert);
// {"alerts":[…]}
Json AlertsJson(const std::vector<AlertStatus>& alerts);
// The whole machine in a few numbers.
Json SummaryJson(const Snapshot& snapshot, const std::vector<ServiceStatus>& supervised,
                 const std::vector<AlertStatus>& alerts);
// {"metric","labels":{…},"unit","points":[[seconds since 1970, value],…]}, or an array of them.
Json SeriesPointsJson(const SeriesPoints& series);
Json SeriesPointsJson(const std::vector<SeriesPoints>& series);
// {"damaged_rows","series":[{"metric","labels":{…},"kind","unit","first","last","samples"}]}
Json SeriesJson(const SeriesAnswer& answer);

}  // namespace idlewatt
