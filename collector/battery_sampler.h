#pragma once

#include <optional>
#include <string>

#include "base/file_root.h"
#include "collector/sampler.h"

namespace idlewatt {

// Charge of every battery, and the power of the whole machine while it runs from them.
// Source:  class/power_supply below /sys; kernel Documentation/ABI/testing/sysfs-class-power.
// Units:   microwatts, microamperes, microvolts as read; watts and ratios once published. Power
//          is published only while a battery discharges: what goes into one is no use.
// Errors:  kNoData without a battery; a battery that can't be read is a refused source.
// Threads: one at a time; ACPI may hang, so on a lane.
// Owns:    nothing; `sys` must outlive this object.
class BatterySampler final : public Sampler {
 public:
  explicit BatterySampler(const FileRoot& sys) : sys_(sys) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  bool IsSystemBattery(const std::string& folder) const;
  std::optional<double> ChargeRatio(const std::string& folder) const;
  std::optional<double> Watts(const std::string& folder) const;

  const FileRoot& sys_;
};

}  // namespace idlewatt
