// A fork bomb, as far as a /proc of files shows one: 20,000 processes that come and go.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>

#include "collector/sampler_table.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

// On a disk the 20,000 folders would take minutes.
struct TreesInMemory {
  TreesInMemory() {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 0);
  }
};

class ManyProcessesTest : public ::testing::Test {
 protected:
  static constexpr int32_t kFirst = 1000;
  static constexpr int32_t kCount = 20'000;

  ManyProcessesTest() {
    proc.Put({.pid = 1, .comm = "init", .parent = 0});
    for (int32_t pid = kFirst; pid < kFirst + kCount; ++pid) PutBomb(pid);
    // Gone between the listing and the reading, and what is no process at all.
    for (int32_t pid = 100'000; pid < 100'100; ++pid) proc.MakeDir(std::to_string(pid));
    proc.PutFile(100'200, "stat", "100200 (cut sh");
    proc.MakeDir("100300/stat");
    for (ScheduledSampler& row : MakeSamplers({roots, options, nullptr, false})) {
      if (row.sampler->info().name == "process") sampler = std::move(row.sampler);
    }
  }
  // One of many names: each would be a service of its own.
  void PutBomb(int32_t pid) {
    proc.Put({.pid = pid,
              .comm = "bomb" + std::to_string(pid % 500),
              .parent = 1,
              .user = static_cast<uint64_t>(pid % 7),
              .start = static_cast<uint64_t>(pid)});
  }
  Readings Read() {
    clock.Advance(std::chrono::seconds(5));
    Readings out(registry);
    const Result<void> result = sampler->Read(clock.Now(), out);
    EXPECT_TRUE(result.ok()) << result.error().ToString();
    return out;
  }
  // Large blocks are mapped, or not, as the allocator likes.
  static size_t BytesInUse() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

  TreesInMemory in_memory;  // before the trees are made
  FakeProc proc;
  FakeTree sys;
  const MachineRoots roots{proc.Root(), sys.Root()};
  const CollectorOptions options;
  ManualClock clock;
  SeriesRegistry registry;
  std::unique_ptr<Sampler> sampler;
};

TEST_F(ManyProcessesTest, OneTickSeesThemAllInFewSeries) {
  ASSERT_NE(sampler, nullptr);
  const Readings out = Read();
  EXPECT_EQ(out.processes->size(), static_cast<size_t>(kCount) + 1);
  // discovered_top services and "other"; each has some ten series.
  EXPECT_LT(out.samples.size(), 30U * static_cast<size_t>(options.discovered_top + 1));
}

TEST_F(ManyProcessesTest, ThoseThatVanishAreSkippedAndNothingPilesUp) {
  ASSERT_NE(sampler, nullptr);
  Read();
  Read();
  const size_t bytes = BytesInUse();
  const size_t series = registry.size();
  for (int round = 1; round <= 4; ++round) {
    // A tenth ends, half of it in the middle of the scan, and as many are born.
    for (int32_t i = 0; i < kCount / 10; ++i) {
      const int32_t pid = kFirst + (round - 1) * (kCount / 10) + i;
      if (i % 2 == 0) {
        proc.Kill(pid);
      } else {
        proc.Remove(std::to_string(pid) + "/stat");
      }
      PutBomb(kFirst + kCount + (round - 1) * (kCount / 10) + i);
    }
    EXPECT_EQ(Read().processes->size(), static_cast<size_t>(kCount) + 1);
  }
  // What they used at last may be told late; after a minute nobody waits for it.
  clock.Advance(std::chrono::minutes(2));
  Read();
  Read();
  // Of 8,000 dead processes nothing is kept: 200 bytes of each would show. Without a fitting
  // malloc (sanitizers) the numbers are 0.
  EXPECT_LT(BytesInUse(), bytes + size_t{8000} * 200);
  EXPECT_LT(registry.size(), series + size_t{30} * 500);
}

}  // namespace
}  // namespace idlewatt
