#include <cmath>

#include "base/text.h"
#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

// The key to look for, a line; then the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  const std::string key(input.Line());
  const std::string text(input.Rest());
  const auto bytes = MeminfoBytes(text, key);
  if (bytes) {
    FUZZ_CHECK(std::isfinite(*bytes) && *bytes >= 0);
    FUZZ_CHECK(text.find(key + ":") != std::string::npos);
  }
  // The first line of a key is the one that counts, whatever follows.
  FUZZ_CHECK(MeminfoBytes(key + ":   12 kB\n" + text, key) == 12.0 * 1024);
  return 0;
}
