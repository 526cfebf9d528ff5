#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "collector/sampler.h"
#include "collector/sensors_api.h"

namespace idlewatt {

// Temperatures, fans, voltages, currents and power meters of the hardware monitoring chips.
// Source:  a SensorsApi.
// Errors:  a channel that can't be read is a refused source; the others are not touched. kNoData
//          without chips.
// Threads: one at a time; a driver may hang (a one-wire bus took 22 s), so on a lane.
// Owns:    the SensorsApi.
class HwmonSampler final : public Sampler {
 public:
  struct Options {
    std::vector<std::string> exclude_chips;  // patterns with *, matched against the chip's name
    bool power = true;                       // publish power and energy channels
    // Patterns of chips whose power and energy another sampler publishes, so not this one.
    std::vector<std::string> power_elsewhere{};
  };
  HwmonSampler(std::unique_ptr<SensorsApi> sensors, Options options)
      : sensors_(std::move(sensors)), options_(std::move(options)) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  bool IsExcluded(const SensorReading& reading) const;
  // Names given to power and energy channels in one read.
  struct Domains {
    std::set<std::string> power;
    std::set<std::string> energy;
  };
  void Publish(const SensorReading& reading, Domains& domains, Readings& out) const;

  std::unique_ptr<SensorsApi> sensors_;
  const Options options_;
};

}  // namespace idlewatt
