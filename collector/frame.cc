#include "collector/frame.h"

#include <cmath>
#include <utility>

namespace idlewatt {

void Readings::Add(const Metric& metric, std::initializer_list<std::string_view> labels,
                   double value) {
  if (!std::isfinite(value)) return;
  samples.push_back({registry->Intern(metric, labels), value});
}

void Readings::AddSource(std::string source, std::string gives) {
  sources.push_back({std::move(source), std::move(gives), std::nullopt, {}});
}

void Readings::AddRefused(std::string source, std::string gives, Error error, std::string remedy) {
  sources.push_back({std::move(source), std::move(gives), std::move(error), std::move(remedy)});
}

void Readings::Clear() {
  samples.clear();
  sources.clear();
  processes.reset();
}

}  // namespace idlewatt
