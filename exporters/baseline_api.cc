#include "exporters/baseline_api.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>
#include <utility>

#include "analysis/metrics.h"
#include "base/duration.h"
#include "base/text.h"
#include "exporters/api_answers.h"
#include "exporters/service_api.h"

namespace idlewatt {
namespace {

constexpr const char* kPath = "/api/v1/baseline";
constexpr size_t kLeastMinutes = 5;
constexpr size_t kMostName = 64;

// Points of a metric without labels, one a minute.
Result<std::vector<Point>> ByMinute(const ApiSources& sources, const Metric& metric,
                                    const TimeSpan& span, RangeFunction function) {
  ASSIGN_OR_RETURN(const Selector selector, Selector::Parse(metric.name));
  RangeWindow window{span.since, span.until, std::chrono::minutes(1)};
  window.function = function;
  window.max_points = std::numeric_limits<size_t>::max();
  ASSIGN_OR_RETURN(RangeAnswer answer, sources.range(selector, window));
  if (answer.rolled_up) {  // an hour would count as one minute
    return Error{ErrorCode::kInvalid, "baseline", 0,
                 "the measurements of a part of this time were deleted, and only its hours are "
                 "known: name a later time"};
  }
  if (answer.series.empty()) return std::vector<Point>();
  return std::move(answer.series.front().points);
}

// The mean over the minutes in which the machine was idle throughout.
Result<Baseline> Measure(const ApiSources& sources, const TimeSpan& span) {
  ASSIGN_OR_RETURN(const auto idle,
                   ByMinute(sources, metrics::kHostIdle, span, RangeFunction::kMin));
  ASSIGN_OR_RETURN(const auto watts,
                   ByMinute(sources, metrics::kHostComputeWatts, span, RangeFunction::kAverage));
  std::set<int64_t> idle_minutes;
  for (const Point& point : idle) {
    if (point.value == 1) idle_minutes.insert(point.time_ms);
  }
  Baseline baseline{"", 0, 0, span.since, span.until};
  for (const Point& point : watts) {
    if (!idle_minutes.contains(point.time_ms)) continue;
    ++baseline.minutes;
    baseline.watts += (point.value - baseline.watts) / static_cast<double>(baseline.minutes);
  }
  if (baseline.minutes >= kLeastMinutes) return baseline;
  return Error{ErrorCode::kInvalid, "baseline", 0,
               "the machine was idle for " + std::to_string(baseline.minutes) +
                   " whole minutes with known power in this time, and " +
                   std::to_string(kLeastMinutes) +
                   " are needed: leave it alone for a while, or name another time"};
}

struct Wish {
  std::string name;
  TimeSpan span;
};

Error BadBody(const std::string& text) {
  return Error{ErrorCode::kInvalid, "the body", 0,
               text + "; give {\"name\": \"…\"} and, if wanted, \"since\" and \"until\""};
}

Result<Wish> WishOf(const HttpRequest& request, WallTime now) {
  const Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return BadBody("is no JSON object");
  Wish wish;
  std::string since = "1h", until = "now";
  for (const auto& [key, value] : body.items()) {
    std::string* text = key == "name"    ? &wish.name
                        : key == "since" ? &since
                        : key == "until" ? &until
                                         : nullptr;
    if (text == nullptr) return BadBody("has the unknown key " + InQuotes(key));
    if (!value.is_string()) return BadBody("has a wrong type for " + InQuotes(key));
    *text = value.get<std::string>();
  }
  if (wish.name.empty() || wish.name.size() > kMostName) {
    return Error{ErrorCode::kInvalid, "name", 0, "must be a text of 1 to 64 bytes"};
  }
  ASSIGN_OR_RETURN(wish.span.since, ParseTime(since, now));
  ASSIGN_OR_RETURN(wish.span.until, ParseTime(until, now));
  wish.span.until = std::min(wish.span.until, now);
  if (wish.span.until < wish.span.since) {
    return Error{ErrorCode::kInvalid, "until", 0, "lies before since"};
  }
  return wish;
}

HttpResponse SetBaseline(const ApiSources& sources, const HttpRequest& request) {
  if (request.path == std::string(kPath) + "/clear") {
    sources.set_baseline(std::nullopt);
    return JsonResponse(BaselineJson(std::nullopt));
  }
  if (request.path != kPath) {
    return HttpResponse::Error(404, "not_found", "there is nothing at " + request.path);
  }
  Result<Wish> wish = WishOf(request, sources.clock.Now().wall);
  if (!wish) return BadRequest(wish.error());
  Result<Baseline> baseline = Measure(sources, wish->span);
  if (!baseline) return Refused(baseline.error());
  baseline->name = std::move(wish->name);
  sources.set_baseline(*baseline);
  return JsonResponse(BaselineJson(*baseline));
}

}  // namespace

Json BaselineJson(const std::optional<Baseline>& baseline) {
  if (!baseline) return nullptr;
  return {{"name", baseline->name},
          {"watts", baseline->watts},
          {"minutes", baseline->minutes},
          {"since", FormatWallTime(baseline->since)},
          {"until", FormatWallTime(baseline->until)}};
}

std::optional<Baseline> BaselineFromJson(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    Baseline baseline{json.at("name"), json.at("watts"), json.at("minutes"), {}, {}};
    const Result<WallTime> since = ParseTime(json.at("since").get<std::string>(), {});
    const Result<WallTime> until = ParseTime(json.at("until").get<std::string>(), {});
    if (!since || !until) return std::nullopt;
    baseline.since = *since;
    baseline.until = *until;
    return baseline;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

void AddBaselineEndpoints(const ApiSources& sources, HttpServer::Endpoints& endpoints) {
  endpoints[kPath] = {
      [sources](const HttpRequest& request) {
        if (request.path == kPath) return JsonResponse(BaselineJson(sources.baseline()));
        return HttpResponse::Error(404, "not_found", "there is nothing at " + request.path);
      },
      WithToken(sources,
                [sources](const HttpRequest& request) { return SetBaseline(sources, request); })};
}

}  // namespace idlewatt
