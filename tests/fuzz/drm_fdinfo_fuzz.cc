#include <cmath>

#include "collector/gpu/drm_fdinfo.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const auto info = ParseDrmFdinfo(input.Rest());
  if (!info) return 0;
  FUZZ_CHECK(!info->driver.empty());
  for (const auto& [name, engine] : info->engines) {
    FUZZ_CHECK(!name.empty());
    FUZZ_CHECK(engine.capacity > 0);
  }
  for (const auto& [region, bytes] : info->memory_bytes) {
    FUZZ_CHECK(!region.empty());
    FUZZ_CHECK(std::isfinite(bytes) && bytes >= 0);
  }
  FUZZ_CHECK(std::isfinite(info->OwnMemoryBytes()) && info->OwnMemoryBytes() >= 0);
  return 0;
}
