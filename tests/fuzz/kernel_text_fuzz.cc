#include "base/text.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

void CheckParts(std::string_view text) {
  std::string joined;
  for (const std::string_view part : idlewatt::Split(text, '\n')) {
    FUZZ_CHECK(part.find('\n') == std::string_view::npos);
    joined += std::string(part) + "\n";
  }
  FUZZ_CHECK(text.empty() || joined == text || joined == std::string(text) + "\n");
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t before = rest.size();
    const std::string_view field = idlewatt::NextField(rest);
    FUZZ_CHECK(field.find(' ') == std::string_view::npos);
    FUZZ_CHECK(rest.size() < before);
  }
}

}  // namespace

// Integers and labels as sysfs gives them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const std::string_view text = FuzzInput(data, size).Rest();
  if (const auto number = ParseIntFile(text)) {
    FUZZ_CHECK(ParseIntFile(" " + std::to_string(*number) + "\n") == number);
    FUZZ_CHECK(Trim(text).size() >= std::to_string(*number).size());
  }
  const std::string label = ToValidUtf8(Trim(text));
  FUZZ_CHECK(label.size() <= 3 * size);
  FUZZ_CHECK(ToValidUtf8(label) == label);
  FUZZ_CHECK(Trim(Trim(text)) == Trim(text));
  FUZZ_CHECK(GlobMatch("*", text) && GlobMatch(std::string(text) + "*", text));
  CheckParts(text);
  return 0;
}
