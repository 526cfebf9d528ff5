#include "app/analysis_past.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "analysis/metrics.h"
#include "base/duration.h"
#include "collector/metrics.h"
#include "exporters/baseline_api.h"
#include "storage/event_query.h"
#include "storage/range_query.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

// Alerts that fire for longer than events are looked through begin anew.
constexpr hours kAlertsBack{24 * 30};
constexpr size_t kMostEvents = 5000;
constexpr double kMostRestarts = 32;  // as ServiceTrends

WallTime TimeOf(const Point& point) { return WallTime(milliseconds(point.time_ms)); }

std::string LabelOf(const SeriesPoints& series, std::string_view name) {
  for (const auto& [label, value] : series.labels) {
    if (label == name) return value;
  }
  return "";
}

Result<std::vector<SeriesPoints>> Points(HistoryReader& history, const Metric& metric, WallTime now,
                                         milliseconds back, milliseconds step,
                                         RangeFunction function) {
  ASSIGN_OR_RETURN(const Selector selector, Selector::Parse(metric.name));
  RangeWindow window{now - back, now, step};
  window.function = function;
  window.max_points = std::numeric_limits<size_t>::max();
  ASSIGN_OR_RETURN(RangeAnswer answer, QueryRange(selector, window, nullptr, &history));
  return std::move(answer.series);
}

Result<void> ReadServices(HistoryReader& history, WallTime now, AnalysisPast& past) {
  ASSIGN_OR_RETURN(const auto activity, Points(history, metrics::kServiceLastActivity, now,
                                               hours(1), milliseconds(0), RangeFunction::kUsual));
  for (const SeriesPoints& series : activity) {
    const Point& last = series.points.back();
    const auto used = std::chrono::duration<double>(last.value);
    past.services[LabelOf(series, "service")] = {
        WallTime(std::chrono::duration_cast<milliseconds>(used)), TimeOf(last)};
  }
  ASSIGN_OR_RETURN(const auto memory, Points(history, metrics::kServiceMemoryBytes, now, hours(1),
                                             minutes(1), RangeFunction::kAverage));
  for (const SeriesPoints& series : memory) {
    if (LabelOf(series, "kind") == "discovered") continue;
    ServiceTrends::PastMemory& of_service = past.memory.emplace_back();
    of_service.service = LabelOf(series, "service");
    for (const Point& point : series.points) {
      of_service.bytes.emplace_back(TimeOf(point), point.value);
    }
  }
  return {};
}

// The first value of a counter tells of no restart: what it counted may be long past.
Result<void> ReadRestarts(HistoryReader& history, WallTime now, AnalysisPast& past) {
  ASSIGN_OR_RETURN(const auto restarts, Points(history, metrics::kServiceRestarts, now, hours(1),
                                               milliseconds(0), RangeFunction::kUsual));
  for (const SeriesPoints& series : restarts) {
    if (!IsFailedRestart(LabelOf(series, "reason"))) continue;
    for (size_t i = 1; i < series.points.size(); ++i) {
      const double more =
          std::min(kMostRestarts, series.points[i].value - series.points[i - 1].value);
      if (more <= 0) continue;
      std::vector<WallTime>& times = past.restarts[LabelOf(series, "service")];
      times.insert(times.end(), static_cast<size_t>(more), TimeOf(series.points[i]));
    }
  }
  // Of several reasons.
  for (auto& [service, times] : past.restarts) std::sort(times.begin(), times.end());
  return {};
}

Result<void> ReadMachine(HistoryReader& history, WallTime now, AnalysisPast& past) {
  ASSIGN_OR_RETURN(const auto floors, Points(history, metrics::kHostFloorWatts, now, hours(1),
                                             milliseconds(0), RangeFunction::kUsual));
  for (const SeriesPoints& series : floors) {
    past.floor_watts[LabelOf(series, "domain")] = series.points.back().value;
  }
  ASSIGN_OR_RETURN(const auto sources, Points(history, metrics::kSourceAvailable, now, hours(24),
                                              hours(1), RangeFunction::kMax));
  for (const SeriesPoints& series : sources) {
    for (const Point& point : series.points) {
      if (point.value != 1) continue;
      // Some time in that hour.
      WallTime& last = past.sources[LabelOf(series, "source")];
      last = std::max(last, std::min(now, TimeOf(point) + hours(1)));
    }
  }
  constexpr auto kAllTime = std::numeric_limits<int64_t>::max();
  ASSIGN_OR_RETURN(const auto baseline, QueryEvents(history, 0, kAllTime, 1, "baseline"));
  if (!baseline.empty()) past.baseline = BaselineFromJson(baseline[0].detail_json);
  return {};
}

// Nothing for a text that is no alert of ours.
std::optional<AlertStatus> AlertOf(const HistoryEvent& event) {
  const Json json = Json::parse(event.detail_json, nullptr, /*allow_exceptions=*/false);
  try {
    AlertStatus alert;
    alert.alert = json.at("alert");
    alert.service = json.at("service");
    alert.severity = json.at("severity");
    const std::string state = json.at("state");
    alert.state =
        state == AlertStateName(AlertState::kFiring) ? AlertState::kFiring : AlertState::kResolved;
    alert.value = json.at("value");
    alert.threshold = json.at("threshold");
    alert.unit = json.at("unit");
    alert.summary = json.at("summary");
    alert.advice = json.at("advice");
    alert.builtin = json.value("builtin", "");  // which older ones do not tell
    const Result<WallTime> since = ParseTime(json.at("since").get<std::string>(), {});
    if (!since) return std::nullopt;
    alert.since = *since;
    return alert;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

Result<void> ReadAlerts(HistoryReader& history, WallTime now, AnalysisPast& past) {
  ASSIGN_OR_RETURN(auto events, QueryEvents(history, (now - kAlertsBack).time_since_epoch().count(),
                                            now.time_since_epoch().count(), kMostEvents, "alert"));
  std::set<std::tuple<std::string, std::string, std::string>> seen;
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    std::optional<AlertStatus> alert = AlertOf(*event);
    if (!alert) continue;
    const bool is_newest = seen.emplace(alert->alert, alert->service, alert->severity).second;
    if (is_newest && alert->state == AlertState::kFiring) past.firing.push_back(std::move(*alert));
  }
  return {};
}

}  // namespace

Result<AnalysisPast> ReadAnalysisPast(HistoryReader& history, WallTime now) {
  AnalysisPast past;
  RETURN_IF_ERROR(ReadServices(history, now, past));
  RETURN_IF_ERROR(ReadRestarts(history, now, past));
  RETURN_IF_ERROR(ReadMachine(history, now, past));
  RETURN_IF_ERROR(ReadAlerts(history, now, past));
  return past;
}

}  // namespace idlewatt
