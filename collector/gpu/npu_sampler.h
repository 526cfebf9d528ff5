#pragma once

#include <map>
#include <string>

#include "base/file_root.h"
#include "collector/sampler.h"

namespace idlewatt {

// Busy time, memory, frequency and power of Intel's NPUs (driver intel_vpu).
// Source:  class/accel/accel*/device below /sys, npu_busy_time_us and its neighbours.
// Units:   microseconds, bytes, megahertz as read; seconds, bytes, hertz once published.
// Errors:  kNoData without one. Another accelerator is a refused source that names its driver. An
//          NPU that sleeps is not read, for that would wake it: its last busy time holds.
// Threads: one at a time; a driver may hang, so on a lane.
// Owns:    nothing; `sys` must outlive this object.
class NpuSampler final : public Sampler {
 public:
  explicit NpuSampler(const FileRoot& sys) : sys_(sys) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  void ReadNpu(const std::string& npu, const std::string& folder, Readings& out);
  // Appends to `gives` what there is.
  void ReadAwake(const std::string& npu, const std::string& folder, std::string& gives,
                 Readings& out);

  const FileRoot& sys_;
  std::map<std::string, double> busy_seconds_;  // as last read, by NPU
};

}  // namespace idlewatt
