#include "exporters/idle_api.h"

#include <string>

#include "base/duration.h"

namespace idlewatt {
namespace {

constexpr const char* kIdle = "/api/v1/idle";

Result<IdleWindow> WindowOf(const HttpRequest& request, WallTime now) {
  ASSIGN_OR_RETURN(const TimeSpan span, TimeSpanOf(request, now, std::chrono::hours(24)));
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
  if (report) return JsonResponse(IdleReportJson(*report));
  return report.error().code == ErrorCode::kTransient ? NotReady() : BadRequest(report.error());
}

}  // namespace

void AddIdleEndpoint(const ApiSources& sources, HttpServer::Endpoints& endpoints) {
  endpoints[kIdle].get = [sources](const HttpRequest& request) { return Idle(sources, request); };
}

}  // namespace idlewatt
