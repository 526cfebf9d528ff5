#include "storage/column_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "storage/decimal.h"
#include "storage/varint.h"

namespace idlewatt {
namespace {

constexpr uint8_t kRawEncoding = 15;
constexpr uint8_t kEncodingMask = 0x0f;
constexpr uint8_t kHasPresenceMap = 0x10;
constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();

uint64_t BitsOf(double value) { return std::bit_cast<uint64_t>(value); }

// The smallest exponent that holds every value, else kRawEncoding.
uint8_t ChooseEncoding(std::span<const double> values) {
  size_t exponent = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    while (!ToDecimal(value, exponent)) {
      if (++exponent == kDecimalExponents) return kRawEncoding;
    }
  }
  // A value taken early may be too large for the exponent that a later one asked for.
  const bool all = std::all_of(values.begin(), values.end(), [exponent](double value) {
    return std::isnan(value) || ToDecimal(value, exponent);
  });
  return all ? static_cast<uint8_t>(exponent) : kRawEncoding;
}

void PutPresenceMap(std::span<const double> values, std::string& out) {
  const size_t start = out.size();
  out.append((values.size() + 7) / 8, '\0');
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    char& byte = out[start + i / 8];
    byte = static_cast<char>(byte | (1 << (i % 8)));
  }
}

void PutRaw(double value, uint64_t& previous, std::string& out) {
  const uint64_t bits = BitsOf(value) ^ previous;
  previous = BitsOf(value);
  PutWord(bits, sizeof bits, out);
}

std::optional<double> TakeRaw(ByteReader& reader, uint64_t& previous) {
  const auto bytes = reader.Bytes(8);
  if (!bytes) return std::nullopt;
  previous ^= WordOf(*bytes);
  return std::bit_cast<double>(previous);
}

std::optional<double> TakeDecimal(ByteReader& reader, uint8_t exponent, uint64_t& previous) {
  const auto delta = reader.Varint();
  if (!delta) return std::nullopt;
  previous += static_cast<uint64_t>(UnZigZag(*delta));  // unsigned: a hostile sum may wrap
  return FromDecimal(static_cast<int64_t>(previous), exponent);
}

Error Damaged(std::string_view what) { return {ErrorCode::kParse, "column", 0, std::string(what)}; }

// Marks present frames with 0 and absent ones with NaN.
Result<void> TakePresence(ByteReader& reader, std::vector<double>& values) {
  const auto map = reader.Bytes((values.size() + 7) / 8);
  if (!map) return Damaged("presence map cut short");
  size_t present = 0;
  for (size_t i = 0; i < map->size() * 8; ++i) {
    const bool set = ((static_cast<uint8_t>((*map)[i / 8]) >> (i % 8)) & 1) != 0;
    if (i >= values.size()) {
      if (set) return Damaged("presence of a frame that is not there");
      continue;
    }
    if (set) ++present;
    values[i] = set ? 0 : kAbsent;
  }
  if (present == 0) return Damaged("no value present");
  return {};
}

}  // namespace

void EncodeColumn(std::span<const double> values, std::string& out) {
  const bool whole =
      std::none_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
  const uint8_t encoding = ChooseEncoding(values);
  out += static_cast<char>(whole ? encoding : encoding | kHasPresenceMap);
  if (!whole) PutPresenceMap(values, out);
  uint64_t previous_bits = 0;
  int64_t previous = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    if (encoding == kRawEncoding) {
      PutRaw(value, previous_bits, out);
    } else {
      const int64_t scaled = *ToDecimal(value, encoding);
      PutVarint(ZigZag(scaled - previous), out);
      previous = scaled;
    }
  }
}

Result<void> DecodeColumn(std::string_view bytes, size_t frames, std::vector<double>& values) {
  ByteReader reader(bytes);
  const auto head_byte = reader.Bytes(1);
  if (!head_byte) return Damaged("empty");
  const auto head = static_cast<uint8_t>(head_byte->front());
  const uint8_t encoding = head & kEncodingMask;
  if (encoding != kRawEncoding && encoding >= kDecimalExponents) {
    return Damaged("unknown encoding");
  }
  if ((head & ~(kEncodingMask | kHasPresenceMap)) != 0) return Damaged("unknown flag");
  values.assign(frames, 0);
  if ((head & kHasPresenceMap) != 0) RETURN_IF_ERROR(TakePresence(reader, values));
  uint64_t previous = 0;
  for (double& value : values) {
    if (std::isnan(value)) continue;
    const auto taken = encoding == kRawEncoding ? TakeRaw(reader, previous)
                                                : TakeDecimal(reader, encoding, previous);
    if (!taken) return Damaged("values cut short");
    value = *taken;
  }
  if (!reader.empty()) return Damaged("bytes left over");
  return {};
}

}  // namespace idlewatt
