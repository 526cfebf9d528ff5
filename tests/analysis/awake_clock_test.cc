#include "analysis/awake_clock.h"

#include <gtest/gtest.h>

#include "collector/metrics.h"
#include "collector/sampler.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SamplerInfo kHost{"host", "", false, {}};

// Readings of /proc/stat alone.
class AwakeClockTest : public testing::Test {
 protected:
  // `cpu_seconds` of all CPUs passed in `elapsed`.
  void Read(std::chrono::nanoseconds elapsed, double cpu_seconds) {
    boot_ += elapsed;
    idle_ += cpu_seconds;
    Frame frame;
    frame.begin.boot = boot_;
    frame.samples.push_back({registry_.Intern(metrics::kHostCpuSeconds, {"idle"}), idle_});
    SamplerRun run{&kHost, SamplerRun::Outcome::kOk, {}, seconds(5)};
    run.count = 1;
    frame.runs.push_back(std::move(run));
    builder_.Apply(frame);
    awake_.Update(builder_.Current());
  }
  double Slept() const { return ToSeconds(awake_.Slept()); }

  AwakeClock awake_;

 private:
  SeriesRegistry registry_;
  SnapshotBuilder builder_{registry_};
  BootTime boot_{seconds(100)};
  double idle_ = 0;
};

TEST_F(AwakeClockTest, RunsWithTheBootClockWhileAwake) {
  Read(seconds(0), 0);
  for (int i = 0; i < 20; ++i) Read(seconds(5), 40);
  EXPECT_EQ(awake_.Now(), seconds(200));
  EXPECT_EQ(awake_.Step(), seconds(5));
  EXPECT_EQ(Slept(), 0);
}

TEST_F(AwakeClockTest, GrainOfTheCountersIsNoSleep) {
  Read(seconds(0), 0);
  for (int i = 0; i < 20; ++i) Read(milliseconds(100), i % 2 == 0 ? 0.78 : 0.82);
  Read(seconds(5), 37);
  EXPECT_EQ(Slept(), 0);
}

TEST_F(AwakeClockTest, StandsStillWhileTheMachineSleeps) {
  Read(seconds(0), 0);
  Read(seconds(5), 40);
  Read(seconds(65), 40);
  EXPECT_NEAR(Slept(), 60, 1e-6);
  EXPECT_NEAR(ToSeconds(awake_.Step()), 5, 1e-6);
  Read(seconds(5), 40);
  EXPECT_NEAR(Slept(), 60, 1e-6);
}

TEST_F(AwakeClockTest, SleepBeforeTheSecondReadingIsSeen) {
  Read(seconds(0), 0);
  Read(seconds(28800), 40);
  EXPECT_LT(ToSeconds(awake_.Step()), 60);
}

TEST_F(AwakeClockTest, CountersThatStandStillTellNothing) {
  Read(seconds(0), 0);
  Read(seconds(5), 40);
  Read(seconds(5), 0);
  EXPECT_EQ(Slept(), 0);
}

TEST_F(AwakeClockTest, CpusTakenOfflineAreForgotten) {
  Read(seconds(0), 0);
  Read(seconds(5), 40);
  for (int i = 0; i < 30; ++i) Read(seconds(5), 10);
  const double slept = Slept();
  Read(seconds(5), 10);
  EXPECT_EQ(Slept(), slept);
}

}  // namespace
}  // namespace idlewatt
