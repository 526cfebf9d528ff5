#include "exporters/api.h"

#include <algorithm>
#include <utility>

#include "base/duration.h"
#include "base/text.h"
#include "collector/metrics.h"
#include "exporters/json_views.h"
#include "exporters/page.h"
#include "exporters/prometheus_exporter.h"

namespace idlewatt {
namespace {

constexpr size_t kDefaultProcesses = 100;
constexpr size_t kMostPoints = 50'000;

HttpResponse JsonResponse(const Json& body) {
  // A name that is not valid UTF-8 must not spoil the answer.
  return {200, "application/json",
          body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

HttpResponse BadRequest(const Error& error) {
  return HttpResponse::Error(400, ErrorCodeName(error.code), error.ToString());
}

Result<size_t> LimitOf(const HttpRequest& request, size_t usual, size_t most) {
  const auto text = request.Query("limit");
  if (!text) return usual;
  const auto limit = ParseNumber<size_t>(*text);
  if (!limit || *limit == 0 || *limit > most) {
    return Error{ErrorCode::kInvalid, "limit", 0,
                 "must be a whole number from 1 to " + std::to_string(most)};
  }
  return *limit;
}

// since, until, step of a request; by default the last hour as it was measured.
Result<RangeWindow> WindowOf(const HttpRequest& request, WallTime now) {
  RangeWindow window{now - std::chrono::hours(1), now};
  if (const auto since = request.Query("since")) {
    ASSIGN_OR_RETURN(window.since, ParseTime(*since, now));
  }
  if (const auto until = request.Query("until")) {
    ASSIGN_OR_RETURN(window.until, ParseTime(*until, now));
  }
  if (const auto step = request.Query("step")) {
    ASSIGN_OR_RETURN(window.step, ParseDuration(*step));
  }
  if (const auto function = request.Query("fn")) {
    ASSIGN_OR_RETURN(window.function, ParseRangeFunction(*function));
  }
  if (window.until < window.since) {
    return Error{ErrorCode::kInvalid, "until", 0, "must not be before since"};
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
  if (!answer) return BadRequest(answer.error());
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
  if (!answer) return BadRequest(answer.error());
  return JsonResponse(SeriesJson(*answer));
}

HttpResponse Storage(const ApiSources& sources) {
  const std::optional<StorageStatus> status = sources.storage();
  if (!status) return HttpResponse::Error(503, "not_ready", "the daemon starts");
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
  const Result<size_t> limit = LimitOf(request, kMostPoints, kMostPoints);
  if (!limit) return BadRequest(limit.error());
  const Result<Selector> selector = Selector::Parse(metrics::kPowerWatts.name);
  if (!selector) return BadRequest(selector.error());
  auto answer = sources.range(*selector, *window);
  if (!answer) return BadRequest(answer.error());
  for (SeriesPoints& one : answer->series) {  // the newest
    if (one.points.size() <= *limit) continue;
    one.points.erase(one.points.begin(), one.points.end() - static_cast<std::ptrdiff_t>(*limit));
  }
  Json body = WindowJson(*window);
  body["series"] = SeriesPointsJson(answer->series);
  return JsonResponse(body);
}

HttpResponse Services(const ApiSources& sources, const HttpRequest& request) {
  Json all = ServicesJson(*sources.snapshot.Get(), sources.services());
  constexpr std::string_view kPrefix = "/api/v1/services/";
  if (!request.path.starts_with(kPrefix)) return JsonResponse(all);
  const std::string name = request.path.substr(kPrefix.size());
  for (const Json& row : all["services"]) {
    if (row["name"] == name) return JsonResponse(row);
  }
  return HttpResponse::Error(404, "not_found", "there is no service \"" + name + "\"");
}

HttpResponse Processes(const ApiSources& sources, const HttpRequest& request) {
  const Result<size_t> limit = LimitOf(request, kDefaultProcesses, 1'000'000);
  if (!limit) return BadRequest(limit.error());
  return JsonResponse(ProcessesJson(*sources.snapshot.Get(), *limit));
}

HttpResponse Ready(const ApiSources& sources) {
  if (sources.snapshot.Get()->values.empty()) {
    return HttpResponse::Error(503, "not_ready", "nothing has been measured yet");
  }
  return {200, "text/plain; charset=utf-8", "idlewatt is ready\n"};
}

// Handlers match by prefix; these answer at their own path only.
HttpServer::Handler Exactly(std::string path, HttpServer::Handler handler) {
  return [path = std::move(path), handler = std::move(handler)](const HttpRequest& request) {
    if (request.path == path || request.path == path + "/") return handler(request);
    return HttpResponse::Error(404, "not_found", "there is nothing at " + request.path);
  };
}

}  // namespace

std::map<std::string, HttpServer::Handler> MakeHandlers(const ApiSources& sources) {
  std::map<std::string, HttpServer::Handler> handlers;
  const auto add = [&](const std::string& path, HttpServer::Handler handler) {
    handlers[path] = Exactly(path, std::move(handler));
  };
  using Request = HttpRequest;
  const ApiSources& s = sources;
  const auto snapshot_view = [s](Json (*view)(const Snapshot&)) {
    return [s, view](const Request&) { return JsonResponse(view(*s.snapshot.Get())); };
  };
  const HttpServer::Handler summary = [s](const Request&) {
    return JsonResponse(SummaryJson(*s.snapshot.Get(), s.services(), *s.alerts.Get()));
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
  handlers["/api/v1/services"] = [s](const Request& r) { return Services(s, r); };
  add("/api/v1/alerts", [s](const Request&) { return JsonResponse(AlertsJson(*s.alerts.Get())); });
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
  return handlers;
}

}  // namespace idlewatt
