#include "storage/flush_body.h"

#include <zstd.h>

#include <cmath>
#include <optional>

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
  FlushEncoder encoder;
  const Result<std::string> body = encoder.Encode(table);
  FUZZ_CHECK(body.ok());
  FlushDecoder decoder;
  const auto again = ReadAll(decoder, *body);
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

}  // namespace
}  // namespace idlewatt

// 'c' and the content of a body, which is compressed here; anything else is a body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  const bool is_content = input.Rest().starts_with('c');
  const std::string body =
      is_content ? Compressed(input.Rest().substr(1)) : std::string(input.Rest());
  FlushDecoder decoder;
  const auto table = ReadAll(decoder, body);
  if (!table) return 0;
  CheckTable(*table);
  CheckRoundTrip(*table);
  return 0;
}
