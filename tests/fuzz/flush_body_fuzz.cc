#include "storage/flush_body.h"

#include <zstd.h>

#include <cmath>
#include <optional>

#include "storage/checksum.h"
#include "storage/column_codec.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

// All of a body; nothing when it, or a column of it, is damaged.
std::optional<FlushTable> ReadAll(FlushDecoder& decoder, std::string_view body) {
  if (!decoder.Open(body)) return std::nullopt;
  FlushTable table;
  table.times_ms = decoder.times_ms();
  FlushDecoder::Column column;
  std::vector<double> values;
  for (;;) {
    const Result<bool> more = decoder.Next(column);
    if (!more) return std::nullopt;
    if (!*more) return table;
    if (!DecodeColumn(column.bytes, table.times_ms.size(), values)) return std::nullopt;
    const bool any = std::any_of(values.begin(), values.end(), [](double v) { return v == v; });
    if (!any) return std::nullopt;  // a NaN among the values; nobody writes that
    table.series_ids.push_back(column.series_id);
    table.values.insert(table.values.end(), values.begin(), values.end());
  }
}

void CheckTable(const FlushTable& table) {
  FUZZ_CHECK(!table.times_ms.empty() && table.times_ms.size() <= 1024);
  FUZZ_CHECK(std::is_sorted(table.times_ms.begin(), table.times_ms.end()));
  int64_t previous = 0;
  for (const int64_t id : table.series_ids) {
    FUZZ_CHECK(id > previous);
    previous = id;
  }
  FUZZ_CHECK(table.values.size() == table.times_ms.size() * table.series_ids.size());
}

void CheckRoundTrip(const FlushTable& table) {
  int64_t span = 0;
  if (__builtin_sub_overflow(table.times_ms.back(), table.times_ms.front(), &span)) return;
  FlushDecoder decoder;
  const auto again = ReadAll(decoder, EncodeFlush(table));
  FUZZ_CHECK(again && again->times_ms == table.times_ms);
  FUZZ_CHECK(again->series_ids == table.series_ids);
  for (size_t i = 0; i < table.values.size(); ++i) {
    FUZZ_CHECK(again->values[i] == table.values[i] || std::isnan(table.values[i]));
  }
}

std::string Compressed(std::string_view content) {
  std::string body(1 + ZSTD_compressBound(content.size()), '\1');
  const size_t size =
      ZSTD_compress(body.data() + 1, body.size() - 1, content.data(), content.size(), 1);
  FUZZ_CHECK(ZSTD_isError(size) == 0);
  body.resize(1 + size);
  return body;
}

std::string Checksummed(std::string_view content) {
  std::string body(1, '\2');
  PutWord(ChecksumOf(content), kChecksumBytes, body);
  return body.append(content);
}

}  // namespace
}  // namespace idlewatt

// 's' and the content of a body, which gets its checksum here; 'c' and that of one of the first
// version, which is compressed; anything else is a body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  std::string body(input.Rest());
  if (body.starts_with('s')) body = Checksummed(input.Rest().substr(1));
  if (body.starts_with('c')) body = Compressed(input.Rest().substr(1));
  FlushDecoder decoder;
  const auto table = ReadAll(decoder, body);
  if (!table) return 0;
  CheckTable(*table);
  CheckRoundTrip(*table);
  return 0;
}
