#include "collector/hwmon_sampler.h"
#include "tests/fuzz/fuzz_machine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzMachine machine{FuzzInput(data, size)};
  const FileRoot sys = machine.Root();
  HwmonSampler sampler(MakeHwmonTreeApi(sys), {});
  FuzzReader reader(sampler);
  reader.largest = 1e15;  // joules; the others are far below
  reader.may_be_silent = true;
  while (machine.Next()) reader.Read();
  return 0;
}
