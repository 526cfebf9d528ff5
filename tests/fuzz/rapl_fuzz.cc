#include "collector/rapl_sampler.h"
#include "tests/fuzz/fuzz_machine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzMachine machine{FuzzInput(data, size)};
  const FileRoot sys = machine.Root();
  RaplSampler sampler(sys);
  FuzzReader reader(sampler);
  for (int readings = 1; machine.Next(); ++readings) {
    reader.largest = readings * 1e6;  // joules in five seconds; or resets
    reader.Read();
  }
  return 0;
}
