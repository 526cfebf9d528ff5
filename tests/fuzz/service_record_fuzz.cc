#include "supervisor/service_record.h"

#include "base/text.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const Result<ServiceRecord> record = ParseServiceRecord(input.Rest());
  if (!record) {
    FUZZ_CHECK(record.error().code == ErrorCode::kParse);
    return 0;
  }
  FUZZ_CHECK(record->restart_attempts >= 0);
  if (record->run) {
    FUZZ_CHECK(record->run->pid >= 0);
    // Sums and differences of times do not overflow.
    FUZZ_CHECK(record->run->started_boot.time_since_epoch() >= std::chrono::nanoseconds(0));
    FUZZ_CHECK(record->run->started_boot.time_since_epoch() <= std::chrono::hours(24 * 365 * 100));
    FUZZ_CHECK(FormatWallTime(record->run->started).size() == 24);
  }
  const std::string text = FormatServiceRecord(*record);
  FUZZ_CHECK(ToValidUtf8(text) == text);
  const Result<ServiceRecord> again = ParseServiceRecord(text);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(FormatServiceRecord(*again) == text);
  return 0;
}
