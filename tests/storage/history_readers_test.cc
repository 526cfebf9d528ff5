// Readers and a vacuum beside a daemon that records.
#include <atomic>
#include <thread>

#include "storage/database_care.h"
#include "tests/storage/recorded_history.h"

namespace idlewatt {
namespace {

constexpr int64_t kStep = 60'000;
constexpr int kFlushFrames = 4;

class HistoryReadersTest : public RecordedHistoryTest {
 protected:
  // Reads until told to stop. Every answer must be whole: all frames from the first on, each once,
  // up to at least those that were promised before it was asked.
  void ReadUntilStopped(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const int64_t promised = promised_until_;
      const std::vector<Point> points = PointsOf("test_celsius");
      const auto expected = static_cast<size_t>((promised - kStartMs) / kStep);
      ASSERT_GE(points.size(), expected);
      for (size_t i = 0; i < points.size(); ++i) {
        ASSERT_EQ(points[i].time_ms, kStartMs + static_cast<int64_t>(i) * kStep);
      }
      ++answers_;
    }
  }
  void VacuumSixTimes(const std::stop_token& stop) {
    while (!stop.stop_requested() && vacuums_ < 6) {
      const Result<VacuumOutcome> vacuum = VacuumDatabase(db_path());
      ASSERT_TRUE(vacuum.ok()) << vacuum.error().ToString();
      ++vacuums_;
    }
  }

  std::atomic<int64_t> promised_until_ = kStartMs;
  std::atomic<int> answers_ = 0, vacuums_ = 0;
};

TEST_F(HistoryReadersTest, TwoReadersAndAVacuumDisturbNothing) {
  options_.queue_frames = 100'000;  // simulated time runs while the vacuum holds the database
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kStep));
  promised_until_ = next_ms_;
  {
    std::jthread first([this](const std::stop_token& stop) { ReadUntilStopped(stop); });
    std::jthread second([this](const std::stop_token& stop) { ReadUntilStopped(stop); });
    std::jthread vacuum([this](const std::stop_token& stop) { VacuumSixTimes(stop); });
    for (int flushes = 0; flushes < 300 || vacuums_ < 6 || answers_ < 20; ++flushes) {
      if (RecordFlush(kFlushFrames, kStep)) promised_until_ = next_ms_;
      if (HasFailure()) break;
    }
  }
  ASSERT_TRUE(history_->Flush().ok());
  Promise();
  EXPECT_EQ(history_->Stats().dropped_frames, 0u);
  ExpectAllPromised(kStartMs);
  EXPECT_EQ(PointsOf("test_celsius").size(), pushed_.size());
}

}  // namespace
}  // namespace idlewatt
