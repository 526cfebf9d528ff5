#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const auto io = ParsePidIo(input.Rest());
  if (!io) return 0;
  const auto again = ParsePidIo("rchar: 1\nread_bytes: " + std::to_string(io->read_bytes) +
                                "\nwrite_bytes: " + std::to_string(io->write_bytes) + "\n");
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again->read_bytes == io->read_bytes && again->write_bytes == io->write_bytes);
  return 0;
}
