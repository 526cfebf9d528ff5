#pragma once

#include <optional>
#include <string>

#include "analysis/idle_baseline.h"
#include "exporters/api.h"
#include "exporters/http_server.h"
#include "exporters/json_views.h"

namespace idlewatt {

// {"name","watts","minutes","since","until"}; null without one.
Json BaselineJson(const std::optional<Baseline>& baseline);
// The same read back; nothing for null and for anything else.
std::optional<Baseline> BaselineFromJson(const std::string& text);

// GET /api/v1/baseline: the baseline. POST sets it from the history: {"name","since","until"}, by
// default of the last hour; POST /api/v1/baseline/clear takes it away. Both need the token.
void AddBaselineEndpoints(const ApiSources& sources, HttpServer::Endpoints& endpoints);

}  // namespace idlewatt
