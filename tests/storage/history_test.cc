#include "storage/history.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

// Lets no file of this process grow past `bytes`, as a full disk would.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(HistoryTest, GivesBackWhatWasPushedAfterAReopen) {
  Open();
  const SeriesId counter = registry_.Intern(kTestCounter, {"rapl", "dram \"x\"\n"});
  for (int i = 0; i < 10; ++i) {
    history_->Push(FrameAt(kStartMs + i * 5000, {{GaugeId(), i / 3.0}, {counter, 1e15 + i}}));
    if (i == 4) {
      ASSERT_TRUE(history_->Flush().ok());
    }
  }
  Close();  // flushes the rest
  Open();
  EXPECT_EQ(history_->Stats().oldest, At(kStartMs));
  const RangeAnswer gauges = Read();
  ASSERT_EQ(gauges.series.size(), 1u);
  ASSERT_EQ(gauges.series[0].points.size(), 10u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(gauges.series[0].points[static_cast<size_t>(i)].time_ms, kStartMs + i * 5000);
    EXPECT_EQ(gauges.series[0].points[static_cast<size_t>(i)].value, i / 3.0);
  }
  const RangeAnswer counters = Read("test_joules_total{source=\"rapl\"}");
  ASSERT_EQ(counters.series.size(), 1u);
  EXPECT_EQ(counters.series[0].labels, (Labels{{"domain", "dram \"x\"\n"}, {"source", "rapl"}}));
  EXPECT_EQ(counters.series[0].points.back().value, 1e15 + 9);
}

TEST_F(HistoryTest, PartsOfAHistogramAreOneFamily) {
  static constexpr Histogram kTimes = MakeHistogram<"test_seconds">("seconds", {{"who"}}, "Times");
  Open();
  history_->Push(FrameAt(kStartMs, {{registry_.Intern(kTimes.bucket, {"a", "+Inf"}), 7},
                                    {registry_.Intern(kTimes.sum, {"a"}), 0.5},
                                    {registry_.Intern(kTimes.count, {"a"}), 7}}));
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Read("test_seconds_bucket{le=\"+Inf\"}").series.size(), 1U);
  EXPECT_EQ(Read("test_seconds_count").series.size(), 1U);
  Result<HistoryReader> reader = HistoryReader::Open(db_path());
  ASSERT_TRUE(reader) << reader.error().ToString();
  const auto families = reader->Families();
  ASSERT_TRUE(families && families->size() == 1);
  EXPECT_EQ(families->front().name, "test_seconds");
  EXPECT_EQ(families->front().type, "histogram");
  EXPECT_EQ(families->front().unit, "seconds");
  EXPECT_EQ(families->front().help, "Times");
}

TEST_F(HistoryTest, FlushesByItselfAfterTheInterval) {
  options_.flush_interval = milliseconds(1);
  Open();
  PushValue(kStartMs, 1);
  while (history_->Stats().flushes == 0) std::this_thread::yield();
  EXPECT_EQ(TimesOnDisk(), std::vector<int64_t>{kStartMs});
}

TEST_F(HistoryTest, OneRowForEachFlush) {
  Open();
  for (int i = 0; i < 3; ++i) PushValue(kStartMs + i * 5000, 1);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(history_->Stats().rows_written, 1u);
  ASSERT_TRUE(history_->Flush().ok()) << "nothing to write is fine";
  EXPECT_EQ(history_->Stats().flushes, 1u);
}

TEST_F(HistoryTest, AFullQueueDropsTheOldestAndCounts) {
  options_.queue_frames = 5;
  Open();
  for (int i = 0; i < 8; ++i) PushValue(kStartMs + i * 1000, i);
  EXPECT_EQ(history_->Stats().queued_frames, 5u);
  EXPECT_EQ(history_->Stats().dropped_frames, 3u);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk().front(), kStartMs + 3000);
}

TEST_F(HistoryTest, AfterStopAPushIsDroppedAndAFlushSaysSo) {
  Open();
  history_->Stop();
  PushValue(kStartMs, 1);
  EXPECT_EQ(history_->Stats().dropped_frames, 1u);
  EXPECT_EQ(history_->Flush().error().code, ErrorCode::kGone);
}

TEST_F(HistoryTest, AFullDiskLosesNothingAndRecordingGoesOn) {
  Open();
  PushValue(kStartMs, 1);
  ASSERT_TRUE(history_->Flush().ok());
  {
    const FullDisk full(4096);
    PushValue(kStartMs + 1000, 2);
    const Result<void> failed = history_->Flush();
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code, ErrorCode::kTransient);
    PushValue(kStartMs + 2000, 3);
    EXPECT_FALSE(history_->Flush().ok());
    EXPECT_EQ(history_->Stats().flush_errors, 2u);
    EXPECT_EQ(history_->Stats().queued_frames, 2u);
  }
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk(), (std::vector<int64_t>{kStartMs, kStartMs + 1000, kStartMs + 2000}));
  EXPECT_EQ(history_->Stats().dropped_frames, 0u);
  EXPECT_TRUE(history_->Stats().set_aside.empty());
}

TEST_F(HistoryTest, ALongFailureIsBoundedByTheQueue) {
  options_.queue_frames = 4;
  Open();
  {
    const FullDisk full(4096);
    for (int i = 0; i < 10; ++i) {
      PushValue(kStartMs + i * 1000, i);
      EXPECT_FALSE(history_->Flush().ok());
    }
  }
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk().size(), 4u);
  EXPECT_EQ(TimesOnDisk().front(), kStartMs + 6000);
  EXPECT_EQ(history_->Stats().dropped_frames, 6u);
}

TEST_F(HistoryTest, ABusyDatabaseIsTriedAgain) {
  Open();
  {
    Database other = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(other.Execute("BEGIN IMMEDIATE").ok());
    PushValue(kStartMs, 1);
    const Result<void> busy = history_->Flush();
    ASSERT_FALSE(busy.ok());
    EXPECT_EQ(busy.error().code, ErrorCode::kTransient);
  }
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk().size(), 1u);
}

TEST_F(HistoryTest, AClockThatIsSetBackLosesNothing) {
  Open();
  std::vector<int64_t> expected;
  // Three passes over the same milliseconds, with a jump inside a flush too.
  for (int pass = 0; pass < 3; ++pass) {
    for (int i = 0; i < 7; ++i) {
      PushValue(kStartMs + i * 5000, pass);
      expected.push_back(kStartMs + i * 5000);
      if (i % 3 == 2) {
        ASSERT_TRUE(history_->Flush().ok());
      }
    }
  }
  ASSERT_TRUE(history_->Flush().ok());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(TimesOnDisk(), expected);
}

TEST_F(HistoryTest, ALongBacklogIsFoundByItsTrueTimes) {
  Open();
  for (int i = 0; i < 150; ++i) PushValue(kStartMs + i * 10'000, i);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_GT(history_->Stats().rows_written, 1u);
  const int64_t since = kStartMs + 1'200'000;
  const RangeAnswer answer = Read("test_celsius", {At(since), At(since + 30'000)});
  ASSERT_EQ(answer.series.size(), 1u);
  EXPECT_EQ(answer.series[0].points.size(), 4u);
}

TEST_F(HistoryTest, RetentionDeletesOnlyWhatIsOld) {
  options_.store.retention.raw = std::chrono::hours(1);
  Open();
  constexpr int64_t kMinute = 60'000;
  for (int minute = 0; minute <= 180; ++minute) {
    PushValue(kStartMs + minute * kMinute, minute);
    ASSERT_TRUE(history_->Flush().ok());
  }
  const int64_t newest = kStartMs + 180 * kMinute;
  ASSERT_TRUE(history_->Stats().oldest.has_value());
  const int64_t oldest = history_->Stats().oldest->time_since_epoch().count();
  EXPECT_LE(oldest, newest - 60 * kMinute) << "nothing within the hour may go";
  EXPECT_GE(oldest, newest - 120 * kMinute) << "what is older goes, an hour's chunk at once";
  const RangeAnswer measured = Read("test_celsius", {At(oldest), At(newest)});
  ASSERT_EQ(measured.series.size(), 1u);
  EXPECT_FALSE(measured.rolled_up);
  EXPECT_EQ(measured.series[0].points.size(), static_cast<size_t>((newest - oldest) / kMinute + 1));
  const RangeAnswer before = Read("test_celsius", {At(0), At(oldest - 1)});
  EXPECT_TRUE(before.rolled_up) << "roll-ups stand in for what was deleted";
  EXPECT_GT(history_->Stats().rows_deleted, 0u);
}

TEST_F(HistoryTest, ASeriesThatEndsAndReturnsKeepsItsRow) {
  Open();
  PushValue(kStartMs, 1);
  ASSERT_TRUE(history_->Flush().ok());
  registry_.End(GaugeId());
  PushValue(kStartMs + 1000, 2);  // a new id for the same labels
  ASSERT_TRUE(history_->Flush().ok());
  const RangeAnswer answer = Read();
  ASSERT_EQ(answer.series.size(), 1u);
  EXPECT_EQ(answer.series[0].points.size(), 2u);
}

TEST_F(HistoryTest, IsReadWhileItIsWritten) {
  options_.flush_interval = milliseconds(1);
  Open();
  std::jthread sampler([this](const std::stop_token& stop) {
    for (int64_t i = 0; !stop.stop_requested(); ++i) PushValue(kStartMs + i * 5000, 1);
  });
  while (history_->Stats().flushes == 0) std::this_thread::yield();
  for (int round = 0; round < 50; ++round) {
    const RangeAnswer answer = Read();
    EXPECT_EQ(answer.damaged_rows, 0u);
    ASSERT_EQ(answer.series.size(), 1u);
  }
}

}  // namespace
}  // namespace idlewatt
