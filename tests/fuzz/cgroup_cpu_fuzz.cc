#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const auto stat = ParseCgroupCpuStat(input.Rest());
  if (!stat) return 0;
  FUZZ_CHECK(stat->user.raw >= 0 && stat->system.raw >= 0);
  const auto again =
      ParseCgroupCpuStat("usage_usec 1\nuser_usec " + std::to_string(stat->user.raw) +
                         "\nsystem_usec " + std::to_string(stat->system.raw) + "\n");
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->user == stat->user && again->system == stat->system);
  return 0;
}
