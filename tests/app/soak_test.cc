// The whole way of a tick over hours of them: what the daemon keeps must not grow with time.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdio>

#include "app/recorder.h"
#include "collector/sampler_table.h"
#include "storage/data_dir.h"
#include "tests/support/fake_service_control.h"
#include "tests/support/fake_tree.h"
#include "tests/support/process_herd.h"

namespace idlewatt {
namespace {

double ResidentMiB() {
  ::malloc_trim(0);  // what was freed is not kept
  const FileRoot self = std::move(*FileRoot::Open("/proc/self"));
  long long all = 0;
  long long resident = 0;
  std::sscanf(self.Read("statm").value_or("").c_str(), "%lld %lld", &all, &resident);
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

class SoakTest : public ::testing::Test {
 protected:
  SoakTest() {
    CollectorOptions options;
    loop.emplace(SamplingLoop::Options{}, MakeSamplers({roots, options, nullptr, true}), registry,
                 clock, recorder);
  }
  void Tick() {
    clock.Advance(std::chrono::seconds(5));
    loop->Tick();
  }

  FakeTree folder;
  const MachineRoots roots{std::move(*FileRoot::Open("/proc")), std::move(*FileRoot::Open("/sys"))};
  ManualClock clock;
  SeriesRegistry registry;
  Ring ring{std::chrono::hours(1), std::chrono::seconds(5), size_t{8} << 20, registry};
  const DataDir data_dir = std::move(*DataDir::Lock(folder.path()));
  std::unique_ptr<History> history = std::move(*History::Open(data_dir, {}, registry));
  Slot<Snapshot> snapshot;
  Slot<std::vector<AlertStatus>> alerts;
  FakeServiceControl control;
  EventRecorder events{control,
                       [this](HistoryEvent event) { history->PushEvent(std::move(event)); }};
  Slot<std::optional<Baseline>> baseline;
  Recorder recorder{{}, {}, {registry, ring, *history, snapshot, alerts, baseline, events}};
  std::optional<SamplingLoop> loop;
};

constexpr double kGrowthMiB = 3;

TEST_F(SoakTest, MemoryStaysFlatOverTenThousandTicks) {
  for (int i = 0; i < 1500; ++i) Tick();  // two hours: the ring is full
  const double before = ResidentMiB();
  for (int i = 0; i < 10'000; ++i) Tick();
  EXPECT_LT(ResidentMiB(), before + kGrowthMiB);
}

TEST_F(SoakTest, MemoryStaysFlatOverAHundredThousandShortLivedProcesses) {
  const auto many = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(RunShortLivedProcess());
      if (i % 1000 == 0) Tick();
    }
  };
  many(20'000);
  const double before = ResidentMiB();
  many(100'000);
  EXPECT_LT(ResidentMiB(), before + kGrowthMiB);
}

}  // namespace
}  // namespace idlewatt
