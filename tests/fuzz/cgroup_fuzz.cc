#include "base/text.h"
#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const std::string path = ParseCgroup(input.Rest());
  FUZZ_CHECK(!path.empty());
  FUZZ_CHECK(path.find('\n') == std::string::npos);
  FUZZ_CHECK(ParseCgroup("0::" + path + "\n") == path);
  FUZZ_CHECK(ParseCgroup("12:cpu:/elsewhere\n1:name=systemd:" + path + "\n0::/\n") == path);
  if (const auto group = CgroupGroup(path)) {
    FUZZ_CHECK(!group->empty());
    FUZZ_CHECK(group->find('/') == std::string::npos);
    FUZZ_CHECK(ToValidUtf8(*group) == *group);
  }
  return 0;
}
