#include "storage/chunk_codec.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <optional>

#include "storage/checksum.h"
#include "storage/decimal.h"
#include "storage/integer_codec.h"
#include "storage/varint.h"

namespace idlewatt {
namespace {

// The first byte of a body.
enum class Kind : uint8_t { kTimes = 1, kDecimal = 2, kRaw = 3 };

constexpr size_t kWordBytes = 8;
// A value that is no decimal stands apart, at some ten bytes; more of them than one in so many, and
// the whole chunk is better off without decimals.
constexpr size_t kValuesPerException = 16;
constexpr int kZstdLevel = 3;

Error Damaged(std::string_view what) { return {ErrorCode::kParse, "chunk", 0, std::string(what)}; }

// Kind, checksum of what follows, number of samples, content.
std::string Body(Kind kind, size_t count, std::string_view content) {
  std::string rest;
  PutVarint(count, rest);
  rest += content;
  std::string body(1, static_cast<char>(kind));
  PutWord(ChecksumOf(rest), kChecksumBytes, body);
  return body + rest;
}

struct OpenedBody {
  Kind kind;
  size_t count;
  std::string_view content;
};

Result<OpenedBody> Open(std::string_view body) {
  ByteReader reader(body);
  const auto kind = reader.Bytes(1);
  const auto checksum = kind ? reader.Bytes(kChecksumBytes) : std::nullopt;
  if (!checksum) return Damaged("cut short");
  if (WordOf(*checksum) != ChecksumOf(reader.rest())) return Damaged("wrong checksum");
  const auto count = reader.Varint();
  if (!count || *count == 0 || *count > kMostChunkSamples) return Damaged("number of samples");
  return OpenedBody{static_cast<Kind>(kind->front()), *count, reader.rest()};
}

// The exponent that suits most values, if few enough are left over.
std::optional<size_t> ChooseExponent(std::span<const double> values) {
  size_t exponent = 0;
  const size_t most_exceptions = values.size() / kValuesPerException;
  for (; exponent < kDecimalExponents; ++exponent) {
    size_t exceptions = 0;
    for (const double value : values) {
      if (!ToDecimal(value, exponent) && ++exceptions > most_exceptions) break;
    }
    if (exceptions <= most_exceptions) return exponent;
  }
  return std::nullopt;
}

// Values that are no decimals are listed before the integers, where the one before them stands in.
std::string DecimalContent(std::span<const double> values, size_t exponent) {
  std::vector<int64_t> integers;
  integers.reserve(values.size());
  std::string exceptions;
  size_t count = 0;
  size_t next = 0;  // the place after the last exception
  for (size_t i = 0; i < values.size(); ++i) {
    if (const auto integer = ToDecimal(values[i], exponent)) {
      integers.push_back(*integer);
      continue;
    }
    integers.push_back(integers.empty() ? 0 : integers.back());
    PutVarint(i - next, exceptions);
    PutWord(std::bit_cast<uint64_t>(values[i]), kWordBytes, exceptions);
    next = i + 1;
    ++count;
  }
  std::string content(1, static_cast<char>(exponent));
  PutVarint(count, content);
  content += exceptions;
  EncodeIntegers(integers, content);
  return content;
}

// Each word XOR the one before, all first bytes together, then all second ones, …: what words have
// in common stands side by side, for zstd to find.
std::string RawContent(std::span<const double> values) {
  const size_t count = values.size();
  std::string planes(count * kWordBytes, '\0');
  uint64_t previous = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint64_t>(values[i]);
    const uint64_t changed = bits ^ previous;
    previous = bits;
    for (size_t b = 0; b < kWordBytes; ++b) {
      planes[b * count + i] = static_cast<char>(changed >> (8 * b));
    }
  }
  std::string content(ZSTD_compressBound(planes.size()), '\0');
  const size_t size =
      ZSTD_compress(content.data(), content.size(), planes.data(), planes.size(), kZstdLevel);
  assert(ZSTD_isError(size) == 0);  // it can only fail for want of room or memory
  content.resize(size);
  return content;
}

Result<void> TakeDecimals(const OpenedBody& body, std::vector<double>& values) {
  ByteReader reader(body.content);
  const auto exponent = reader.Bytes(1);
  const auto exceptions = exponent ? reader.Varint() : std::nullopt;
  if (!exceptions) return Damaged("cut short");
  if (static_cast<uint8_t>(exponent->front()) >= kDecimalExponents) {
    return Damaged("unknown exponent");
  }
  if (*exceptions > body.count) return Damaged("number of exceptions");
  std::vector<std::pair<size_t, double>> apart;
  size_t next = 0;
  for (uint64_t i = 0; i < *exceptions; ++i) {
    const auto step = reader.Varint();
    const auto word = step ? reader.Bytes(kWordBytes) : std::nullopt;
    if (!word) return Damaged("exceptions cut short");
    if (next >= body.count || *step >= body.count - next) return Damaged("place of an exception");
    next += *step;
    apart.emplace_back(next++, std::bit_cast<double>(WordOf(*word)));
  }
  std::vector<int64_t> integers;
  RETURN_IF_ERROR(DecodeIntegers(reader.rest(), body.count, integers));
  values.resize(body.count);
  const auto scale = static_cast<size_t>(exponent->front());
  for (size_t i = 0; i < values.size(); ++i) values[i] = FromDecimal(integers[i], scale);
  for (const auto& [place, value] : apart) values[place] = value;
  return {};
}

Result<void> TakeRaw(const OpenedBody& body, std::vector<double>& values) {
  std::string planes(body.count * kWordBytes, '\0');
  const size_t size =
      ZSTD_decompress(planes.data(), planes.size(), body.content.data(), body.content.size());
  if (ZSTD_isError(size) != 0) return Damaged(ZSTD_getErrorName(size));
  if (size != planes.size()) return Damaged("values cut short");
  values.resize(body.count);
  uint64_t bits = 0;
  for (size_t i = 0; i < body.count; ++i) {
    for (size_t b = 0; b < kWordBytes; ++b) {
      bits ^= static_cast<uint64_t>(static_cast<uint8_t>(planes[b * body.count + i])) << (8 * b);
    }
    values[i] = std::bit_cast<double>(bits);
  }
  return {};
}

}  // namespace

std::string EncodeChunkValues(std::span<const double> values) {
  assert(!values.empty() && values.size() <= kMostChunkSamples);
  const auto exponent = ChooseExponent(values);
  if (!exponent) return Body(Kind::kRaw, values.size(), RawContent(values));
  return Body(Kind::kDecimal, values.size(), DecimalContent(values, *exponent));
}

std::string EncodeChunkTimes(std::span<const int64_t> times_ms) {
  assert(!times_ms.empty() && times_ms.size() <= kMostChunkSamples);
  std::string content;
  EncodeIntegers(times_ms, content);
  return Body(Kind::kTimes, times_ms.size(), content);
}

Result<void> DecodeChunkValues(std::string_view body, std::vector<double>& values) {
  ASSIGN_OR_RETURN(const OpenedBody opened, Open(body));
  if (opened.kind == Kind::kDecimal) return TakeDecimals(opened, values);
  if (opened.kind == Kind::kRaw) return TakeRaw(opened, values);
  return Damaged("unknown kind");
}

Result<void> DecodeChunkTimes(std::string_view body, std::vector<int64_t>& times_ms) {
  ASSIGN_OR_RETURN(const OpenedBody opened, Open(body));
  if (opened.kind != Kind::kTimes) return Damaged("unknown kind");
  RETURN_IF_ERROR(DecodeIntegers(opened.content, opened.count, times_ms));
  if (!std::is_sorted(times_ms.begin(), times_ms.end())) return Damaged("times that fall");
  return {};
}

}  // namespace idlewatt
