#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file_root.h"
#include "collector/sampler.h"

namespace idlewatt {

// Thermal zones with their trip points, cooling devices and throttle counts of the kernel.
// Source:  class/thermal/{thermal_zone,cooling_device}*, devices/system/cpu/cpu*/thermal_throttle
//          below /sys; kernel Documentation/driver-api/thermal/sysfs-api.rst.
// Units:   millidegrees and counts as read; degrees Celsius once published.
// Errors:  a zone or device that can't be read is a refused source; the others are not touched.
//          kNoData when the machine has none of the three.
// Threads: one at a time; a zone of a driver may hang, so on a lane.
// Owns:    the trip points as last read, once a minute. `sys` must outlive this object.
class ThermalSampler final : public Sampler {
 public:
  explicit ThermalSampler(const FileRoot& sys) : sys_(sys) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  struct Trip {
    std::string name;  // "critical", "passive#2"
    double celsius = 0;
  };

  const std::vector<Trip>& TripsOf(const std::string& folder, const std::string& type);
  // Each gives how many of its kind the machine has.
  int ReadZones(const std::vector<std::string>& names, Readings& out);
  int ReadCoolingDevices(const std::vector<std::string>& names, Readings& out);
  int ReadThrottling(Readings& out);

  const FileRoot& sys_;
  std::map<std::string, std::vector<Trip>> trips_;  // by folder and type of the zone
  BootTime next_trips_;
};

}  // namespace idlewatt
