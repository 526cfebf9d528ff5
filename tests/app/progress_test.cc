#include "app/progress.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

using std::chrono::seconds;

TEST(ProgressTest, ShowsPlaceSamplesAndRateInOneLine) {
  EXPECT_EQ(ProgressLine(0.5, "1.0 of 2.0 GiB", 3'000'000, seconds(2), 80),
            "[###############................]  50 %  1.0 of 2.0 GiB  3.0 M samples  1.5 M/s");
  EXPECT_EQ(ProgressLine(std::nullopt, "1.0 GiB", 3'000'000, seconds(1000), 80),
            "1.0 GiB  3.0 M samples  3.0 k/s");
}

TEST(ProgressTest, NeverReachesTheLastColumn) {
  for (size_t columns = 0; columns < 200; ++columns) {
    for (const double part : {0.0, 0.37, 1.0, 7.0}) {
      const std::string line =
          ProgressLine(part, "123 MiB of 456 GiB", uint64_t{1} << 60, seconds(0), columns);
      EXPECT_LE(line.size() + 1, std::max<size_t>(columns, 1));
    }
  }
}

TEST(ProgressTest, BytesHaveTheUnitThatFits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{300} << 30), "300 GiB");
  EXPECT_EQ(FormatBytes(uint64_t{5000} << 40), "5000 TiB");
}

}  // namespace
}  // namespace idlewatt
