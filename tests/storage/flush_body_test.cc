#include "storage/flush_body.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <cmath>
#include <limits>
#include <optional>
#include <random>

namespace idlewatt {
namespace {

constexpr size_t kContent = 5;  // behind version and checksum

FlushTable SomeTable() {
  FlushTable table;
  table.times_ms = {1'700'000'000'000, 1'700'000'005'001, 1'700'000'005'001};
  table.series_ids = {1, 2, 900};
  table.values = {1, 2, 3, 20.5, std::numeric_limits<double>::quiet_NaN(), 21, 0.1, 1.0 / 3, -7};
  return table;
}

std::string BodyOf(std::string_view content) {
  std::string body(1 + ZSTD_compressBound(content.size()), '\1');
  body.resize(1 +
              ZSTD_compress(body.data() + 1, body.size() - 1, content.data(), content.size(), 1));
  return body;
}

// Reads all of a body; false as soon as something is wrong.
bool ReadAll(FlushDecoder& decoder, std::string_view body, FlushTable* table = nullptr) {
  const auto every = [](int64_t series_id) { return std::optional(series_id); };
  const auto take = [table](int64_t series_id, const std::vector<double>& values) {
    if (table == nullptr) return;
    table->series_ids.push_back(series_id);
    table->values.insert(table->values.end(), values.begin(), values.end());
  };
  const bool is_right = decoder.Read(body, every, take).ok();
  if (table != nullptr) table->times_ms = decoder.times_ms();
  return is_right;
}

TEST(FlushBodyTest, GivesBackWhatWasEncoded) {
  const FlushTable table = SomeTable();
  const std::string body = EncodeFlush(table);
  FlushDecoder decoder;
  FlushTable back;
  ASSERT_TRUE(ReadAll(decoder, body, &back));
  EXPECT_EQ(back.times_ms, table.times_ms);
  EXPECT_EQ(back.series_ids, table.series_ids);
  ASSERT_EQ(back.values.size(), table.values.size());
  for (size_t i = 0; i < table.values.size(); ++i) {
    EXPECT_TRUE(back.values[i] == table.values[i] ||
                (std::isnan(back.values[i]) && std::isnan(table.values[i])))
        << i;
  }
}

TEST(FlushBodyTest, OnlySeriesThatAreAskedForAreRead) {
  FlushDecoder decoder;
  std::vector<double> values;
  std::vector<std::vector<double>> taken;
  const auto find = [&values](int64_t series_id) { return series_id == 900 ? &values : nullptr; };
  const auto take = [&](std::vector<double>& place, const std::vector<double>& read) {
    place = read;
    taken.push_back(read);
  };
  ASSERT_TRUE(decoder.Read(EncodeFlush(SomeTable()), find, take));
  EXPECT_EQ(values, std::vector<double>({0.1, 1.0 / 3, -7}));
  EXPECT_EQ(taken.size(), 1u);
}

TEST(FlushBodyTest, ABodyOfTheFirstVersionIsStillRead) {
  const std::string body = EncodeFlush(SomeTable());
  FlushDecoder decoder;
  FlushTable now, then;
  ASSERT_TRUE(ReadAll(decoder, body, &now));
  ASSERT_TRUE(ReadAll(decoder, BodyOf(body.substr(kContent)), &then));
  EXPECT_EQ(then.times_ms, now.times_ms);
  EXPECT_EQ(then.series_ids, now.series_ids);
}

TEST(FlushBodyTest, EveryChangedByteIsNoticed) {
  const std::string body = EncodeFlush(SomeTable());
  FlushDecoder decoder;
  for (size_t i = 0; i < body.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = body;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_FALSE(ReadAll(decoder, changed)) << i << ":" << bit;
    }
  }
}

TEST(FlushBodyTest, EveryCutIsNoticed) {
  const std::string body = EncodeFlush(SomeTable());
  FlushDecoder decoder;
  for (size_t size = 0; size < body.size(); ++size) {
    EXPECT_FALSE(ReadAll(decoder, std::string_view(body).substr(0, size))) << size;
  }
}

TEST(FlushBodyTest, RandomAndMutatedBodiesNeverCrash) {
  std::mt19937_64 random(7);
  FlushDecoder decoder;
  const std::string good = EncodeFlush(SomeTable());
  for (int round = 0; round < 20'000; ++round) {
    std::string content(random() % 64, '\0');
    for (char& c : content) c = static_cast<char>(random() % 3 == 0 ? random() : random() % 4);
    if (round % 2 == 0) {
      (void)ReadAll(decoder, BodyOf(content));
    } else {
      std::string body = good;
      for (size_t n = 1 + random() % 8; n > 0; --n)
        body[random() % body.size()] = content.empty() ? '\0' : content[random() % content.size()];
      (void)ReadAll(decoder, body);
    }
  }
  EXPECT_TRUE(ReadAll(decoder, good)) << "the decoder still works";
}

// The columns behind the checksum, mutated one byte at a time: what a hostile writer could send.
TEST(FlushBodyTest, MutatedContentNeverCrashes) {
  const std::string body = EncodeFlush(SomeTable());
  const std::string content = body.substr(kContent);
  FlushDecoder decoder;
  size_t refused = 0;
  for (size_t i = 0; i < content.size(); ++i) {
    for (const int value : {0, 1, 0x0f, 0x1f, 0x7f, 0x80, 0xff}) {
      std::string changed = content;
      changed[i] = static_cast<char>(value);
      if (!ReadAll(decoder, BodyOf(changed))) ++refused;
    }
  }
  EXPECT_GT(refused, 0u);
}

TEST(FlushBodyTest, RefusesContentOverTheLimitWithoutMakingRoomForIt) {
  const std::string bomb = BodyOf(std::string(size_t{64} << 20, '\0'));
  ASSERT_LT(bomb.size(), size_t{16} << 10);
  FlushDecoder decoder;
  const Result<void> opened = decoder.Open(bomb);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kParse);
}

TEST(FlushBodyTest, RefusesAnUnknownVersion) {
  std::string body = EncodeFlush(SomeTable());
  body[0] = 3;
  FlushDecoder decoder;
  EXPECT_FALSE(decoder.Open(body).ok());
}

}  // namespace
}  // namespace idlewatt
