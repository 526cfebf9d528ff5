#pragma once

#include <array>

#include "base/file_root.h"
#include "collector/proc_text.h"
#include "collector/sampler.h"

namespace idlewatt {

// CPU time by mode, memory and pressure of the whole machine.
// Source:  stat, meminfo, pressure/{cpu,io,memory,irq} below /proc; kernel
//          Documentation/filesystems/proc.rst and accounting/psi.rst.
// Units:   clock ticks, KiB and microseconds as read; seconds and bytes once published.
// Errors:  of /proc/stat or meminfo: the whole read fails. Without pressure: a refused source.
// Threads: sampler thread only.
// Owns:    nothing; `proc` must outlive this object.
class HostSampler final : public Sampler {
 public:
  explicit HostSampler(const FileRoot& proc) : proc_(proc) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  Result<void> ReadCpu(Readings& out);
  Result<void> ReadMemory(Readings& out);
  void ReadPressure(Readings& out);

  const FileRoot& proc_;
  // idle and iowait may step back by some ticks; a published counter must not.
  std::array<uint64_t, kCpuModes.size()> highest_ticks_{};
};

}  // namespace idlewatt
