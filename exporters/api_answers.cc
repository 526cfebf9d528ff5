#include "exporters/api_answers.h"

#include <algorithm>
#include <string>

#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {

std::string DumpJson(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse JsonResponse(const Json& body) {
  return {200, "application/json", DumpJson(body) + "\n"};
}

HttpResponse BadRequest(const Error& error) {
  return HttpResponse::Error(400, ErrorCodeName(error.code), error.ToString());
}

HttpResponse NotReady() { return HttpResponse::Error(503, "not_ready", "the daemon starts"); }

HttpResponse Refused(const Error& error) {
  if (error.code != ErrorCode::kTransient) return BadRequest(error);
  return HttpResponse::Error(503, "not_ready", error.ToString());
}

Result<size_t> NumberOf(const HttpRequest& request, const std::string& parameter, size_t usual,
                        size_t least, size_t most) {
  const auto text = request.Query(parameter);
  if (!text) return usual;
  const auto number = ParseNumber<size_t>(*text);
  if (!number || *number < least || *number > most) {
    return Error{
        ErrorCode::kInvalid, parameter, 0,
        "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most)};
  }
  return *number;
}

Result<TimeSpan> TimeSpanOf(const HttpRequest& request, WallTime now,
                            std::chrono::milliseconds usual) {
  TimeSpan span{now - usual, now};
  if (const auto since = request.Query("since")) {
    ASSIGN_OR_RETURN(span.since, ParseTime(*since, now));
  }
  if (const auto until = request.Query("until")) {
    ASSIGN_OR_RETURN(span.until, ParseTime(*until, now));
  }
  if (span.until < span.since) {
    return Error{ErrorCode::kInvalid, "until", 0, "must not be before since"};
  }
  return span;
}

Result<TimeSpan> PastPart(const std::string& name, TimeSpan span, WallTime now) {
  const auto refused = [&name](const std::string& why) {
    return Error{ErrorCode::kInvalid, name, 0, why};
  };
  if (span.until < span.since) return refused("ends before it begins");
  if (span.until == span.since) return refused("is empty: it ends when it begins");
  if (span.since >= now) return refused("has not begun yet");
  span.until = std::min(span.until, now);
  return span;
}

}  // namespace idlewatt
