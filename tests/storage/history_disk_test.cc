// A history on a disk that is full or read-only, as the kernel has it. Needs the right to mount.
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "tests/storage/recorded_history.h"
#include "tests/support/tmpfs.h"

namespace idlewatt {
namespace {

constexpr int64_t kTick = 5000;
constexpr int kFlushFrames = 3;  // 15 s

class HistoryDiskTest : public RecordedHistoryTest {
 protected:
  void SetUp() override {
    tree_.MakeDir("data");
    disk_ = Tmpfs::Mount(tree_.PathOf("data"), "1m");
    if (disk_ == nullptr) {
      GTEST_SKIP() << "needs the right to mount (root): " << std::strerror(errno);
    }
  }
  void TearDown() override {
    Close();
    folder_.reset();
  }

  std::string Ballast() const { return tree_.PathOf("data/ballast"); }
  void FillDisk() {
    std::ofstream ballast(Ballast(), std::ios::binary);
    const std::string block(4096, 'x');
    while (ballast.write(block.data(), 4096).flush()) {
    }
  }
  // Records until nothing fits any more.
  void RecordUntilFull() {
    int flushes = 0;
    while (RecordFlush(kFlushFrames, kTick)) ASSERT_LT(++flushes, 100);
  }
  // What stands in the -wal file when the daemon is killed.
  void RecordAndBeKilled() {
    const pid_t child = fork();
    if (child == 0) {
      Open();
      RecordFlush(kFlushFrames, kTick);
      raise(SIGKILL);
    }
    waitpid(child, nullptr, 0);
  }

  std::unique_ptr<Tmpfs> disk_;
};

TEST_F(HistoryDiskTest, AMinuteOfAFullDiskLosesNothingThatFitsTheQueue) {
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kTick));
  FillDisk();
  RecordUntilFull();
  for (int quarter = 0; quarter < 4; ++quarter) EXPECT_FALSE(RecordFlush(kFlushFrames, kTick));
  EXPECT_GE(history_->Stats().flush_errors, 5u);
  std::filesystem::remove(Ballast());
  EXPECT_TRUE(RecordFlush(kFlushFrames, kTick));
  EXPECT_EQ(history_->Stats().dropped_frames, 0u);
  ExpectAllPromised(kStartMs);
  EXPECT_EQ(TimesOnDisk().size(), pushed_.size());
}

TEST_F(HistoryDiskTest, WhatDoesNotFitTheQueueIsCounted) {
  options_.queue_frames = 5;
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kTick));
  FillDisk();
  RecordUntilFull();
  for (int quarter = 0; quarter < 4; ++quarter) EXPECT_FALSE(RecordFlush(kFlushFrames, kTick));
  std::filesystem::remove(Ballast());
  ASSERT_TRUE(history_->Flush().ok());
  const uint64_t dropped = history_->Stats().dropped_frames;
  EXPECT_EQ(dropped, 10u) << "five flushes failed, and five of their fifteen frames fit the queue";
  EXPECT_EQ(TimesOnDisk().size(), pushed_.size() - dropped);
  EXPECT_TRUE(RecordFlush(kFlushFrames, kTick)) << "recording goes on";
  ExpectSound();
}

TEST_F(HistoryDiskTest, ADaemonThatEndsOnAFullDiskLeavesASoundHistory) {
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kTick));
  FillDisk();
  RecordUntilFull();
  Close();
  ForgetUnflushed();
  std::filesystem::remove(Ballast());
  ExpectAllPromised(kStartMs);
  Open();
  ASSERT_NE(history_, nullptr) << error_->ToString();
  EXPECT_TRUE(RecordFlush(kFlushFrames, kTick));
  ExpectAllPromised(kStartMs);
}

TEST_F(HistoryDiskTest, ReadersReadAFullDisk) {
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kTick));
  FillDisk();
  RecordUntilFull();
  ExpectAllPromised(kStartMs);
  Close();  // and with it the -shm file, for which a reader then finds no room
  ExpectAllPromised(kStartMs);
}

TEST_F(HistoryDiskTest, AReadOnlyDiskIsAClearSentenceAtTheStart) {
  RecordAndBeKilled();
  disk_->MakeReadOnly();
  const Result<DataDir> folder = DataDir::Lock(tree_.PathOf("data"));
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.error().ToString(),
            tree_.PathOf("data") + ": cannot write to the data folder: Read-only file system");
}

TEST_F(HistoryDiskTest, ReadersReadAReadOnlyDisk) {
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kTick));
  Close();
  folder_.reset();
  disk_->MakeReadOnly();
  EXPECT_EQ(TimesOnDisk().size(), 3u);
}

TEST_F(HistoryDiskTest, AReaderOfAReadOnlyDiskSaysThatItMissesTheWal) {
  Open();
  ASSERT_TRUE(RecordFlush(kFlushFrames, kTick));
  Close();
  folder_.reset();
  RecordAndBeKilled();
  std::filesystem::remove(db_path() + "-shm");
  disk_->MakeReadOnly();
  const Result<HistoryReader> reader = HistoryReader::Open(db_path());
  ASSERT_TRUE(reader.ok()) << reader.error().ToString();
  EXPECT_TRUE(reader->misses_newest());
  EXPECT_EQ(TimesOnDisk().size(), 3u);
}

}  // namespace
}  // namespace idlewatt
