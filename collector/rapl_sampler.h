#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/units.h"
#include "collector/sampler.h"

namespace idlewatt {

// Energy used by each RAPL zone of this machine (Intel and AMD).
// Source:  class/powercap below /sys, flat or nested; kernel Documentation/power/powercap.
// Units:   microjoules as read; joules since the daemon started once published. A counter wraps
//          at max_energy_range_uj; a fall that no wrap explains is a reset, and so is a rise
//          that no power explains: it is counted and that interval gives no energy.
// Errors:  kNoData without powercap; kPermission if no zone may be read (root only since 2020).
// Threads: sampler thread only.
// Owns:    nothing; `sys` must outlive this object.
class RaplSampler final : public Sampler {
 public:
  explicit RaplSampler(const FileRoot& sys) : sys_(sys) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  struct Zone {
    std::string path;
    std::string domain;                // "package-0", "core", "dram", "psys"
    std::optional<Microjoules> range;  // nothing when the kernel does not say
    std::optional<Microjoules> last;
    BootTime last_time;
    double joules = 0;  // since the first reading
    uint64_t resets = 0;
  };

  Result<int64_t> ReadEnergy(const Zone& zone) const;
  void FindZones();
  void AddZonesBelow(const std::string& folder, const std::string& parent_domain);
  void NumberSubZones();
  // False after a reset: what was used since the last reading is not known.
  static bool Account(Zone& zone, Microjoules value, BootTime now);

  const FileRoot& sys_;
  std::vector<Zone> zones_;
  bool look_for_zones_ = true;
};

}  // namespace idlewatt
