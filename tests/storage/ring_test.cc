#include "storage/ring.h"

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RingTest : public ::testing::Test {
 protected:
  std::vector<Point> Points(const Ring& ring, std::string_view selector,
                            RangeWindow window = Everything()) {
    const Result<RangeAnswer> answer = QueryRange(Select(selector), window, &ring, nullptr);
    if (!answer.ok() || answer->series.size() != 1) return {};
    return answer->series.front().points;
  }

  SeriesRegistry registry_;
  SeriesId a_ = registry_.Intern(kTestGauge, {"a"});
  SeriesId b_ = registry_.Intern(kTestGauge, {"b"});
};

TEST_F(RingTest, KeepsTheWindowAndForgetsWhatIsOlder) {
  Ring ring(seconds(50), seconds(5), 1 << 20, registry_);
  EXPECT_FALSE(ring.Oldest().has_value());
  for (int i = 0; i < 100; ++i) ring.Append(FrameAt(kStartMs + i * 5000, {{a_, i + 0.5}}));
  const std::vector<Point> points = Points(ring, "test_celsius");
  ASSERT_EQ(points.size(), 11u);
  EXPECT_EQ(points.front().time_ms, kStartMs + 89 * 5000);
  EXPECT_EQ(points.back().value, 99.5);
  EXPECT_EQ(ring.Oldest(), At(kStartMs + 89 * 5000));
}

TEST_F(RingTest, BothEndsOfARangeAreIncluded) {
  Ring ring(seconds(50), seconds(5), 1 << 20, registry_);
  for (int i = 0; i < 5; ++i) ring.Append(FrameAt(kStartMs + i * 5000, {{a_, 1.0 * i}}));
  const std::vector<Point> points =
      Points(ring, "test_celsius", {At(kStartMs + 5000), At(kStartMs + 15000)});
  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(points[0].value, 1);
  EXPECT_EQ(points[2].value, 3);
}

TEST_F(RingTest, AnAbsentValueIsNoPoint) {
  Ring ring(seconds(50), seconds(5), 1 << 20, registry_);
  ring.Append(FrameAt(kStartMs, {{a_, 1}, {b_, 1}}));
  ring.Append(FrameAt(kStartMs + 5000, {{a_, 2}}));
  EXPECT_EQ(Points(ring, "test_celsius{sensor=\"b\"}").size(), 1u);
  EXPECT_EQ(Points(ring, "test_celsius{sensor=\"a\"}").size(), 2u);
}

TEST_F(RingTest, ASecondFrameOfOneTickAddsToTheFirst) {
  Ring ring(seconds(50), seconds(5), 1 << 20, registry_);
  ring.Append(FrameAt(kStartMs, {{a_, 1}}));
  ring.Append(FrameAt(kStartMs, {{b_, 2}}));
  ring.Append(FrameAt(kStartMs + 5000, {{a_, 3}}));
  EXPECT_EQ(Points(ring, "test_celsius{sensor=\"a\"}").size(), 2u);
  EXPECT_EQ(Points(ring, "test_celsius{sensor=\"b\"}").size(), 1u);
}

TEST_F(RingTest, NeverNeedsMoreThanItsBytesAndCountsWhatItRefuses) {
  Ring ring(seconds(50), seconds(5), 4096, registry_);
  std::vector<Sample> samples;
  for (int i = 0; i < 100; ++i) {
    samples.push_back({registry_.Intern(kTestGauge, {std::to_string(i)}), 1});
  }
  ring.Append(FrameAt(kStartMs, samples));
  const RingStats stats = ring.Stats();
  EXPECT_GT(stats.series, 0u);
  EXPECT_LE(stats.bytes, 4096u);
  EXPECT_EQ(stats.refused_samples, 100 - stats.series);
}

TEST_F(RingTest, AColumnWithoutValuesIsFreedAndMakesRoom) {
  Ring ring(seconds(10), seconds(5), 600, registry_);  // room for one column of three
  ring.Append(FrameAt(kStartMs, {{a_, 1}}));
  ring.Append(FrameAt(kStartMs + 5000, {{b_, 1}}));
  EXPECT_EQ(ring.Stats().refused_samples, 1u);
  ring.Append(FrameAt(kStartMs + 10000, {}));
  EXPECT_EQ(ring.Stats().series, 1u);
  ring.Append(FrameAt(kStartMs + 15000, {{b_, 7}}));
  EXPECT_EQ(ring.Stats().series, 1u);
  EXPECT_EQ(Points(ring, "test_celsius{sensor=\"b\"}").size(), 1u);
}

TEST_F(RingTest, StillNamesASeriesThatEnded) {
  Ring ring(seconds(50), seconds(5), 1 << 20, registry_);
  ring.Append(FrameAt(kStartMs, {{a_, 1}}));
  registry_.End(a_);
  EXPECT_EQ(Points(ring, "test_celsius{sensor=\"a\"}").size(), 1u);
}

TEST_F(RingTest, IsReadWhileItIsWritten) {
  Ring ring(seconds(50), seconds(5), 1 << 20, registry_);
  std::jthread writer([&](const std::stop_token& stop) {
    for (int64_t i = 0; !stop.stop_requested(); ++i) {
      ring.Append(FrameAt(kStartMs + i * 5000, {{a_, 1}, {b_, 2}}));
    }
  });
  for (int round = 0; round < 200; ++round) {
    const Result<RangeAnswer> answer =
        QueryRange(Select("test_celsius"), Everything(), &ring, nullptr);
    ASSERT_TRUE(answer.ok());
    for (const SeriesPoints& series : answer->series) {
      for (size_t i = 1; i < series.points.size(); ++i) {
        ASSERT_EQ(series.points[i].time_ms, series.points[i - 1].time_ms + 5000);
      }
    }
  }
}

}  // namespace
}  // namespace idlewatt
