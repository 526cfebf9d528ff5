#pragma once

#include <string>
#include <vector>

#include "app/service_wait.h"
#include "base/result.h"

namespace idlewatt {

struct ServiceArguments {
  std::string http;
  std::vector<std::string> names;
  bool all = false;  // every supervised service but the disabled ones; then there are no names
  bool wait = true;  // until all of it is done
  std::string timeout = "10m";
};

// Asks a daemon for the same of several services, and waits until each is through or the time is
// over, while standard output shows how they go. One that fails does not stop the others. Gives
// "NAME: what went wrong" for each that failed, in their order; an error is one of the whole.
Result<std::vector<std::string>> RequestServices(ServiceRequest request,
                                                 const ServiceArguments& arguments,
                                                 const std::string& token);

}  // namespace idlewatt
