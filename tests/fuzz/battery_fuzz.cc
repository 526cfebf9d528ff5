#include "collector/battery_sampler.h"
#include "tests/fuzz/fuzz_machine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzMachine machine{FuzzInput(data, size)};
  const FileRoot sys = machine.Root();
  BatterySampler sampler(sys);
  FuzzReader reader(sampler);
  reader.largest = 1e6;  // watts, of all batteries
  while (machine.Next()) reader.Read();
  return 0;
}
