#include "collector/frame.h"

#include <cerrno>
#include <cmath>
#include <utility>

namespace idlewatt {

void Readings::Add(const Metric& metric, std::initializer_list<std::string_view> labels,
                   double value) {
  if (!std::isfinite(value)) return;
  samples.push_back({registry->Intern(metric, labels), value});
}

bool Readings::Add(const std::shared_ptr<const Metric>& metric,
                   std::span<const std::string_view> labels, double value) {
  if (!std::isfinite(value)) return true;
  const std::optional<SeriesId> series = registry->Intern(metric, labels, kMostSeries);
  if (series) samples.push_back({*series, value});
  return series.has_value();
}

void Readings::AddSource(std::string source, std::string gives) {
  sources.push_back({std::move(source), std::move(gives), std::nullopt, {}});
}

// EACCES is the mode of a file, which this capability passes over; EPERM is a check of another
// kind.
std::string RemedyFor(const Error& error) {
  if (error.code != ErrorCode::kPermission || error.sys_errno != EACCES) return "";
  return "run as root, or: setcap cap_dac_read_search+ep $(command -v idlewatt)";
}

void Readings::AddRefused(std::string source, std::string gives, Error error, std::string remedy) {
  if (remedy.empty()) remedy = RemedyFor(error);
  sources.push_back({std::move(source), std::move(gives), std::move(error), std::move(remedy)});
}

void Readings::Clear() {
  samples.clear();
  sources.clear();
  processes.reset();
}

}  // namespace idlewatt
