#pragma once

#include "exporters/api.h"
#include "exporters/http_server.h"

namespace idlewatt {

// The endpoint of the idle report.
void AddIdleEndpoint(const ApiSources& sources, HttpServer::Endpoints& endpoints);

}  // namespace idlewatt
