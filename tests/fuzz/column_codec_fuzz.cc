#include "storage/column_codec.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

bool IsSame(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

void CheckRoundTrip(const std::vector<double>& values) {
  const bool any = std::any_of(values.begin(), values.end(), [](double v) { return v == v; });
  if (!any) return;
  std::string bytes;
  EncodeColumn(values, bytes);
  std::vector<double> again;
  FUZZ_CHECK(DecodeColumn(bytes, values.size(), again).ok());
  FUZZ_CHECK(std::equal(values.begin(), values.end(), again.begin(), again.end(), IsSame));
}

std::vector<double> Doubles(std::string_view bytes) {
  std::vector<double> values(bytes.size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
  return values;
}

}  // namespace
}  // namespace idlewatt

// The number of frames less one, then a column, or the same bytes as doubles.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  const size_t frames = size_t{1} + input.Byte();
  std::vector<double> values;
  if (DecodeColumn(input.Rest(), frames, values)) {
    FUZZ_CHECK(values.size() == frames);
    CheckRoundTrip(values);
  }
  CheckRoundTrip(Doubles(input.Rest().substr(0, 256 * sizeof(double))));
  return 0;
}
