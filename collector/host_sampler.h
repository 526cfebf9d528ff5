#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/file_root.h"
#include "collector/proc_text.h"
#include "collector/sampler.h"

namespace idlewatt {

// CPU time by mode, memory, pressure and CPU frequency of the whole machine.
// Source:  stat, meminfo, pressure/{cpu,io,memory,irq} below /proc; kernel
//          Documentation/filesystems/proc.rst and accounting/psi.rst.
//          devices/system/cpu/cpufreq/policy* below /sys; admin-guide/pm/cpufreq.rst.
// Units:   clock ticks, KiB, microseconds and kHz as read; seconds, bytes and hertz once published.
// Errors:  of /proc/stat or meminfo: the whole read fails. Pressure and frequency: refused sources,
//          each resource and each policy for itself.
// Threads: sampler thread only.
// Owns:    nothing; `proc` and `sys` must outlive this object.
class HostSampler final : public Sampler {
 public:
  HostSampler(const FileRoot& proc, const FileRoot& sys) : proc_(proc), sys_(sys) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  Result<void> ReadCpu(Readings& out);
  Result<void> ReadMemory(Readings& out);
  void ReadPressure(Readings& out);
  Result<void> ReadPressureOf(std::string_view resource, Readings& out);
  void ReadFrequency(Readings& out);
  size_t OnlineCpus(const std::string& policy) const;
  Result<double> Hertz(const std::string& file) const;

  const FileRoot& proc_;
  const FileRoot& sys_;
  // idle, iowait and steal may step back by some ticks; a published counter must not.
  std::array<uint64_t, kCpuModes.size()> highest_ticks_{};
};

}  // namespace idlewatt
