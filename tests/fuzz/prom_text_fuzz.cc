#include <set>

#include "collector/prom_text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const auto families = ParsePromText(input.Rest(), "input");
  if (!families) {
    FUZZ_CHECK(!families.error().ToString().empty());
    return 0;
  }
  std::set<std::string> names;
  size_t samples = 0;
  for (const PromFamily& family : *families) {
    FUZZ_CHECK(names.insert(family.name).second);
    for (const PromSample& sample : family.samples) {
      FUZZ_CHECK(sample.name.starts_with(family.name));
      FUZZ_CHECK(sample.line > 0);
      FUZZ_CHECK(sample.labels.size() <= kMaxPromLabels);
      for (size_t i = 1; i < sample.labels.size(); ++i) {
        FUZZ_CHECK(sample.labels[i - 1].first < sample.labels[i].first);
      }
    }
    samples += family.samples.size();
  }
  FUZZ_CHECK(samples <= kMaxPromSamples);
  return 0;
}
