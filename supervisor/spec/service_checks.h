// What is wrong with services, as far as it can be known before a start.
#pragma once

#include <vector>

#include "base/result.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// All that can never be right: texts, limits, variables, a readiness that needs a port where there
// is none, a user that is not known. kInvalid each, the subject `service "NAME"`, the text begins
// with the key: "ready.http_get: needs a port; set port".
std::vector<Error> Mistakes(const ServiceSpec& spec);
// The first of them.
Result<void> Validate(const ServiceSpec& spec);

// What is wrong between them: a name or port twice, a dependency that is not there, that can never
// be fulfilled or that leads back. In the same form.
std::vector<Error> ValidateTogether(const std::vector<ServiceSpec>& specs);

}  // namespace idlewatt
