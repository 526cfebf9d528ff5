#include "base/duration.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

const WallTime kNow(milliseconds(1'763'696'220'000));  // 2025-11-21T03:37:00Z

int64_t Millis(std::string_view text) {
  const auto duration = ParseDuration(text);
  return duration ? duration->count() : -1;
}

int64_t Bytes(std::string_view text) { return ParseSize(text).value_or(-1); }

std::string Time(std::string_view text) {
  const auto time = ParseTime(text, kNow);
  return time ? FormatWallTime(*time) : time.error().ToString();
}

TEST(DurationTest, EveryUnitIsRead) {
  EXPECT_EQ(Millis("350ms"), 350);
  EXPECT_EQ(Millis("5s"), 5'000);
  EXPECT_EQ(Millis("15m"), 900'000);
  EXPECT_EQ(Millis("24h"), 86'400'000);
  EXPECT_EQ(Millis("14d"), 14 * 86'400'000LL);
  EXPECT_EQ(Millis("2w"), 14 * 86'400'000LL);
  EXPECT_EQ(Millis("5y"), 5 * 365 * 86'400'000LL);
}

TEST(DurationTest, DecimalsAndZeroAreRead) {
  EXPECT_EQ(Millis("1.5s"), 1'500);
  EXPECT_EQ(Millis("0.25m"), 15'000);
  EXPECT_EQ(Millis("0s"), 0);
}

TEST(DurationTest, WhatIsNoDurationIsRefused) {
  for (const char* text : {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5S", "5sec", "1.2.3s",
                           ".", ".s", "1e3s", "0x5s", "5s5m", "nans", "infs"}) {
    EXPECT_EQ(Millis(text), -1) << text;
  }
}

TEST(DurationTest, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(Millis("1000000y"), -1);
  EXPECT_EQ(Millis(std::string(400, '9') + "s"), -1);
  EXPECT_EQ(Millis("200y"), 200 * 365 * 86'400'000LL);
  EXPECT_EQ(Millis("201y"), -1) << "must hold in nanoseconds";
}

TEST(DurationTest, TheErrorShowsTheTextAndAnExample) {
  const auto refused = ParseDuration("5 minutes");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_NE(refused.error().ToString().find("\"5 minutes\""), std::string::npos);
  EXPECT_NE(refused.error().ToString().find("\"15s\""), std::string::npos);
}

TEST(DurationTest, FormatShowsTheTwoLargestUnits) {
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0ms");
  EXPECT_EQ(FormatDuration(milliseconds(999)), "999ms");
  EXPECT_EQ(FormatDuration(milliseconds(12'000)), "12s");
  EXPECT_EQ(FormatDuration(milliseconds(65'000)), "1m 5s");
  EXPECT_EQ(FormatDuration(milliseconds(3'900'000)), "1h 5m");
  EXPECT_EQ(FormatDuration(milliseconds(3'605'000)), "1h");
  EXPECT_EQ(FormatDuration(milliseconds(90'061'000)), "1d 1h");
  EXPECT_EQ(FormatDuration(milliseconds(400 * 86'400'000LL)), "400d");
}

TEST(SizeTest, BinaryAndDecimalUnitsDiffer) {
  EXPECT_EQ(Bytes("10B"), 10);
  EXPECT_EQ(Bytes("10KiB"), 10'240);
  EXPECT_EQ(Bytes("10KB"), 10'000);
  EXPECT_EQ(Bytes("1.5MiB"), 1'572'864);
  EXPECT_EQ(Bytes("2GiB"), 2'147'483'648);
  EXPECT_EQ(Bytes("1TB"), 1'000'000'000'000);
  EXPECT_EQ(Bytes("1TiB"), 1'099'511'627'776);
}

TEST(SizeTest, WhatIsNoSizeIsRefused) {
  for (const char* text : {"", "10", "MiB", "10 MiB", "-1B", "10mib", "10M", "99999999TiB"}) {
    EXPECT_EQ(Bytes(text), -1) << text;
  }
}

TEST(TimeTest, Rfc3339IsReadInAllItsForms) {
  EXPECT_EQ(Time("2026-11-21T03:37:00Z"), "2026-11-21T03:37:00.000Z");
  EXPECT_EQ(Time("2026-11-21t03:37:00z"), "2026-11-21T03:37:00.000Z");
  EXPECT_EQ(Time("2026-11-21 03:37:00Z"), "2026-11-21T03:37:00.000Z");
  EXPECT_EQ(Time("2026-11-21T03:37:00.5Z"), "2026-11-21T03:37:00.500Z");
  EXPECT_EQ(Time("2026-11-21T03:37:00.123456789Z"), "2026-11-21T03:37:00.123Z");
  EXPECT_EQ(Time("2026-11-21T03:37:00+05:30"), "2026-11-20T22:07:00.000Z");
  EXPECT_EQ(Time("2026-11-21T03:37:00-01:00"), "2026-11-21T04:37:00.000Z");
  EXPECT_EQ(Time("2028-02-29"), "2028-02-29T00:00:00.000Z");
}

TEST(TimeTest, NowAndAgoCountFromTheGivenTime) {
  EXPECT_EQ(Time("now"), FormatWallTime(kNow));
  EXPECT_EQ(Time("24h"), FormatWallTime(kNow - std::chrono::hours(24)));
}

TEST(TimeTest, WhatIsNoTimeIsRefused) {
  for (const char* text :
       {"", "yesterday", "2026-02-29", "2026-13-01", "2026-00-10", "2026-11-21T",
        "2026-11-21T03:37", "2026-11-21T03:37:00", "2026-11-21T24:00:00Z", "2026-11-21T03:60:00Z",
        "2026-11-21T03:37:61Z", "2026-11-21T03:37:00.Z", "2026-11-21T03:37:00Zx",
        "2026-11-21T03:37:00+5:30", "2026-11-21T03:37:00+24:00", "26-11-21", "2026-1-21",
        "2026-11--1", "-026-11-21"}) {
    EXPECT_FALSE(ParseTime(text, kNow).ok()) << text;
  }
}

TEST(TimeTest, TimesBefore1970AreFormatted) {
  EXPECT_EQ(FormatWallTime(WallTime(milliseconds(-1))), "1969-12-31T23:59:59.999Z");
}

TEST(FormatWallTimeTest, AYearHasFourDigits) {
  const auto year_zero = ParseTime("0000-01-01T00:00:00-23:59", WallTime());
  ASSERT_TRUE(year_zero.ok());
  EXPECT_EQ(FormatWallTime(*year_zero), "0000-01-01T23:59:00.000Z");
}

}  // namespace
}  // namespace idlewatt
