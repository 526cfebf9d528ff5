#pragma once

#include <span>
#include <vector>

#include "collector/frame.h"
#include "collector/series.h"

namespace idlewatt {

// Rounds values to the decimals that their metrics have in ring and history, so that both keep the
// same and the history stays small.
// Threads: one.
class Rounding {
 public:
  // `registry` must outlive this object.
  explicit Rounding(const SeriesRegistry& registry) : registry_(registry) {}

  void Apply(std::span<Sample> samples);

 private:
  int DecimalsFor(SeriesId id);

  const SeriesRegistry& registry_;
  std::vector<int8_t> decimals_;  // by series id
};

}  // namespace idlewatt
