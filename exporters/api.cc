#include "exporters/api.h"

#include <algorithm>
#include <utility>

#include "base/duration.h"
#include "collector/metrics.h"
#include "exporters/api_answers.h"
#include "exporters/baseline_api.h"
#include "exporters/compare.h"
#include "exporters/idle_api.h"
#include "exporters/page.h"
#include "exporters/prometheus_exporter.h"
#include "exporters/service_api.h"

namespace idlewatt {
namespace {

constexpr size_t kDefaultProcesses = 100;
constexpr size_t kDefaultEvents = 1000;
constexpr size_t kMostPoints = 50'000;

// since, until, step of a request; by default the last hour as it was measured.
Result<RangeWindow> WindowOf(const HttpRequest& request, WallTime now) {
  ASSIGN_OR_RETURN(const TimeSpan span, TimeSpanOf(request, now));
  RangeWindow window{span.since, span.until};
  if (const auto step = request.Query("step")) {
    ASSIGN_OR_RETURN(window.step, ParseDuration(*step));
  }
  if (const auto function = request.Query("fn")) {
    ASSIGN_OR_RETURN(window.function, ParseRangeFunction(*function));
  }
  window.max_points = kMostPoints;
  return window;
}

Json WindowJson(const RangeWindow& window) {
  return {{"since", FormatWallTime(window.since)},
          {"until", FormatWallTime(window.until)},
          {"step_seconds", window.step.count() > 0
                               ? Json(static_cast<double>(window.step.count()) / 1000)
                               : Json(nullptr)}};
}

HttpResponse Range(const ApiSources& sources, const HttpRequest& request) {
  const std::string selector_text =
      request.Query("metric").value_or("") + request.Query("match").value_or("");
  const Result<Selector> selector = Selector::Parse(selector_text);
  if (!selector) return BadRequest(selector.error());
  const Result<RangeWindow> window = WindowOf(request, sources.clock.Now().wall);
  if (!window) return BadRequest(window.error());
  const auto answer = sources.range(*selector, *window);
  if (!answer) return Refused(answer.error());
  Json body = WindowJson(*window);
  body["rolled_up"] = answer->rolled_up;
  body["damaged_rows"] = answer->damaged_rows;
  body["series"] = SeriesPointsJson(answer->series);
  return JsonResponse(body);
}

HttpResponse SeriesList(const ApiSources& sources, const HttpRequest& request) {
  const std::string text =
      request.Query("metric").value_or("") + request.Query("match").value_or("");
  std::optional<Selector> selector;
  if (!text.empty()) {
    Result<Selector> parsed = Selector::Parse(text);
    if (!parsed) return BadRequest(parsed.error());
    selector = std::move(*parsed);
  }
  const auto answer = sources.series(selector ? &*selector : nullptr);
  if (!answer) return Refused(answer.error());
  return JsonResponse(SeriesJson(*answer));
}

HttpResponse Storage(const ApiSources& sources) {
  const std::optional<StorageStatus> status = sources.storage();
  if (!status) return NotReady();
  const HistoryStats& history = status->history;
  return JsonResponse(
      {{"path", status->path},
       {"bytes", history.file_bytes},
       {"oldest", history.oldest ? Json(FormatWallTime(*history.oldest)) : Json(nullptr)},
       {"rows_written", history.rows_written},
       {"rows_deleted", history.rows_deleted},
       {"flush_seconds", ToSeconds(history.last_flush_duration)},
       {"flush_errors", history.flush_errors},
       {"queued_frames", history.queued_frames},
       {"dropped_frames", history.dropped_frames},
       {"set_aside", history.set_aside}});
}

HttpResponse PowerHistory(const ApiSources& sources, const HttpRequest& request) {
  const Result<RangeWindow> window = WindowOf(request, sources.clock.Now().wall);
  if (!window) return BadRequest(window.error());
  const Result<size_t> limit = NumberOf(request, "limit", kMostPoints, 1, kMostPoints);
  if (!limit) return BadRequest(limit.error());
  const Result<Selector> selector = Selector::Parse(metrics::kPowerWatts.name);
  if (!selector) return BadRequest(selector.error());
  auto answer = sources.range(*selector, *window);
  if (!answer) return Refused(answer.error());
  for (SeriesPoints& one : answer->series) {  // the newest
    if (one.points.size() <= *limit) continue;
    one.points.erase(one.points.begin(), one.points.end() - static_cast<std::ptrdiff_t>(*limit));
  }
  Json body = WindowJson(*window);
  body["series"] = SeriesPointsJson(answer->series);
  return JsonResponse(body);
}

HttpResponse Events(const ApiSources& sources, const HttpRequest& request) {
  const Result<TimeSpan> span = TimeSpanOf(request, sources.clock.Now().wall);
  if (!span) return BadRequest(span.error());
  const Result<size_t> limit = NumberOf(request, "limit", kDefaultEvents, 1, kMostPoints);
  if (!limit) return BadRequest(limit.error());
  const auto events = sources.events(*span, *limit);
  if (!events) return Refused(events.error());
  return JsonResponse({{"since", FormatWallTime(span->since)},
                       {"until", FormatWallTime(span->until)},
                       {"events", EventsJson(*events)}});
}

HttpResponse Processes(const ApiSources& sources, const HttpRequest& request) {
  const Result<size_t> limit = NumberOf(request, "limit", kDefaultProcesses, 1, 1'000'000);
  if (!limit) return BadRequest(limit.error());
  return JsonResponse(ProcessesJson(*sources.snapshot.Get(), *limit));
}

HttpResponse Ready(const ApiSources& sources) {
  if (sources.snapshot.Get()->values.empty()) {
    return HttpResponse::Error(503, "not_ready", "nothing has been measured yet");
  }
  return {200, "text/plain; charset=utf-8", "idlewatt is ready\n"};
}

// Endpoints match by prefix; these answer at their own path only.
HttpServer::Handler Exactly(std::string path, HttpServer::Handler handler) {
  return [path = std::move(path), handler = std::move(handler)](const HttpRequest& request) {
    if (request.path == path || request.path == path + "/") return handler(request);
    return HttpResponse::Error(404, "not_found", "there is nothing at " + request.path);
  };
}

}  // namespace

HttpServer::Endpoints MakeEndpoints(const ApiSources& sources) {
  HttpServer::Endpoints endpoints;
  const auto add = [&](const std::string& path, HttpServer::Handler handler) {
    endpoints[path].get = Exactly(path, std::move(handler));
  };
  using Request = HttpRequest;
  const ApiSources& s = sources;
  const auto snapshot_view = [s](Json (*view)(const Snapshot&)) {
    return [s, view](const Request&) { return JsonResponse(view(*s.snapshot.Get())); };
  };
  const HttpServer::Handler summary = [s](const Request&) {
    return JsonResponse(SummaryJson(*s.snapshot.Get(), s.Services(), *s.alerts.Get()));
  };
  add("/", [](const Request&) {
    return HttpResponse{200, "text/html; charset=utf-8", std::string(kPage)};
  });
  add("/metrics", [s](const Request&) {
    return HttpResponse{200, "text/plain; version=0.0.4; charset=utf-8",
                        RenderMetrics(SnapshotCollectable(s.snapshot))};
  });
  add("/-/healthy", [](const Request&) {
    return HttpResponse{200, "text/plain; charset=utf-8", "idlewatt is healthy\n"};
  });
  add("/-/ready", [s](const Request&) { return Ready(s); });
  add("/api/v1/events", [s](const Request& r) { return Events(s, r); });
  add("/api/v1/alerts", [s](const Request&) { return JsonResponse(AlertsJson(*s.alerts.Get())); });
  add("/api/v1/compare", [s](const Request& r) { return AnswerCompare(s, r); });
  add("/api/v1/range", [s](const Request& r) { return Range(s, r); });
  add("/api/v1/storage", [s](const Request&) { return Storage(s); });
  add("/api/v1/series", [s](const Request& r) { return SeriesList(s, r); });
  add("/api/v1/sensors", snapshot_view(SensorsJson));
  for (const std::string prefix : {"/api/v1/", "/api/system/"}) {
    add(prefix + "metrics", summary);
    add(prefix + "power", snapshot_view(PowerJson));
    add(prefix + "power/history", [s](const Request& r) { return PowerHistory(s, r); });
    add(prefix + "thermal", snapshot_view(ThermalJson));
    add(prefix + "processes", [s](const Request& r) { return Processes(s, r); });
  }
  AddServiceEndpoints(sources, endpoints);
  AddBaselineEndpoints(sources, endpoints);
  AddIdleEndpoint(sources, endpoints);
  return endpoints;
}

std::vector<ServiceStatus> ApiSources::Services() const {
  const ServiceControl* services = control();
  return services == nullptr ? std::vector<ServiceStatus>() : services->Status();
}

}  // namespace idlewatt
