#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "exporters/api.h"
#include "exporters/api_answers.h"
#include "exporters/http_server.h"
#include "exporters/json_views.h"

namespace idlewatt {

// The points of a selector, as QueryRange gives them, from wherever they are kept.
using RangeSource = std::function<Result<RangeAnswer>(const Selector&, const RangeWindow&)>;

// "SINCE..UNTIL", each as ParseTime takes it; of a span that is not over, what is. kInvalid, with
// `name` as the subject, for anything else, and as PastPart.
Result<TimeSpan> ParseTimeSpan(const std::string& name, std::string_view text, WallTime now);

struct CompareRequest {
  TimeSpan before;  // here and below `until` is the first time that does not belong
  TimeSpan after;
  std::string service;  // empty: the machine alone
};
// What changed from one window to the other, as docs/api.md has it: a row for the machine's power,
// energy and CPU, and for power, energy, CPU and memory of the service. Time that was not measured
// does not count. Errors: those of `range`.
Result<Json> CompareJson(const CompareRequest& request, const RangeSource& range);

// GET /api/v1/compare?before=&after=&service=
HttpResponse AnswerCompare(const ApiSources& sources, const HttpRequest& request);

}  // namespace idlewatt
