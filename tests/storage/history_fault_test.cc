// A history whose disk fails: at every single step of a recording, and for a while.
#include <spdlog/spdlog.h>

#include "tests/storage/recorded_history.h"
#include "tests/support/faulty_vfs.h"

namespace idlewatt {
namespace {

using Fault = FaultyVfs::Fault;

constexpr int64_t kHour = 3'600'000;
constexpr int64_t kStep = 300'000;  // a frame every five minutes

class HistoryFaultTest : public RecordedHistoryTest {
 protected:
  HistoryFaultTest() {
    spdlog::set_level(spdlog::level::off);  // thousands of warnings
    options_.store.retention.raw = std::chrono::hours(30);
  }
  ~HistoryFaultTest() override { Close(); }
  // A thousand new databases, each of which is synced once: in memory, where there is such a place.
  static void SetUpTestSuite() {
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
  }

  // A fixed recording over two days: hours and days end, old rows go, the -wal file is written back
  // by somebody else, and the daemon starts anew in between. After a failure it goes on as a daemon
  // does; it never starts, or ends there, when it can't be opened.
  void Record() {
    for (int life = 0; life < 2; ++life) {
      Open();
      if (history_ == nullptr) return;
      for (int flush = 0; flush < 8; ++flush) {
        // The night is quiet, so that the recording is long in time but short in steps.
        if (flush == 4) next_ms_ += 14 * kHour;
        RecordFlush(4, kStep);
      }
      CheckpointByAnother();
      RecordFlush(1, kStep);
    }
    Close();
  }
  void CheckpointByAnother() {
    Result<Database> other = Database::Open(db_path(), Database::Mode::kReadWrite);
    if (other.ok()) (void)other->Execute("PRAGMA wal_checkpoint(PASSIVE)");
  }
  void StartAnew() {
    Close();
    folder_.reset();
    tree_.Remove("data");
    next_ms_ = kStartMs;
    pushed_.clear();
    promised_.clear();
    ForgetUnflushed();
  }
  // Everything that may be deleted by now stands before this.
  int64_t KeptFrom() const { return next_ms_ - 30 * kHour; }

  // The recording once for each of its operations, with a fault at that one. After each, a reader
  // and a new daemon must find a sound history with all that was promised.
  void FailAtEveryOperation(Fault fault, bool lasting) {
    uint64_t n = 0;
    for (bool failed = true; failed && !HasFailure();) {
      StartAnew();
      vfs_.FailAt(++n, fault, lasting);
      Record();
      Close();
      failed = vfs_.operations() >= n;
      vfs_.Recover(static_cast<uint32_t>(n));
      SCOPED_TRACE("operation " + std::to_string(n));
      // A daemon that goes on tries again, until it has written everything.
      if (!lasting && fault != Fault::kPowerLoss) Promise();
      ForgetUnflushed();
      ExpectGoesOn();
    }
    EXPECT_GT(n, 80u) << "the recording has that many operations";
  }
  void ExpectGoesOn() {
    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
    EXPECT_TRUE(history_->Stats().set_aside.empty());
    EXPECT_TRUE(RecordFlush(4, kStep));
    ExpectAllPromised(KeptFrom());
  }

  // The recording, with a power loss at operation `n`. False when it has no such operation.
  bool CutPower(uint64_t n) {
    StartAnew();
    vfs_.FailAt(n, Fault::kPowerLoss, true);
    Record();
    Close();
    const bool cut = vfs_.operations() >= n;
    vfs_.Recover(static_cast<uint32_t>(n));
    ForgetUnflushed();
    return cut;
  }

  FaultyVfs vfs_;
};

TEST_F(HistoryFaultTest, TheRecordingHasEveryKindOfStep) {
  Record();
  Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadOnly));
  const auto count = [&db](const std::string& sql) { return db.QueryInt(sql).value(); };
  EXPECT_GT(count("SELECT count(*) FROM frames"), 0);
  EXPECT_GT(count("SELECT count(*) FROM chunks"), 0);
  EXPECT_GT(count("SELECT min(start_ms) FROM chunks"), kStartMs + kHour) << "retention";
  EXPECT_GT(count("SELECT max(end_ms - start_ms) FROM chunks"), kHour) << "the merge of a day";
  EXPECT_GT(count("SELECT count(*) FROM rollup_1d"), 0);
  EXPECT_GT(count("SELECT count(*) FROM idle_interval"), 4);
  EXPECT_GT(count("SELECT count(*) FROM idle_interval WHERE reason = 'lost'"), 0);
}

TEST_F(HistoryFaultTest, AFullDiskAtAnyOperationLosesNothing) {
  FailAtEveryOperation(Fault::kDiskFull, false);
}

TEST_F(HistoryFaultTest, ADiskThatStaysFullFromAnyOperationOnLosesNoFlush) {
  FailAtEveryOperation(Fault::kDiskFull, true);
}

TEST_F(HistoryFaultTest, AnIoErrorAtAnyOperationLosesNothing) {
  FailAtEveryOperation(Fault::kIoError, false);
}

TEST_F(HistoryFaultTest, AHalfWriteAtAnyOperationLosesNothing) {
  FailAtEveryOperation(Fault::kHalfWrite, false);
}

TEST_F(HistoryFaultTest, HalfWritesFromAnyOperationOnLoseNoFlush) {
  FailAtEveryOperation(Fault::kHalfWrite, true);
}

TEST_F(HistoryFaultTest, AFileSystemThatTurnsReadOnlyEndsNoDaemonAndIsCounted) {
  options_.queue_frames = 6;
  Open();
  ASSERT_TRUE(RecordFlush(4, kStep));
  vfs_.FailAt(1, Fault::kIoError, true);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(RecordFlush(4, kStep));
  EXPECT_EQ(history_->Stats().flush_errors, 5u);
  EXPECT_EQ(history_->Stats().dropped_frames, 14u);
  EXPECT_EQ(TimesOnDisk().size(), 4u) << "readers read on";
  vfs_.Recover();
  EXPECT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk().size(), 10u);
  ExpectSound();
}

TEST_F(HistoryFaultTest, APowerLossAtAnyOperationLosesNoFlushWhenSynchronousIsFull) {
  options_.store.synchronous = "full";
  FailAtEveryOperation(Fault::kPowerLoss, true);
}

TEST_F(HistoryFaultTest, APowerLossWhenSynchronousIsNormalLosesTheNewestFlushesOnly) {
  options_.store.synchronous = "normal";
  size_t lost_most = 0;
  for (uint64_t n = 1; CutPower(n) && !HasFailure(); ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
    ExpectSound();
    const std::vector<int64_t> found = TimesOnDisk();
    std::set<int64_t> lost = promised_;
    for (const int64_t time_ms : found) lost.erase(time_ms);
    std::erase_if(lost, [this](int64_t time_ms) { return time_ms < KeptFrom(); });
    if (!lost.empty() && !found.empty()) {
      EXPECT_GT(*lost.begin(), found.back());
    }
    ExpectIntervalsOf({found.begin(), found.end()}, KeptFrom());
    lost_most = std::max(lost_most, lost.size());
  }
  EXPECT_GT(lost_most, 0u) << "or it would be as safe as full";
}

TEST_F(HistoryFaultTest, APowerLossWhenSynchronousIsOffMayDamageTheDatabaseButRecordingGoesOn) {
  options_.store.synchronous = "off";
  size_t damaged = 0;
  for (uint64_t n = 1; CutPower(n) && !HasFailure(); ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
    EXPECT_TRUE(RecordFlush(4, kStep));
    damaged += history_->Stats().set_aside.size();
  }
  EXPECT_GT(damaged, 0u) << "or it would be as safe as normal";
}

}  // namespace
}  // namespace idlewatt
