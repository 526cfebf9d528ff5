#include "storage/range_query.h"

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RangeQueryTest : public HistoryTest {
 protected:
  RangeQueryTest() { Open(); }

  // To both, as the daemon does it.
  void Record(int64_t time_ms, std::vector<Sample> samples) {
    const Frame frame = FrameAt(time_ms, std::move(samples));
    ring_.Append(frame);
    history_->Push(frame);
  }
  Result<RangeAnswer> Query(std::string_view selector, RangeWindow window = Everything()) {
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    if (!reader.ok()) return reader.error();
    return QueryRange(Select(selector), window, &ring_, &*reader);
  }

  Ring ring_{seconds(50), seconds(5), 1 << 20, registry_};
  SeriesId joules_ = registry_.Intern(kTestCounter, {"rapl", "dram"});
};

TEST_F(RangeQueryTest, JoinsHistoryAndRingWithoutDoubles) {
  for (int i = 0; i < 40; ++i) {
    Record(kStartMs + i * 5000, {{joules_, 10.0 * i}});
    if (i == 35) {
      ASSERT_TRUE(history_->Flush().ok());
    }
  }
  const Result<RangeAnswer> answer = Query("test_joules_total");
  ASSERT_TRUE(answer.ok()) << answer.error().ToString();
  ASSERT_EQ(answer->series.size(), 1u);
  const SeriesPoints& series = answer->series.front();
  EXPECT_EQ(series.unit, "joules");
  EXPECT_EQ(series.kind, MetricKind::kCounter);
  EXPECT_EQ(series.labels, (Labels{{"domain", "dram"}, {"source", "rapl"}}));
  ASSERT_EQ(series.points.size(), 40u);
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(series.points[static_cast<size_t>(i)].time_ms, kStartMs + i * 5000);
    EXPECT_EQ(series.points[static_cast<size_t>(i)].value, 10.0 * i);
  }
}

TEST_F(RangeQueryTest, ASeriesThatTheRingRefusedComesFromTheHistory) {
  const Ring empty(seconds(50), seconds(5), 0, registry_);
  Record(kStartMs, {{joules_, 1}});
  ASSERT_TRUE(history_->Flush().ok());
  Result<HistoryReader> reader = HistoryReader::Open(db_path());
  ASSERT_TRUE(reader.ok());
  const Result<RangeAnswer> answer =
      QueryRange(Select("test_joules_total"), Everything(), &empty, &*reader);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->series.size(), 1u);
}

TEST_F(RangeQueryTest, AStepTakesTheLastOfACounterAndTheAverageOfAGauge) {
  const int64_t start = 1'700'000'000'000 / 15'000 * 15'000;
  const SeriesId gauge = GaugeId();
  for (int i = 0; i < 6; ++i) {
    Record(start + i * 5000, {{joules_, 10.0 * i}, {gauge, 1.0 * i}});
    if (i == 1) {
      ASSERT_TRUE(history_->Flush().ok());
    }
  }
  RangeWindow window = Everything();
  window.step = seconds(15);
  const Result<RangeAnswer> counter = Query("test_joules_total", window);
  const Result<RangeAnswer> average = Query("test_celsius", window);
  ASSERT_TRUE(counter.ok() && average.ok());
  const std::vector<Point>& last = counter->series.at(0).points;
  const std::vector<Point>& mean = average->series.at(0).points;
  ASSERT_EQ(last.size(), 2u);
  ASSERT_EQ(mean.size(), 2u);
  EXPECT_EQ(last[0].time_ms, start);
  EXPECT_EQ(last[1].time_ms, start + 15'000);
  EXPECT_EQ(last[0].value, 20);
  EXPECT_EQ(last[1].value, 50);
  EXPECT_EQ(mean[0].value, 1);
  EXPECT_EQ(mean[1].value, 4);
}

TEST_F(RangeQueryTest, ABucketThatRingAndHistoryShareIsOnePoint) {
  const int64_t start = 1'700'000'000'000 / 15'000 * 15'000;
  for (int i = 0; i < 42; ++i) Record(start + i * 5000, {{GaugeId(), 1.0 * i}});
  ASSERT_TRUE(history_->Flush().ok());
  ASSERT_EQ(ring_.Oldest(), At(start + 31 * 5000)) << "the second of a bucket of three";
  RangeWindow window = Everything();
  window.step = seconds(15);
  const Result<RangeAnswer> answer = Query("test_celsius", window);
  ASSERT_TRUE(answer.ok());
  const std::vector<Point>& points = answer->series.at(0).points;
  ASSERT_EQ(points.size(), 14u);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].time_ms, start + static_cast<int64_t>(i) * 15'000);
    EXPECT_EQ(points[i].value, 3.0 * static_cast<double>(i) + 1);
  }
}

TEST_F(RangeQueryTest, TooManyPointsNameAStepThatFits) {
  for (int i = 0; i < 500; ++i) {
    Record(kStartMs + i * 5000, {{joules_, 1.0 * i}, {GaugeId(), 1}});
    if (i % 100 == 0) {
      ASSERT_TRUE(history_->Flush().ok());
    }
  }
  ASSERT_TRUE(history_->Flush().ok());
  RangeWindow window = Everything();
  window.max_points = 100;
  const Result<RangeAnswer> refused = Query("test_joules_total", window);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_NE(refused.error().text.find("ask for a step of 30s or"), std::string::npos)
      << refused.error().text;
  window.step = seconds(30);
  EXPECT_TRUE(Query("test_joules_total", window).ok());
  window.max_points = 1;
  window.step = milliseconds(0);
  const Result<RangeAnswer> hopeless = Query("test_joules_total", window);
  ASSERT_FALSE(hopeless.ok());
  EXPECT_NE(hopeless.error().text.find("select fewer series"), std::string::npos);
}

TEST_F(RangeQueryTest, RefusesAWindowThatEndsBeforeItBegins) {
  EXPECT_FALSE(Query("test_celsius", {At(2), At(1)}).ok());
  EXPECT_FALSE(Query("test_celsius", {At(1), At(2), milliseconds(-1)}).ok());
}

TEST_F(RangeQueryTest, SeveralSelectorsGiveEachSeriesOnce) {
  for (int i = 0; i < 40; ++i) {
    Record(kStartMs + i * 5000, {{joules_, 10.0 * i}, {GaugeId("a"), 1}, {GaugeId("b"), 2}});
    if (i == 35) {
      ASSERT_TRUE(history_->Flush().ok());
    }
  }
  Result<HistoryReader> reader = HistoryReader::Open(db_path());
  ASSERT_TRUE(reader.ok());
  std::vector<Selector> selectors;
  for (const char* text :
       {"test_joules_total", "test_celsius{sensor=\"b\"}", "test_celsius", "x"}) {
    selectors.push_back(Select(text));
  }
  const auto answer = QueryRange(selectors, Everything(), &ring_, &*reader);
  ASSERT_TRUE(answer.ok()) << answer.error().ToString();
  ASSERT_EQ(answer->series.size(), 3u);
  EXPECT_EQ(answer->series[0].metric, "test_celsius");
  EXPECT_EQ(answer->series[1].labels, (Labels{{"sensor", "b"}}));
  EXPECT_EQ(answer->series[2].metric, "test_joules_total");
  for (const SeriesPoints& series : answer->series) EXPECT_EQ(series.points.size(), 40u);
}

TEST_F(RangeQueryTest, NothingThereIsAnEmptyAnswer) {
  const Result<RangeAnswer> answer = Query("no_such_metric");
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->series.empty());
}

}  // namespace
}  // namespace idlewatt
