// The pages of docs/ that are generated from the tables of the program.
#pragma once

#include <string>
#include <vector>

#include "collector/sampler.h"

namespace idlewatt {

// Every part that publishes metrics: the samplers of the table and what the app adds.
std::vector<const SamplerInfo*> AllSamplerInfos();
// docs/metrics.md.
std::string MetricsPage();

}  // namespace idlewatt
