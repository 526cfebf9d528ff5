#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/units.h"
#include "collector/gpu/drm_clients.h"
#include "collector/gpu/gpu_board.h"
#include "collector/gpu/gpu_devices.h"
#include "collector/sampler.h"

namespace idlewatt {

// Power, energy, use, memory and heat of the GPUs of amdgpu, i915 and xe, and what each process
// uses of them (to the GpuBoard).
// Source:  the device's folder and its hwmon chip below /sys; DrmClients for processes. Kernel
//          Documentation/gpu/amdgpu/thermal.rst and Documentation/ABI/testing/
//          sysfs-driver-intel-{i915,xe}-hwmon.
// Units:   microwatts, microjoules, millidegrees, percent as read; SI once published. Energy
//          counts from the first reading; a fall, or a rise that no card can make, is a reset: it
//          is counted and that interval gives no energy.
// Errors:  kNoData without such a GPU. A value that can't be read is a refused source, one whose
//          file is not there is left out; the others are not touched. A GPU that sleeps is not
//          read: that would wake it.
// Threads: one at a time; a driver may hang, so on a lane.
// Owns:    a share of the board; `sys` and `proc` must outlive this object.
class DrmSampler final : public Sampler {
 public:
  DrmSampler(const FileRoot& sys, const FileRoot& proc, std::shared_ptr<GpuBoard> board)
      : sys_(sys), proc_(proc), clients_(proc), board_(std::move(board)) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  // What the power of the chip is the power of.
  enum class Meter { kUnknown, kCard, kPackage };
  struct Gpu {
    GpuDevice device;
    bool asleep = false;
    // Found while it was awake:
    bool looked = false;
    std::optional<std::string> hwmon;
    std::string uuid;
    std::string product;
    Meter meter = Meter::kUnknown;
    std::optional<Microjoules> last_energy;
    BootTime last_time;
    double joules = 0;  // since the first reading
    uint64_t resets = 0;
    std::string gives;  // in this read
  };

  void FindDevices(BootTime now);
  void ReadClients(BootTime now, Readings& out);
  void ReadGpu(Gpu& gpu, BootTime now, Readings& out);
  void LookAt(Gpu& gpu) const;
  Meter MeterOf(const Gpu& gpu) const;
  void ReadPower(Gpu& gpu, BootTime now, Readings& out);
  void ReadEnergy(Gpu& gpu, const std::string& domain, BootTime now, Readings& out) const;
  void ReadTemperature(Gpu& gpu, Readings& out) const;
  void ReadUtilization(Gpu& gpu, Readings& out) const;
  void ReadMemory(Gpu& gpu, Readings& out) const;
  // False after a reset: what was used since the last reading is not known.
  static bool Account(Gpu& gpu, Microjoules value, BootTime now);

  const FileRoot& sys_;
  const FileRoot& proc_;
  DrmClients clients_;
  const std::shared_ptr<GpuBoard> board_;
  std::vector<Gpu> gpus_;
  DrmClients::Nodes nodes_;
  std::optional<BootTime> next_search_;
};

}  // namespace idlewatt
