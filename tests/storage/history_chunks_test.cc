// What becomes of frames once their hour and their day are over, and what roll-ups say of them.
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "storage/backfill.h"
#include "storage/calendar.h"
#include "storage/chunk_reader.h"
#include "storage/rollup_reader.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kMidnightMs = kStartMs / kDayMs * kDayMs;

class HistoryChunksTest : public HistoryTest {
 protected:
  HistoryChunksTest() { Open(); }

  int64_t Count(const std::string& sql) const {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadOnly));
    const Result<int64_t> count = db.QueryInt(sql);
    EXPECT_TRUE(count.ok()) << count.error().ToString();
    return count.ok() ? *count : -1;
  }
  // A frame of the gauge every minute in [begin, end), each flushed: one row each.
  void RecordMinutes(int64_t begin, int64_t end) {
    for (int64_t time = begin; time < end; time += kMinuteMs) Record(time, ValueAt(time));
  }
  void Record(int64_t time, double value) {
    PushValue(time, value);
    ASSERT_TRUE(history_->Flush().ok());
  }
  static double ValueAt(int64_t time) { return static_cast<double>(time / kMinuteMs % 100) / 4; }
  std::vector<Point> Points(std::string_view selector = "test_celsius") const {
    const RangeAnswer answer = Read(selector);
    EXPECT_FALSE(answer.rolled_up);
    EXPECT_EQ(answer.damaged_rows, 0u);
    return answer.series.empty() ? std::vector<Point>() : answer.series.front().points;
  }
};

TEST_F(HistoryChunksTest, AnHourThatIsOverBecomesOneChunkAndItsFramesGo) {
  RecordMinutes(kMidnightMs, kMidnightMs + kHourMs);
  EXPECT_EQ(Count("SELECT count(*) FROM chunks"), 0);
  RecordMinutes(kMidnightMs + kHourMs, kMidnightMs + kHourMs + 2 * kMinuteMs);
  EXPECT_EQ(Count("SELECT count(*) FROM chunks"), 1);
  EXPECT_EQ(Count("SELECT count FROM chunks"), 60);
  EXPECT_EQ(Count("SELECT count(*) FROM frames"), 2);
  const std::vector<Point> points = Points();
  ASSERT_EQ(points.size(), 62u);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].time_ms, kMidnightMs + static_cast<int64_t>(i) * kMinuteMs);
    EXPECT_EQ(points[i].value, ValueAt(points[i].time_ms));
  }
}

TEST_F(HistoryChunksTest, ADayThatIsOverBecomesOneChunk) {
  RecordMinutes(kMidnightMs, kMidnightMs + kDayMs);
  EXPECT_EQ(Count("SELECT count(*) FROM chunks"), 23);
  RecordMinutes(kMidnightMs + kDayMs, kMidnightMs + kDayMs + 3 * kMinuteMs);
  EXPECT_EQ(Count("SELECT count(*) FROM chunks"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM chunk_times"), 1);
  EXPECT_EQ(Points().size(), 1443u);
}

TEST_F(HistoryChunksTest, SeriesThatAreMeasuredTogetherShareTheirTimes) {
  for (int64_t time = kMidnightMs; time < kMidnightMs + kHourMs + 2 * kMinuteMs;
       time += kMinuteMs) {
    history_->Push(FrameAt(time, {{GaugeId("a"), 1}, {GaugeId("b"), 2}, {GaugeId("c"), 3}}));
    ASSERT_TRUE(history_->Flush().ok());
  }
  EXPECT_EQ(Count("SELECT count(*) FROM chunks"), 3);
  EXPECT_EQ(Count("SELECT count(*) FROM chunk_times"), 1);
  EXPECT_EQ(Count("SELECT uses FROM chunk_times"), 3);
}

TEST_F(HistoryChunksTest, LateFramesFindTheirPlaceInHoursAndDaysThatAreOver) {
  RecordMinutes(kMidnightMs, kMidnightMs + kDayMs + kHourMs);
  const int64_t late = kMidnightMs + 5 * kHourMs + 500;
  Record(late, 77);  // the wall clock was set back
  Record(late + 1000, 78);
  RecordMinutes(kMidnightMs + kDayMs + kHourMs, kMidnightMs + kDayMs + 2 * kHourMs + 2 * kMinuteMs);
  EXPECT_EQ(
      Count("SELECT count(*) FROM chunks WHERE start_ms < " + std::to_string(kMidnightMs + kDayMs)),
      1);
  const std::vector<Point> points = Points();
  ASSERT_EQ(points.size(), 1440u + 120 + 2 + 2);
  EXPECT_TRUE(std::is_sorted(points.begin(), points.end(), IsEarlier));
  const auto found = std::find_if(points.begin(), points.end(),
                                  [late](const Point& point) { return point.time_ms == late; });
  ASSERT_NE(found, points.end());
  EXPECT_EQ(found->value, 77);
  EXPECT_EQ((found + 1)->value, 78);
}

TEST_F(HistoryChunksTest, TwoValuesOfOneTimeAreKeptInTheOrderInWhichTheyCame) {
  Record(kMidnightMs, 1);
  Record(kMidnightMs, 2);
  Record(kMidnightMs, 1);  // measured twice, told twice: once is enough
  RecordMinutes(kMidnightMs + kHourMs, kMidnightMs + kHourMs + 2 * kMinuteMs);
  const std::vector<Point> points = Points();
  ASSERT_EQ(points.size(), 4u);
  EXPECT_EQ(points[0].value, 1);
  EXPECT_EQ(points[1].value, 2);
}

TEST_F(HistoryChunksTest, AGapStaysAGap) {
  RecordMinutes(kMidnightMs, kMidnightMs + 10 * kMinuteMs);
  RecordMinutes(kMidnightMs + 30 * kMinuteMs, kMidnightMs + 40 * kMinuteMs);
  RecordMinutes(kMidnightMs + 3 * kHourMs, kMidnightMs + 3 * kHourMs + 2 * kMinuteMs);
  RecordMinutes(kMidnightMs + 3 * kDayMs, kMidnightMs + 3 * kDayMs + 3 * kMinuteMs);
  EXPECT_EQ(Points().size(), 25u);
  EXPECT_EQ(Count("SELECT count(*) FROM rollup_1h"), 2);
}

TEST_F(HistoryChunksTest, RollUpsSayWhatTheHourWas) {
  const SeriesId joules = registry_.Intern(kTestCounter, {"rapl", "dram"});
  // 0, 10, …, 590; then a restart of the counter: 5, 15, …, 595; then one frame of the next hour.
  for (int i = 0; i < 121; ++i) {
    const double value = i < 60 ? i * 10 : (i - 60) * 10 + 5;
    history_->Push(FrameAt(kMidnightMs + i * kMinuteMs,
                           {{joules, value}, {GaugeId(), static_cast<double>(i % 60)}}));
    ASSERT_TRUE(history_->Flush().ok());
  }
  PushValue(kMidnightMs + 3 * kHourMs, 0);
  ASSERT_TRUE(history_->Flush().ok());
  Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadOnly));
  Statement rows = std::move(
      *db.Prepare("SELECT metric, hour_ms, count, min, max, avg, last, increase FROM rollup_1h"
                  " JOIN series ON series.id = series_id ORDER BY metric, hour_ms"));
  struct Expected {
    std::string metric;
    int64_t hour;
    int64_t count;
    std::vector<std::optional<double>> numbers;
  };
  const auto none = std::nullopt;
  const std::vector<Expected> expected{
      {"test_celsius", kMidnightMs, 60, {0, 59, 29.5, 59, none}},
      {"test_celsius", kMidnightMs + kHourMs, 60, {0, 59, 29.5, 59, none}},
      {"test_celsius", kMidnightMs + 2 * kHourMs, 1, {0, 0, 0, 0, none}},
      {"test_joules_total", kMidnightMs, 60, {none, none, none, 590, 590}},
      {"test_joules_total", kMidnightMs + kHourMs, 60, {none, none, none, 595, 595}},
      {"test_joules_total", kMidnightMs + 2 * kHourMs, 1, {none, none, none, 605, 10}},
  };
  for (const Expected& row : expected) {
    ASSERT_TRUE(*rows.Step());
    EXPECT_EQ(rows.Bytes(0), row.metric);
    EXPECT_EQ(rows.Int(1), row.hour);
    EXPECT_EQ(rows.Int(2), row.count);
    for (int i = 0; i < 5; ++i) {
      const auto& number = row.numbers[static_cast<size_t>(i)];
      EXPECT_EQ(rows.IsNull(3 + i), !number.has_value()) << row.metric << row.hour << " " << i;
      if (number) {
        EXPECT_EQ(rows.Double(3 + i), *number) << row.metric << row.hour << " " << i;
      }
    }
  }
  EXPECT_FALSE(*rows.Step());
  EXPECT_EQ(Count("SELECT increase FROM rollup_1d WHERE increase IS NOT NULL"), 590 + 595 + 10);
  EXPECT_EQ(Count("SELECT count FROM rollup_1d WHERE increase IS NULL"), 121);
}

TEST_F(HistoryChunksTest, RetentionBySizeKeepsTheNewestAndTheRollUps) {
  options_.store.retention.max_bytes = 6 << 20;
  Open();
  std::mt19937_64 random(1);
  // Some 1.1 MiB a day that can't be made smaller.
  std::vector<Sample> samples;
  const int64_t end = kMidnightMs + 4 * kDayMs;
  for (int64_t time = kMidnightMs; time < end; time += kMinuteMs) {
    samples.clear();
    for (int n = 0; n < 100; ++n) {
      samples.push_back({GaugeId(std::to_string(n)), static_cast<double>(random()) / 3});
    }
    history_->Push(FrameAt(time, samples));
    if (time % (4 * kMinuteMs) != 0) continue;
    ASSERT_TRUE(history_->Flush().ok());
    EXPECT_LT(history_->Stats().file_bytes, (6 << 20) + (5 << 20)) << "with the -wal file";
  }
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_LT(Count("PRAGMA page_count") * 4096, 6 << 20);
  EXPECT_GT(history_->Stats().rows_deleted, 0u);
  EXPECT_GT(Count("SELECT min(start_ms) FROM chunks"), kMidnightMs + kDayMs);
  EXPECT_EQ(Count("SELECT min(hour_ms) FROM rollup_1h"), kMidnightMs);
  const RangeAnswer newest = Read("test_celsius{sensor=\"5\"}", {At(end - kHourMs), At(end)});
  ASSERT_EQ(newest.series.size(), 1u);
  EXPECT_EQ(newest.series.front().points.size(), 60u);
}

TEST_F(HistoryChunksTest, ADamagedChunkIsSkippedAndCountedAndTheRestIsRead) {
  RecordMinutes(kMidnightMs, kMidnightMs + 3 * kHourMs + 2 * kMinuteMs);
  Close();
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(db.Execute("UPDATE chunks SET body = zeroblob(50) WHERE start_ms = " +
                           std::to_string(kMidnightMs + kHourMs))
                    .ok());
  }
  const RangeAnswer answer = Read();
  EXPECT_EQ(answer.damaged_rows, 1u);
  ASSERT_EQ(answer.series.size(), 1u);
  EXPECT_EQ(answer.series.front().points.size(), 122u);
}

TEST_F(HistoryChunksTest, EventsAreWrittenWithTheNextFlush) {
  history_->PushEvent({kStartMs, "alert", "llama", "{\"alert\":\"IdlePower\"}"});
  history_->PushEvent({kStartMs + 1, "start", "", "{}"});
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Count("SELECT count(*) FROM event WHERE kind = 'alert' AND service = 'llama'"), 1);
  EXPECT_EQ(Count("SELECT count(*) FROM event WHERE kind = 'start' AND service IS NULL"), 1);
}

// --- Whatever comes in whatever order ------------------------------------------------------------

struct Model {
  std::map<std::string, std::vector<Point>> points;  // by sensor or domain, in order of arrival
};

class BackfillTest : public HistoryTest {
 protected:
  std::string path() const { return tree_.PathOf("some.db"); }

  // Adds `points` of one gauge and one counter in batches, each with its own connection.
  void Fill(const std::vector<Point>& points, size_t batch) {
    for (size_t first = 0; first < points.size(); first += batch) {
      auto backfill = Backfill::Open(path());
      ASSERT_TRUE(backfill.ok()) << backfill.error().ToString();
      const size_t gauge = (*backfill)->AddSeries({"g", {}}, MetricKind::kGauge, "");
      const size_t counter = (*backfill)->AddSeries({"c_total", {}}, MetricKind::kCounter, "");
      for (size_t i = first; i < std::min(points.size(), first + batch); ++i) {
        ASSERT_TRUE((*backfill)->Add(gauge, points[i].time_ms, points[i].value).ok());
        ASSERT_TRUE((*backfill)->Add(counter, points[i].time_ms, points[i].value).ok());
      }
      const auto counts = (*backfill)->Finish();
      ASSERT_TRUE(counts.ok()) << counts.error().ToString();
    }
  }
  // All that a history says, as text: points, and roll-ups.
  std::string Content(bool with_rollups = true) const {
    std::string text;
    HistoryReader reader = std::move(*HistoryReader::Open(path()));
    for (const char* metric : {"g", "c_total"}) {
      const Result<RangeAnswer> answer = QueryRange(Select(metric), Everything(), nullptr, &reader);
      if (!answer.ok()) return answer.error().ToString();
      for (const SeriesPoints& series : answer->series) {
        for (const Point& point : series.points) {
          text += std::to_string(point.time_ms) + " " + std::to_string(point.value) + "\n";
        }
      }
    }
    if (!with_rollups) return text;
    for (const std::string table : {"rollup_1h", "rollup_1d"}) {
      Statement rows = std::move(
          *reader.db().Prepare("SELECT json_array(metric, " + table +
                               ".id, count, min, max, avg, last, increase) FROM " + table +
                               " JOIN series ON series.id = series_id ORDER BY 1"));
      while (*rows.Step()) text += std::string(rows.Bytes(0)) + "\n";
    }
    return text;
  }
  void Remove() {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(path() + suffix);
    }
  }
};

TEST_F(BackfillTest, ChunksAndRollUpsDoNotDependOnTheOrderInWhichSamplesCome) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 6; ++round) {
    std::vector<Point> points;
    std::set<int64_t> times;
    for (int i = 0; i < 400; ++i) {
      times.insert(kMidnightMs + static_cast<int64_t>(random() % (3 * kDayMs)) / 1000 * 1000);
    }
    for (const int64_t time : times) {
      points.push_back({time, static_cast<double>(random() % 4000) / 4});
    }
    Remove();
    Fill(points, points.size());
    const std::string in_order = Content();
    ASSERT_NE(in_order.find("rollup") == std::string::npos ? in_order.find("[\"c_total\"") : 0,
              std::string::npos);
    std::shuffle(points.begin(), points.end(), random);
    for (const size_t batch : {size_t{1000}, size_t{37}}) {
      Remove();
      Fill(points, batch);
      EXPECT_EQ(Content(), in_order) << "round " << round << ", batches of " << batch;
    }
  }
}

TEST_F(BackfillTest, TheSameSamplesTwiceAreKnown) {
  std::vector<Point> points;
  for (int i = 0; i < 5000; ++i) points.push_back({kMidnightMs + i * 30'000, i * 0.5});
  Fill(points, points.size());
  const std::string once = Content();
  auto backfill = std::move(*Backfill::Open(path()));
  const size_t gauge = backfill->AddSeries({"g", {}}, MetricKind::kGauge, "");
  for (const Point& point : points) {
    ASSERT_TRUE(backfill->Add(gauge, point.time_ms, point.value).ok());
  }
  const auto counts = backfill->Finish();
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->added, 0u);
  EXPECT_EQ(counts->known, 5000u);
  backfill.reset();
  EXPECT_EQ(Content(), once);
}

TEST_F(BackfillTest, RollUpsAreThoseOfTheSamples) {
  std::mt19937_64 random(13);
  std::vector<Point> points;
  for (int64_t time = kMidnightMs; time < kMidnightMs + 2 * kDayMs;
       time += 1000 + static_cast<int64_t>(random() % 900'000)) {
    points.push_back({time, static_cast<double>(random() % 1000)});
  }
  Fill(points, points.size());
  // By hand.
  std::map<int64_t, Rollup> hours;
  const Point* previous = nullptr;
  for (const Point& point : points) {
    const int64_t hour = FloorTo(point.time_ms, kHourMs);
    const bool is_new = !hours.contains(hour);
    Rollup& rollup = hours[hour];
    rollup.min = is_new ? point.value : std::min(rollup.min, point.value);
    rollup.max = is_new ? point.value : std::max(rollup.max, point.value);
    rollup.avg += point.value;
    rollup.last = point.value;
    ++rollup.count;
    if (previous != nullptr && hour - FloorTo(previous->time_ms, kHourMs) <= kHourMs) {
      rollup.increase +=
          point.value < previous->value ? point.value : point.value - previous->value;
    }
    previous = &point;
  }
  HistoryReader reader = std::move(*HistoryReader::Open(path()));
  RollupReader rollups = std::move(*RollupReader::Create(reader.db()));
  const std::vector<StoredSeries> all = *reader.FindSeries(nullptr);
  for (const StoredSeries& series : all) {
    Rollup rollup;
    size_t found = 0;
    for (int64_t hour = kMidnightMs; hour < kMidnightMs + 2 * kDayMs; hour += kHourMs) {
      found += *rollups.Read(series.id, hour, kHourMs, rollup) ? 1 : 0;
    }
    EXPECT_EQ(found, hours.size());
    for (const auto& [hour, expected] : hours) {
      const Result<bool> is_there = rollups.Read(series.id, hour, kHourMs, rollup);
      ASSERT_TRUE(is_there.ok()) << is_there.error().ToString();
      ASSERT_TRUE(*is_there) << series.name.metric << " " << (hour - kMidnightMs) / kHourMs;
      EXPECT_EQ(rollup.start_ms, hour);
      EXPECT_EQ(rollup.count, expected.count);
      EXPECT_EQ(rollup.last, expected.last);
      if (series.kind == MetricKind::kCounter) {
        EXPECT_DOUBLE_EQ(rollup.increase, expected.increase);
      } else {
        EXPECT_EQ(rollup.min, expected.min);
        EXPECT_EQ(rollup.max, expected.max);
        EXPECT_DOUBLE_EQ(rollup.avg, expected.avg / static_cast<double>(expected.count));
      }
    }
  }
}

TEST_F(BackfillTest, AnyDoubleComesBack) {
  const std::vector<double> values{std::nan(""), -0.0, 1e308, 5e-324,
                                   std::numeric_limits<double>::infinity()};
  auto backfill = std::move(*Backfill::Open(path()));
  const size_t series = backfill->AddSeries({"g", {{"a", "b"}}}, MetricKind::kGauge, "");
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_TRUE(backfill->Add(series, kStartMs + static_cast<int64_t>(i), values[i]).ok());
  }
  ASSERT_TRUE(backfill->Finish().ok());
  HistoryReader reader = std::move(*HistoryReader::Open(path()));
  const RangeAnswer answer = *QueryRange(Select("g"), Everything(), nullptr, &reader);
  ASSERT_EQ(answer.series.size(), 1u);
  ASSERT_EQ(answer.series.front().points.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(answer.series.front().points[i].value),
              std::bit_cast<uint64_t>(values[i]));
  }
}

TEST_F(BackfillTest, WritesBesideADaemonThatRecords) {
  Open();
  PushValue(kStartMs, 1);
  ASSERT_TRUE(history_->Flush().ok());
  auto backfill = std::move(*Backfill::Open(db_path()));
  const size_t series =
      backfill->AddSeries({"test_celsius", {{"sensor", "a"}}}, MetricKind::kGauge, "celsius");
  ASSERT_TRUE(backfill->Add(series, kStartMs - kDayMs, 2).ok());
  ASSERT_TRUE(backfill->Finish().ok());
  PushValue(kStartMs + 1000, 3);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk(), (std::vector<int64_t>{kStartMs - kDayMs, kStartMs, kStartMs + 1000}));
}

TEST_F(BackfillTest, AForeignFileIsRefusedAndADamagedOneStays) {
  tree_.Write("some.db", std::string(9000, 'x'));
  const auto refused = Backfill::Open(path());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kParse);
  EXPECT_EQ(tree_.Read("some.db"), std::string(9000, 'x'));
}

// --- Queries -------------------------------------------------------------------------------------

class RangeFunctionTest : public BackfillTest {
 protected:
  // Two days of a gauge and a counter, a value every 20 s, with a restart of the counter.
  RangeFunctionTest() {
    for (int64_t time = kMidnightMs; time < kMidnightMs + 2 * kDayMs; time += 20'000) {
      const double x = static_cast<double>((time - kMidnightMs) / 20'000);
      points_.push_back({time, x < 3000 ? x * 2 : (x - 3000) * 2});
    }
    Fill(points_, points_.size());
  }
  Result<RangeAnswer> Ask(std::string_view selector, std::string_view function, int64_t since,
                          int64_t until, int64_t step_ms) {
    HistoryReader reader = std::move(*HistoryReader::Open(path()));
    RangeWindow window{At(since), At(until), std::chrono::milliseconds(step_ms), 1'000'000};
    window.function = *ParseRangeFunction(function);
    return QueryRange(Select(selector), window, nullptr, &reader);
  }
  // The answer of a function made the slow way.
  std::vector<Point> ByHand(std::string_view function, int64_t since, int64_t until,
                            int64_t step_ms) const {
    std::map<int64_t, std::vector<size_t>> buckets;
    for (size_t i = 0; i < points_.size(); ++i) {
      if (points_[i].time_ms < since || points_[i].time_ms > until) continue;
      buckets[FloorTo(points_[i].time_ms, step_ms)].push_back(i);
    }
    std::vector<Point> out;
    for (const auto& [start, members] : buckets) {
      double least = 1e300, most = -1e300, sum = 0, increase = 0, seconds = 0;
      for (const size_t i : members) {
        const double value = points_[i].value;
        least = std::min(least, value);
        most = std::max(most, value);
        sum += value;
        if (i == 0) continue;
        increase += value < points_[i - 1].value ? value : value - points_[i - 1].value;
        seconds += 20;
      }
      const double count = static_cast<double>(members.size());
      double value = sum / count;
      if (function == "min") value = least;
      if (function == "max") value = most;
      if (function == "last") value = points_[members.back()].value;
      if (function == "increase") value = increase;
      if (function == "rate") value = increase / seconds;
      out.push_back({start, value});
    }
    return out;
  }
  void ExpectAnswer(const Result<RangeAnswer>& answer, const std::vector<Point>& expected,
                    double tolerance) {
    ASSERT_TRUE(answer.ok()) << answer.error().ToString();
    ASSERT_EQ(answer->series.size(), 1u);
    const std::vector<Point>& points = answer->series.front().points;
    ASSERT_EQ(points.size(), expected.size());
    for (size_t i = 0; i < points.size(); ++i) {
      EXPECT_EQ(points[i].time_ms, expected[i].time_ms);
      EXPECT_NEAR(points[i].value, expected[i].value, tolerance) << i;
    }
  }

  std::vector<Point> points_;
};

TEST_F(RangeFunctionTest, EveryFunctionOfMeasuredPointsIsRight) {
  const int64_t since = kMidnightMs + 90'000, until = kMidnightMs + kDayMs + 123'456;
  for (const char* function : {"avg", "min", "max", "last"}) {
    const auto answer = Ask("g", function, since, until, 300'000);
    ExpectAnswer(answer, ByHand(function, since, until, 300'000), 1e-9);
    EXPECT_FALSE(answer->rolled_up);
  }
  for (const char* function : {"increase", "rate", "last"}) {
    ExpectAnswer(Ask("c_total", function, since, until, 300'000),
                 ByHand(function, since, until, 300'000), 1e-9);
  }
}

TEST_F(RangeFunctionTest, StepsOfHoursAndDaysComeFromRollUpsAndSayTheSame) {
  const int64_t since = kMidnightMs + 90'000, until = kMidnightMs + 2 * kDayMs - 1;
  for (const int64_t step : {kHourMs, 6 * kHourMs, kDayMs}) {
    for (const char* function : {"avg", "min", "max", "last"}) {
      const auto answer = Ask("g", function, since, until, step);
      ExpectAnswer(answer, ByHand(function, since, until, step), 1e-6);
      EXPECT_TRUE(answer->rolled_up) << function;
    }
    for (const char* function : {"increase", "last"}) {
      const auto answer = Ask("c_total", function, since, until, step);
      ExpectAnswer(answer, ByHand(function, since, until, step), 1e-6);
      EXPECT_TRUE(answer->rolled_up) << function;
    }
  }
}

TEST_F(RangeFunctionTest, TheRateOfADayFromRollUpsIsNearThatOfItsPoints) {
  const int64_t until = kMidnightMs + 2 * kDayMs - 1;
  ExpectAnswer(Ask("c_total", "rate", kMidnightMs, until, kDayMs),
               ByHand("rate", kMidnightMs, until, kDayMs), 1e-4);
}

TEST_F(RangeFunctionTest, WhereMeasuredValuesAreDeletedRollUpsStandIn) {
  {
    Database db = std::move(*Database::Open(path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(
        db.Execute("DELETE FROM chunks WHERE start_ms < " + std::to_string(kMidnightMs + kDayMs))
            .ok());
    EXPECT_EQ(*db.QueryInt("SELECT count(*) FROM chunk_times"), 1);
  }
  const auto answer = Ask("g", "avg", kMidnightMs, kMidnightMs + 2 * kDayMs, 10 * kMinuteMs);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->rolled_up);
  ASSERT_EQ(answer->series.front().points.size(), 24u + 144);
  EXPECT_NEAR(answer->series.front().points[1].value,
              ByHand("avg", kMidnightMs, kMidnightMs + kDayMs, kHourMs)[1].value, 1e-9);
}

TEST_F(RangeFunctionTest, AGaugeHasNoRate) {
  const auto answer = Ask("g", "rate", kMidnightMs, kMidnightMs + kDayMs, kHourMs);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalid);
  EXPECT_NE(answer.error().ToString().find("is a gauge"), std::string::npos);
}

TEST_F(RangeFunctionTest, AnUnknownFunctionNamesTheKnown) {
  const auto function = ParseRangeFunction("median");
  ASSERT_FALSE(function.ok());
  EXPECT_NE(function.error().ToString().find("use avg, min, max"), std::string::npos);
}

}  // namespace
}  // namespace idlewatt
