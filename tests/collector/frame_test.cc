#include "collector/frame.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

namespace idlewatt {
namespace {

constexpr Histogram kTimes =
    MakeHistogram<"test_times_seconds">("seconds", {{"who", "why"}}, "Times");

TEST(HistogramTest, APartIsACounterNamedAfterTheWhole) {
  EXPECT_EQ(kTimes.bucket.name, "test_times_seconds_bucket");
  EXPECT_EQ(kTimes.sum.name, "test_times_seconds_sum");
  EXPECT_EQ(kTimes.count.name, "test_times_seconds_count");
  EXPECT_EQ(kTimes.sum.unit, "seconds");
  EXPECT_EQ(kTimes.count.unit, "");
  EXPECT_EQ(kTimes.bucket.labels.size(), 3U);
  EXPECT_EQ(kTimes.bucket.labels.names[2], "le");
  for (const Metric* part : {&kTimes.bucket, &kTimes.sum, &kTimes.count}) {
    EXPECT_EQ(part->kind, MetricKind::kCounter);
    EXPECT_EQ(part->histogram, "test_times_seconds");
    EXPECT_EQ(part->help, "Times");
  }
}

TEST(HistogramTest, ABucketCountsWhatIsBelowIt) {
  SeriesRegistry registry;
  Readings readings(registry);
  const std::array<double, 3> bounds = {0.1, 2.5, 300};
  const std::array<uint64_t, 4> counts = {1, 0, 4, 2};
  readings.Add(kTimes, {"a", "b"}, bounds, counts, 12.5);
  std::vector<std::string> got;
  for (const Sample& sample : readings.samples) {
    got.push_back(registry.Find(sample.series)->ToString() + " " + std::to_string(sample.value));
  }
  const std::vector<std::string> expected = {
      R"(test_times_seconds_bucket{who="a",why="b",le="0.1"} 1.000000)",
      R"(test_times_seconds_bucket{who="a",why="b",le="2.5"} 1.000000)",
      R"(test_times_seconds_bucket{who="a",why="b",le="300"} 5.000000)",
      R"(test_times_seconds_bucket{who="a",why="b",le="+Inf"} 7.000000)",
      R"(test_times_seconds_sum{who="a",why="b"} 12.500000)",
      R"(test_times_seconds_count{who="a",why="b"} 7.000000)"};
  EXPECT_EQ(got, expected);
}

TEST(RemedyTest, AFileThatMayNotBeReadSaysWhichCapabilityHelps) {
  SeriesRegistry registry;
  Readings readings(registry);
  readings.AddRefused("a", "b", ErrnoError(EACCES, "energy_uj"));
  EXPECT_EQ(readings.sources.at(0).remedy,
            "run as root, or: setcap cap_dac_read_search+ep $(command -v idlewatt)");
}

TEST(RemedyTest, TheOwnRemedyOfASourceCounts) {
  SeriesRegistry registry;
  Readings readings(registry);
  readings.AddRefused("a", "b", ErrnoError(EACCES, "energy_uj"), "ask");
  EXPECT_EQ(readings.sources.at(0).remedy, "ask");
}

TEST(RemedyTest, WhereNothingWouldHelpNothingIsSaid) {
  for (const int error : {EPERM, ENOENT, EIO, EAGAIN}) {
    EXPECT_EQ(RemedyFor(ErrnoError(error, "x")), "") << error;
  }
}

}  // namespace
}  // namespace idlewatt
