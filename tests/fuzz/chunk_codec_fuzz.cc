#include "storage/chunk_codec.h"

#include <bit>
#include <cstring>

#include "storage/checksum.h"
#include "storage/varint.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

void CheckValues(const std::vector<double>& values) {
  if (values.empty()) return;
  std::vector<double> again;
  FUZZ_CHECK(DecodeChunkValues(EncodeChunkValues(values), again).ok());
  FUZZ_CHECK(again.size() == values.size());
  FUZZ_CHECK(std::memcmp(again.data(), values.data(), values.size() * sizeof(double)) == 0);
}

void CheckTimes(std::vector<int64_t> times) {
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  std::vector<int64_t> again;
  FUZZ_CHECK(DecodeChunkTimes(EncodeChunkTimes(times), again).ok());
  FUZZ_CHECK(again == times);
}

template <typename Number>
std::vector<Number> NumbersOf(std::string_view bytes) {
  std::vector<Number> numbers(std::min<size_t>(bytes.size() / sizeof(Number), 2000));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(Number));
  return numbers;
}

}  // namespace
}  // namespace idlewatt

// A body, but for its checksum, which is put in here; and the same bytes as numbers to be encoded.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  const char kind = static_cast<char>(input.Byte());
  std::string body(1, kind);
  PutWord(ChecksumOf(input.Rest()), kChecksumBytes, body);
  body += input.Rest();
  // What is random in the integers decodes to as many as the body says: keep it to a few.
  ByteReader reader(input.Rest());
  const auto count = reader.Varint();
  if (count && *count <= 5000) {
    std::vector<double> values;
    if (DecodeChunkValues(body, values).ok()) CheckValues(values);
    std::vector<int64_t> times;
    if (DecodeChunkTimes(body, times).ok()) CheckTimes(times);
  }
  CheckValues(NumbersOf<double>(input.Rest()));
  CheckTimes(NumbersOf<int64_t>(input.Rest()));
  return 0;
}
