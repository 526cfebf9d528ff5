#pragma once

#include "exporters/api.h"
#include "exporters/http_server.h"

namespace idlewatt {

// The endpoints of services, profiles, the configuration and the live stream. What changes anything
// is a POST and needs the bearer token.
void AddServiceEndpoints(const ApiSources& sources, HttpServer::Endpoints& endpoints);

// `handler` for those who bring the token.
HttpServer::Handler WithToken(const ApiSources& sources, HttpServer::Handler handler);

}  // namespace idlewatt
