#include "collector/frame.h"

#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <utility>

namespace idlewatt {
namespace {

// Less than the hour of absence after which a series ends.
constexpr std::chrono::minutes kKnownFor{30};

// "0.1": the fewest digits that read back to the same number.
std::string ShortestText(double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), end.ptr};
}

}  // namespace

void Readings::Add(const Metric& metric, std::initializer_list<std::string_view> labels,
                   double value) {
  if (!std::isfinite(value)) return;
  samples.push_back({registry->Intern(metric, labels), value});
}

void Readings::Add(KnownSeries& known, BootTime now, const Metric& metric,
                   std::initializer_list<std::string_view> labels, double value) {
  if (!std::isfinite(value)) return;
  if (!known.given || now - *known.given > kKnownFor) known.id = registry->Intern(metric, labels);
  known.given = now;
  samples.push_back({known.id, value});
}

bool Readings::Add(const std::shared_ptr<const Metric>& metric,
                   std::span<const std::string_view> labels, double value) {
  if (!std::isfinite(value)) return true;
  const std::optional<SeriesId> series = registry->Intern(metric, labels, kMostSeries);
  if (series) samples.push_back({*series, value});
  return series.has_value();
}

void Readings::Add(const Histogram& histogram, std::initializer_list<std::string_view> labels,
                   std::span<const double> bounds, std::span<const uint64_t> counts, double sum) {
  assert(counts.size() == bounds.size() + 1);
  std::vector<std::string_view> with_bound(labels);
  with_bound.emplace_back();
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    const std::string bound = i < bounds.size() ? ShortestText(bounds[i]) : "+Inf";
    with_bound.back() = bound;
    samples.push_back({registry->Intern(histogram.bucket, with_bound), static_cast<double>(total)});
  }
  Add(histogram.sum, labels, sum);
  Add(histogram.count, labels, static_cast<double>(total));
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
