#pragma once

#include <chrono>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "collector/frame.h"
#include "collector/metric.h"

namespace idlewatt {

// What is known about a sampler without running it.
struct SamplerInfo {
  std::string_view name;  // label of idlewatt_sampler_*
  std::string_view help;  // one sentence
  // Can a read hang in a driver? Then it runs on a lane of its own, beside the tick.
  bool can_hang = false;
  std::span<const Metric* const> metrics;
};

// Reads one kind of source. It only reads: no threads, sleeping, sub-processes or logging.
// Threads: Read is called from one thread at a time.
class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual const SamplerInfo& info() const = 0;
  // Reads the source once and appends to `out`. After an error the loop discards the samples that
  // were appended, but keeps the source rows.
  virtual Result<void> Read(TimePoint now, Readings& out) = 0;
};

}  // namespace idlewatt
