// kill -9 under load, at any moment.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <random>

#include "base/unique_fd.h"
#include "tests/storage/recorded_history.h"

namespace idlewatt {
namespace {

constexpr int64_t kHour = 3'600'000;
constexpr int kFlushFrames = 4;
constexpr int64_t kStep = 300'000;  // 20 minutes a flush: hours, days and retention come often

class HistoryKillTest : public RecordedHistoryTest {
 protected:
  // A daemon that records as fast as it can, and writes a byte for each flush that worked. Gives
  // back how many did before it was killed: `flushes`, and what it managed until the signal came.
  int RecordAndKill(int flushes, std::chrono::microseconds later) {
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd from_child(ends[0]);
    UniqueFd to_parent(ends[1]);
    const pid_t child = fork();
    if (child == 0) {
      Open();
      while (history_ != nullptr) {
        if (RecordFlush(kFlushFrames, kStep)) (void)!write(to_parent.get(), "x", 1);
      }
      _exit(1);
    }
    to_parent.reset();
    int done = 0;
    while (done < flushes && ReadByte(from_child.get())) ++done;
    EXPECT_EQ(done, flushes) << "the daemon ended by itself";
    const timespec wait{0, std::chrono::nanoseconds(later).count()};
    nanosleep(&wait, nullptr);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (ReadByte(from_child.get())) ++done;
    return done;
  }
  static bool ReadByte(int fd) {
    char byte = 0;
    return read(fd, &byte, 1) == 1;
  }
  // Promised are `flushes`; of one more the frames may be there.
  void TakeOver(int flushes) {
    for (int i = 0; i < (flushes + 1) * kFlushFrames; ++i) {
      pushed_.insert(next_ms_);
      if (i < flushes * kFlushFrames) promised_.insert(next_ms_);
      next_ms_ += kStep;
    }
  }
};

TEST_F(HistoryKillTest, TwoHundredKillsLoseNoFlush) {
  options_.store.retention.raw = std::chrono::hours(60);
  std::mt19937 random(3);
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const auto flushes = static_cast<int>(random() % 30);
    TakeOver(RecordAndKill(flushes, std::chrono::microseconds(random() % 3000)));
    ExpectAllPromised(next_ms_ - 60 * kHour);
  }
}

}  // namespace
}  // namespace idlewatt
