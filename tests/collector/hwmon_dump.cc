// Prints what libsensors reads on this machine, one line a sensor; run under umockdev-run by
// LibsensorsTest, for libsensors reads /sys and nothing else.
#include <cstdio>

#include "collector/sensors_api.h"

int main() {
  const auto api = idlewatt::MakeLibsensorsApi();
  const auto readings = api->Read();
  if (!readings) {
    std::printf("error %s\n", readings.error().ToString().c_str());
    return 1;
  }
  for (const idlewatt::SensorReading& reading : *readings) {
    std::printf("%s/%s \"%s\" ", reading.chip.c_str(), reading.sensor.c_str(),
                reading.label.c_str());
    if (reading.value) {
      std::printf("%g", *reading.value);
    } else {
      std::printf("%s", std::string(ErrorCodeName(reading.value.error().code)).c_str());
    }
    for (const auto& [limit, value] : reading.limits) {
      std::printf(" %s=%g", std::string(limit).c_str(), value);
    }
    std::printf("\n");
  }
  return 0;
}
