#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const auto ticks = ParseHostCpu(input.Rest());
  if (!ticks) return 0;
  FUZZ_CHECK(ticks->size() >= 4 && ticks->size() <= kCpuModes.size());
  std::string line = "cpu ";
  for (const uint64_t tick : *ticks) line += " " + std::to_string(tick);
  const auto again = ParseHostCpu(line + "\ncpu0 1 2 3 4\n");
  FUZZ_CHECK(again.ok() && *again == *ticks);
  return 0;
}
