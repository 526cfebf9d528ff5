#include <set>

#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const auto totals = ParsePressure(input.Rest());
  if (!totals) return 0;
  FUZZ_CHECK(!totals->empty());
  std::set<std::string> kinds;
  std::string text;
  for (const auto& [kind, total] : *totals) {
    FUZZ_CHECK(kind == "some" || kind == "full");
    FUZZ_CHECK(kinds.insert(kind).second);  // else a series would have two values
    FUZZ_CHECK(total.raw >= 0);
    text += kind + " avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(total.raw) + "\n";
  }
  const auto again = ParsePressure(text);
  FUZZ_CHECK(again.ok() && *again == *totals);
  return 0;
}
