#include "storage/column_codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace idlewatt {
namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();

void ExpectRoundTrip(const std::vector<double>& values) {
  std::string bytes;
  EncodeColumn(values, bytes);
  std::vector<double> back;
  const Result<void> decoded = DecodeColumn(bytes, values.size(), back);
  ASSERT_TRUE(decoded.ok()) << decoded.error().ToString();
  ASSERT_EQ(back.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) {
      EXPECT_TRUE(std::isnan(back[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<uint64_t>(back[i]), std::bit_cast<uint64_t>(values[i])) << values[i];
    }
  }
}

TEST(ColumnCodecTest, GivesBackEveryDoubleBitByBit) {
  const double infinity = std::numeric_limits<double>::infinity();
  ExpectRoundTrip({0.0});
  ExpectRoundTrip({-0.0, 0.0, 1.0});
  ExpectRoundTrip({0.1, 0.2, 0.1 + 0.2});
  ExpectRoundTrip({infinity, -infinity, 1e308, 5e-324});
  ExpectRoundTrip({9007199254740991.0, 9007199254740992.0, 9007199254740993.0});
  ExpectRoundTrip({9007199254740991.0, -9007199254740991.0});
  ExpectRoundTrip({9007199254740991.0, 0.5});
  ExpectRoundTrip({1.0 / 3, 2.0 / 3});
}

TEST(ColumnCodecTest, GivesBackRandomDoublesBitByBit) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> values(1 + random() % 40);
    const int kind = static_cast<int>(random() % 3);
    for (double& value : values) {
      const uint64_t bits = random();
      value = kind == 0   ? std::bit_cast<double>(bits)
              : kind == 1 ? static_cast<double>(bits % 100000) / 100
                          : static_cast<double>(bits >> (bits % 64));
      if (random() % 4 == 0) value = kAbsent;
    }
    values[0] = 1.5;
    ExpectRoundTrip(values);
  }
}

TEST(ColumnCodecTest, KeepsAbsentFramesAbsent) {
  ExpectRoundTrip({kAbsent, 1, kAbsent, 2.25, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent, 3});
}

TEST(ColumnCodecTest, DecimalValuesNeedFewBytes) {
  std::string bytes;
  EncodeColumn(std::vector<double>{41.5, 41.75, 41.5}, bytes);
  EXPECT_LE(bytes.size(), 6u);
}

TEST(ColumnCodecTest, RefusesWhatIsNotOneColumn) {
  std::vector<double> values;
  std::string bytes;
  EncodeColumn(std::vector<double>{1, 2, 3}, bytes);
  EXPECT_FALSE(DecodeColumn("", 3, values).ok());
  EXPECT_FALSE(DecodeColumn(bytes + "x", 3, values).ok());
  EXPECT_FALSE(DecodeColumn(bytes.substr(0, bytes.size() - 1), 3, values).ok());
  EXPECT_FALSE(DecodeColumn(std::string("\x0a\0\0\0", 4), 3, values).ok()) << "encoding 10";
  EXPECT_FALSE(DecodeColumn(std::string("\x20\0\0\0", 4), 3, values).ok()) << "unknown flag";
  EXPECT_FALSE(DecodeColumn(std::string("\x10\x00", 2), 3, values).ok()) << "nothing present";
  EXPECT_FALSE(DecodeColumn(std::string("\x10\x08\x00", 3), 3, values).ok()) << "fourth of three";
}

}  // namespace
}  // namespace idlewatt
