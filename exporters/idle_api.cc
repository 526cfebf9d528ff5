#include "exporters/idle_api.h"

#include <string>

#include "base/duration.h"

namespace idlewatt {
namespace {

constexpr const char* kIdle = "/api/v1/idle";

Result<IdleWindow> WindowOf(const HttpRequest& request, WallTime now) {
  ASSIGN_OR_RETURN(const TimeSpan asked, TimeSpanOf(request, now, std::chrono::hours(24)));
  ASSIGN_OR_RETURN(const TimeSpan span, PastPart("window", asked, now));
  IdleWindow window{span.since, span.until, {}, now};
  if (const auto step = request.Query("step")) {
    ASSIGN_OR_RETURN(window.step, ParseDuration(*step));
  }
  return window;
}

HttpResponse Idle(const ApiSources& sources, const HttpRequest& request) {
  if (request.path != kIdle && request.path != std::string(kIdle) + "/") {
    return HttpResponse::Error(404, "not_found", "there is nothing at " + request.path);
  }
  const Result<IdleWindow> window = WindowOf(request, sources.clock.Now().wall);
  if (!window) return BadRequest(window.error());
  const Result<IdleReport> report = sources.idle(*window);
  return report ? JsonResponse(IdleReportJson(*report)) : Refused(report.error());
}

}  // namespace

void AddIdleEndpoint(const ApiSources& sources, HttpServer::Endpoints& endpoints) {
  endpoints[kIdle].get = [sources](const HttpRequest& request) { return Idle(sources, request); };
}

}  // namespace idlewatt
