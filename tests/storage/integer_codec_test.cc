#include "storage/integer_codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace idlewatt {
namespace {

constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

size_t ExpectRoundTrip(const std::vector<int64_t>& values) {
  std::string bytes;
  EncodeIntegers(values, bytes);
  std::vector<int64_t> back;
  const Result<void> decoded = DecodeIntegers(bytes, values.size(), back);
  EXPECT_TRUE(decoded.ok()) << (decoded.ok() ? "" : decoded.error().ToString());
  EXPECT_EQ(back, values);
  return bytes.size();
}

TEST(IntegerCodecTest, GivesBackTheExtremes) {
  ExpectRoundTrip({0});
  ExpectRoundTrip({kLeast});
  ExpectRoundTrip({kMost});
  ExpectRoundTrip({kLeast, kMost, kLeast, kMost});
  ExpectRoundTrip({kMost, kLeast, 0, -1, 1});
  ExpectRoundTrip({0, kLeast, 0, kLeast});  // differences of 2^63, which is no grain with a sign
  ExpectRoundTrip({kLeast, 0, kLeast});
  ExpectRoundTrip({kLeast, 0, kMost - 1});
  ExpectRoundTrip(std::vector<int64_t>(1000, -7));
}

TEST(IntegerCodecTest, GivesBackRandomNumbersOfEverySize) {
  std::mt19937_64 random(3);
  for (int bits = 1; bits <= 64; ++bits) {
    std::vector<int64_t> values(1 + random() % 300);
    for (int64_t& value : values) value = static_cast<int64_t>(random() >> (64 - bits));
    ExpectRoundTrip(values);
    for (int64_t& value : values) value = static_cast<int64_t>(uint64_t{0} - random() % 3 * 4096);
    ExpectRoundTrip(values);
  }
}

TEST(IntegerCodecTest, GivesBackWalksAndCountersOfEveryStep) {
  std::mt19937_64 random(4);
  for (int shift = 0; shift < 60; ++shift) {
    std::vector<int64_t> walk{0}, counter{0};
    for (int i = 0; i < 200; ++i) {
      const auto step = static_cast<int64_t>(random() >> (63 - shift));
      walk.push_back(walk.back() + (random() % 2 == 0 ? step : -step) / 2);
      counter.push_back(static_cast<int64_t>(static_cast<uint64_t>(counter.back()) +
                                             static_cast<uint64_t>(step)));
    }
    ExpectRoundTrip(walk);
    ExpectRoundTrip(counter);
  }
}

TEST(IntegerCodecTest, WhatDoesNotChangeCostsNextToNothing) {
  EXPECT_LT(ExpectRoundTrip(std::vector<int64_t>(17'280, 123'456'789)), 40u);
}

TEST(IntegerCodecTest, ATimeEveryFiveSecondsCostsNextToNothing) {
  std::vector<int64_t> times;
  for (int i = 0; i < 17'280; ++i) times.push_back(1'700'000'000'000 + i * 5000);
  EXPECT_LT(ExpectRoundTrip(times), 40u);
}

TEST(IntegerCodecTest, NoiseCostsItsEntropyAndLittleMore) {
  std::mt19937_64 random(5);
  std::vector<int64_t> values;
  for (int i = 0; i < 17'280; ++i) values.push_back(50'000 + static_cast<int64_t>(random() % 256));
  EXPECT_LT(ExpectRoundTrip(values), 17'280 * 1.06);  // 8 bits each
}

TEST(IntegerCodecTest, PagesOfMemoryAreCountedInPages) {
  std::mt19937_64 random(6);
  std::vector<int64_t> pages{1000}, bytes{4'096'000};
  for (int i = 0; i < 2000; ++i) {
    pages.push_back(pages.back() + static_cast<int64_t>(random() % 9) - 4);
    bytes.push_back(pages.back() * 4096);
  }
  EXPECT_LE(ExpectRoundTrip(bytes), ExpectRoundTrip(pages) + 8);
}

TEST(IntegerCodecTest, MutatedBytesNeverCrash) {
  std::mt19937_64 random(7);
  std::vector<int64_t> values, back;
  for (int i = 0; i < 500; ++i) values.push_back(static_cast<int64_t>(random() % 1000));
  std::string bytes;
  EncodeIntegers(values, bytes);
  for (int round = 0; round < 3000; ++round) {
    std::string changed = bytes.substr(0, random() % (bytes.size() + 1));
    if (!changed.empty()) changed[random() % changed.size()] = static_cast<char>(random());
    if (DecodeIntegers(changed, values.size(), back).ok()) {
      EXPECT_EQ(back.size(), values.size());
    }
  }
}

}  // namespace
}  // namespace idlewatt
