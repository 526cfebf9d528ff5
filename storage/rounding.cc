#include "storage/rounding.h"

#include <cmath>

#include "collector/metric.h"
#include "storage/decimal.h"

namespace idlewatt {
namespace {

constexpr int8_t kNotAsked = -2;
constexpr int8_t kAll = -1;

}  // namespace

void Rounding::Apply(std::span<Sample> samples) {
  for (Sample& sample : samples) {
    const int decimals = DecimalsFor(sample.series);
    if (decimals != kAll)
      sample.value = RoundToDecimals(sample.value, static_cast<size_t>(decimals));
  }
}

// A series keeps its metric, and ids are not used again.
int Rounding::DecimalsFor(SeriesId id) {
  if (id >= decimals_.size()) decimals_.resize(size_t{id} + 1, kNotAsked);
  int8_t& known = decimals_[id];
  if (known != kNotAsked) return known;
  const auto series = registry_.Find(id);
  if (series == nullptr) return kAll;
  const std::optional<int> decimals = DecimalsOf(*series->metric);
  known = decimals && *decimals < static_cast<int>(kDecimalExponents)
              ? static_cast<int8_t>(*decimals)
              : kAll;
  return known;
}

}  // namespace idlewatt
