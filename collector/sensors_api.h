#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_root.h"
#include "base/result.h"

namespace idlewatt {

enum class SensorKind { kTemperature, kFan, kVoltage, kCurrent, kPower, kEnergy };

// One channel of one hardware monitoring chip.
struct SensorReading {
  std::string chip;    // as libsensors names it: "coretemp-isa-0000"; unique on this machine
  std::string sensor;  // "temp1"
  std::string label;   // "Core 0"; the sensor's own name when it has none
  SensorKind kind = SensorKind::kTemperature;
  Result<double> value;  // SI: Celsius, rpm, volts, amperes, watts, joules
  std::vector<std::pair<std::string_view, double>> limits;  // "max" -> 100, temperatures only
};

// The hardware monitoring chips of a machine.
// Threads: one at a time (libsensors keeps global state).
class SensorsApi {
 public:
  virtual ~SensorsApi() = default;
  // Reads every channel; one that can't be read carries its error. kNoData without any chip.
  // A chip whose device sleeps (runtime power management) is left out rather than woken.
  virtual Result<std::vector<SensorReading>> Read() = 0;
};

// The machine's own libsensors, so that the user's sensors.conf counts. It always reads /sys.
std::unique_ptr<SensorsApi> MakeLibsensorsApi();
// class/hwmon below `sys`, without sensors.conf: for `--sysfs` and recorded machines.
// `sys` must outlive the object.
std::unique_ptr<SensorsApi> MakeHwmonTreeApi(const FileRoot& sys);

}  // namespace idlewatt
