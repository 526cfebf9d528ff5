#include "storage/chunk_codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "storage/checksum.h"
#include "storage/varint.h"

namespace idlewatt {
namespace {

using Limits = std::numeric_limits<double>;

std::vector<uint64_t> BitsOf(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  for (const double value : values) bits.push_back(std::bit_cast<uint64_t>(value));
  return bits;
}

size_t ExpectRoundTrip(const std::vector<double>& values) {
  const std::string body = EncodeChunkValues(values);
  std::vector<double> back;
  const Result<void> decoded = DecodeChunkValues(body, back);
  EXPECT_TRUE(decoded.ok()) << (decoded.ok() ? "" : decoded.error().ToString());
  EXPECT_EQ(BitsOf(back), BitsOf(values));
  return body.size();
}

// A body of any kind around any content, with the checksum it needs.
std::string BodyOf(char kind, uint64_t count, std::string_view content) {
  std::string rest;
  PutVarint(count, rest);
  rest += content;
  std::string body(1, kind);
  PutWord(ChecksumOf(rest), kChecksumBytes, body);
  return body + rest;
}

TEST(ChunkCodecTest, GivesBackEveryDoubleBitByBit) {
  const double payload = std::bit_cast<double>(uint64_t{0x7ff0000000000002});  // Prometheus: stale
  const double negative = std::bit_cast<double>(uint64_t{0xfff8000000abcdef});
  ExpectRoundTrip({0.0});
  ExpectRoundTrip({-0.0});
  ExpectRoundTrip({Limits::quiet_NaN(), payload, negative, Limits::signaling_NaN()});
  ExpectRoundTrip({Limits::infinity(), -Limits::infinity(), Limits::max(), Limits::lowest()});
  ExpectRoundTrip({Limits::denorm_min(), Limits::min(), -Limits::denorm_min()});
  ExpectRoundTrip({0.1, 0.2, 0.1 + 0.2, 1.0 / 3});
  ExpectRoundTrip({9007199254740991.0, 9007199254740992.0, 9007199254740993.0});
}

TEST(ChunkCodecTest, GivesBackRandomBits) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> values(1 + random() % 200);
    for (double& value : values) value = std::bit_cast<double>(random());
    ExpectRoundTrip(values);
  }
}

TEST(ChunkCodecTest, AFewOddValuesDoNotSpoilTheOthers) {
  std::mt19937_64 random(2);
  std::vector<double> values;
  for (int i = 0; i < 5000; ++i) values.push_back(static_cast<double>(random() % 100) / 10);
  const size_t plain = ExpectRoundTrip(values);
  values.front() = -0.0;
  values.back() = Limits::quiet_NaN();
  values[17] = Limits::infinity();
  values[18] = 1.0 / 3;
  EXPECT_LT(ExpectRoundTrip(values), plain + 60);
}

TEST(ChunkCodecTest, ValuesThatAreNoDecimalsTakeTheirBytesAndNoMore) {
  std::mt19937_64 random(3);
  std::vector<double> values;
  for (int i = 0; i < 5000; ++i) values.push_back(static_cast<double>(random() % 1000) / 997);
  EXPECT_LT(ExpectRoundTrip(values), 5000 * 8u);
  const std::vector<double> same(5000, 1.0 / 3);
  EXPECT_LT(ExpectRoundTrip(same), 60u);
}

TEST(ChunkCodecTest, EveryChangedBitIsNoticed) {
  for (const std::vector<double>& values :
       {std::vector<double>{20.5, 20.5, 21, 19.75}, std::vector<double>{1.0 / 3, 2.0 / 3, 0.7}}) {
    const std::string body = EncodeChunkValues(values);
    std::vector<double> back;
    for (size_t i = 0; i < body.size() * 8; ++i) {
      std::string changed = body;
      changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
      // The kind is not under the checksum, but no body makes sense as another one.
      EXPECT_FALSE(DecodeChunkValues(changed, back).ok()) << i;
    }
    for (size_t size = 0; size < body.size(); ++size) {
      EXPECT_FALSE(DecodeChunkValues(body.substr(0, size), back).ok()) << size;
    }
  }
}

TEST(ChunkCodecTest, HostileNumbersAreRefusedWithoutMakingRoomForThem) {
  std::vector<double> values;
  std::vector<int64_t> times;
  for (const char kind : {'\1', '\2', '\3', '\4'}) {
    for (const uint64_t count : {uint64_t{0}, uint64_t{kMostChunkSamples + 1}, ~uint64_t{0}}) {
      EXPECT_FALSE(DecodeChunkValues(BodyOf(kind, count, "0123456789"), values).ok());
      EXPECT_FALSE(DecodeChunkTimes(BodyOf(kind, count, "0123456789"), times).ok());
    }
  }
  // Exponent 0 and more exceptions than values, or one behind the last value.
  EXPECT_FALSE(DecodeChunkValues(BodyOf(2, 2, std::string("\0\3", 2)), values).ok());
  EXPECT_FALSE(
      DecodeChunkValues(BodyOf(2, 2, std::string("\0\1\2", 3) + std::string(8, 'x')), values).ok());
}

TEST(ChunkCodecTest, TimesComeBackAndMayStandStill) {
  const std::vector<int64_t> times{
      -5, -5, 0, 1'700'000'000'000, 1'700'000'000'000, std::numeric_limits<int64_t>::max()};
  std::vector<int64_t> back;
  ASSERT_TRUE(DecodeChunkTimes(EncodeChunkTimes(times), back).ok());
  EXPECT_EQ(back, times);
}

TEST(ChunkCodecTest, TimesThatFallAreRefused) {
  std::vector<int64_t> back;
  EXPECT_FALSE(DecodeChunkTimes(EncodeChunkTimes(std::vector<int64_t>{2, 1}), back).ok());
}

TEST(ChunkCodecTest, ValuesAreNoTimes) {
  std::vector<int64_t> times;
  std::vector<double> values;
  EXPECT_FALSE(DecodeChunkTimes(EncodeChunkValues(std::vector<double>{1, 2}), times).ok());
  EXPECT_FALSE(DecodeChunkValues(EncodeChunkTimes(std::vector<int64_t>{1, 2}), values).ok());
}

}  // namespace
}  // namespace idlewatt
