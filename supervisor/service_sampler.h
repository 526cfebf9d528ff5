#pragma once

#include "base/file_root.h"
#include "collector/sampler.h"
#include "supervisor/service_control.h"

namespace idlewatt {

// State, readiness, starts, ends and log counters of the supervised services.
// Source:  the supervisor's published statuses; whether services get cgroups, see ServiceCgroup.
// Errors:  none. A value that is not known is absent: no uptime while the root does not run, no
//          exit code before the first exit, or of an exit that nobody saw.
// Threads: sampler thread only.
class ServiceSampler final : public Sampler {
 public:
  // Both must outlive this object. Without a supervisor (null) there are sources only.
  ServiceSampler(const ServiceControl* supervisor, const MachineRoots& roots)
      : supervisor_(supervisor), roots_(roots) {}

  static const SamplerInfo kInfo;
  const SamplerInfo& info() const override { return kInfo; }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  void AddCgroupSource(Readings& out) const;
  static void AddService(const ServiceStatus& service, Readings& out);

  const ServiceControl* const supervisor_;
  const MachineRoots& roots_;
};

}  // namespace idlewatt
