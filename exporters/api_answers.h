// What the handlers of the API share: answers, and what most requests say.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "exporters/http_server.h"
#include "exporters/json_views.h"

namespace idlewatt {

HttpResponse JsonResponse(const Json& body);
// 400 with the error's code and text, whatever the code.
HttpResponse BadRequest(const Error& error);
// 503, while the daemon is not up yet.
HttpResponse NotReady();
// Why there is no answer: 503 for what may work later, else 400.
HttpResponse Refused(const Error& error);

// A text of JSON; what is not valid UTF-8 must not spoil it.
std::string DumpJson(const Json& json);

// A whole number from `least` to `most`; `usual` when the request does not say. kInvalid else.
Result<size_t> NumberOf(const HttpRequest& request, const std::string& parameter, size_t usual,
                        size_t least, size_t most);

struct TimeSpan {
  WallTime since;
  WallTime until;
};
// since and until of a request, both included; by default the last hour, or what `usual` says.
// kInvalid when they are not times, or the wrong way round.
Result<TimeSpan> TimeSpanOf(const HttpRequest& request, WallTime now,
                            std::chrono::milliseconds usual = std::chrono::hours(1));

// The part of `span` that is over at `now`: what is to come was not watched and is no gap.
// kInvalid, with `name` as the subject, when the span is empty, ends before it begins or has not
// begun.
Result<TimeSpan> PastPart(const std::string& name, TimeSpan span, WallTime now);

}  // namespace idlewatt
