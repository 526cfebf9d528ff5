#include "base/duration.h"

#include "base/text.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

void CheckDuration(std::string_view text) {
  const auto duration = ParseDuration(text);
  if (!duration) return;
  FUZZ_CHECK(duration->count() >= 0);
  // Deadlines are nanoseconds, and later than now.
  FUZZ_CHECK(*duration <= std::chrono::hours(24 * 365 * 200));
  FUZZ_CHECK(ParseDuration(std::to_string(duration->count()) + "ms").value() == *duration);
  // What people are shown is at most one part of its smallest unit short.
  milliseconds shown{0};
  const std::string format = FormatDuration(*duration);
  for (const std::string_view part : Split(format, ' ')) shown += ParseDuration(part).value();
  FUZZ_CHECK(shown <= *duration);
  FUZZ_CHECK(*duration - shown < std::max(milliseconds(1000), *duration / 24));
}

void CheckTime(std::string_view text) {
  const WallTime now(milliseconds(1'700'000'000'000));
  const auto time = ParseTime(text, now);
  if (!time) return;
  const std::string format = FormatWallTime(*time);
  const auto again = ParseTime(format, now);
  // Years below 0 and above 9999 cannot be written.
  const int64_t seconds =
      std::chrono::floor<std::chrono::seconds>(time->time_since_epoch()).count();
  if (seconds >= -62'167'219'200 && seconds < 253'402'300'800) {
    FUZZ_CHECK(again.ok() && *again == *time);
  }
}

}  // namespace
}  // namespace idlewatt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const std::string_view text = FuzzInput(data, size).Rest();
  CheckDuration(text);
  CheckTime(text);
  if (const auto bytes = ParseSize(text)) {
    FUZZ_CHECK(*bytes >= 0);
    FUZZ_CHECK(ParseSize(std::to_string(*bytes) + "B").value() == *bytes);
  }
  return 0;
}
