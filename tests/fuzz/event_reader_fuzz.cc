#include "app/event_reader.h"
#include "tests/fuzz/fuzz_support.h"

// However a stream is cut, it has the same events.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using idlewatt::ServerEvent;
  idlewatt::FuzzInput input(data, size);
  const size_t piece = input.Byte() + size_t{1};
  idlewatt::EventReader whole;
  const std::vector<ServerEvent> events = whole.Take(input.Rest());
  idlewatt::EventReader cut;
  size_t found = 0;
  while (!input.empty()) {
    for (const ServerEvent& event : cut.Take(input.Take(piece))) {
      FUZZ_CHECK(found < events.size());
      FUZZ_CHECK(event.name == events[found].name && event.data == events[found].data);
      FUZZ_CHECK(event.name.find('\n') == std::string::npos);
      ++found;
    }
  }
  FUZZ_CHECK(found == events.size());
  return 0;
}
