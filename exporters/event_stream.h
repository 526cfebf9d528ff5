#pragma once

#include <chrono>

#include "exporters/api.h"
#include "exporters/http_stream.h"

namespace idlewatt {

// What happens, as server-sent events, until `stream` closes:
//   snapshot  {"summary":{…},"services":[…]}, first
//   tick      the summary, after each measurement; of several that a slow client did not take the
//   last state     each StateChange after the snapshot, in order; one that the snapshot shows
//   already may
//             come too
//   missed    {"after":N}: changes after number N are lost to this client, for it was too slow; a
//   new
//             snapshot follows
// and a comment after each `heartbeat`, so that a client sees that the line is alive.
void StreamEvents(const ApiSources& sources, const ServiceControl& control, HttpStream& stream,
                  std::chrono::nanoseconds heartbeat = std::chrono::seconds(15));

}  // namespace idlewatt
