#pragma once

#include <optional>

#include "collector/sampler.h"

namespace idlewatt {

// What this daemon itself uses, under the names every Prometheus client gives.
// Source:  getrusage, /proc/self/statm, /proc/self/fd; never a recorded machine's.
// Errors:  of /proc/self: the read fails.
// Threads: sampler thread only.
class SelfSampler final : public Sampler {
 public:
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  std::optional<double> start_time_;  // kept: computed again, it would follow the wall clock
};

}  // namespace idlewatt
