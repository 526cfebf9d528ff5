#pragma once

#include "collector/sampler.h"
#include "supervisor/supervisor.h"

namespace idlewatt {

// State, readiness, uptime, last exit and log counters of the supervised services.
// Source:  the supervisor's published statuses; no file.
// Errors:  none. A value that is not known is absent: no uptime while the root does not run, no
//          exit code before the first exit, or of an exit that nobody saw.
// Threads: sampler thread only.
class ServiceSampler final : public Sampler {
 public:
  // `supervisor` must outlive this object.
  explicit ServiceSampler(const Supervisor& supervisor) : supervisor_(supervisor) {}

  static const SamplerInfo kInfo;
  const SamplerInfo& info() const override { return kInfo; }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  const Supervisor& supervisor_;
};

}  // namespace idlewatt
