#include "collector/sampling_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>

#include "tests/collector/readings_support.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using Outcome = SamplerRun::Outcome;

constexpr Metric kValue{"test_value", MetricKind::kGauge, "", {{"of"}}, "v"};
constexpr SamplerInfo kFast{"fast", "what fast gives", false, {}};
constexpr SamplerInfo kSlow{"slow", "what slow gives", false, {}};
constexpr SamplerInfo kLane{"lane", "what lane gives", true, {}};

// What a fake sampler does, set by the test. Shared: the sampler may outlive the loop on a lane.
struct Script {
  void Block() {
    const MutexLock lock(mutex);
    blocked = true;
  }
  void Release() {
    const MutexLock lock(mutex);
    blocked = false;
    changed.NotifyAll();
  }
  // Waits until a read has begun.
  void WaitForBegin() {
    const MutexLock lock(mutex);
    while (begun == 0) changed.Wait(mutex);
  }
  // Waits until `count` reads have come back.
  void WaitForReads(int count) {
    const MutexLock lock(mutex);
    while (reads < count) changed.Wait(mutex);
  }

  std::optional<ErrorCode> error;
  Mutex mutex;
  CondVar changed;
  bool blocked GUARDED_BY(mutex) = false;
  int begun GUARDED_BY(mutex) = 0;
  int reads GUARDED_BY(mutex) = 0;
};

class FakeSampler final : public Sampler {
 public:
  FakeSampler(const SamplerInfo& info, std::shared_ptr<Script> script)
      : info_(info), script_(std::move(script)) {}
  const SamplerInfo& info() const override { return info_; }
  Result<void> Read(TimePoint /*now*/, Readings& out) override {
    const MutexLock lock(script_->mutex);
    ++script_->begun;
    script_->changed.NotifyAll();
    while (script_->blocked) script_->changed.Wait(script_->mutex);
    ++script_->reads;
    script_->changed.NotifyAll();
    out.Add(kValue, {info_.name}, script_->reads);
    if (script_->error) {
      out.AddRefused("source:" + std::string(info_.name), "x", Error{*script_->error, "", 0, "no"});
      return Error{*script_->error, "device", 0, "does not answer"};
    }
    return {};
  }

 private:
  const SamplerInfo& info_;
  const std::shared_ptr<Script> script_;
};

class CountingSink final : public FrameSink {
 public:
  void OnFrame(Frame frame) override {
    frames.push_back(std::move(frame));
    if (on_frame) on_frame();
  }
  std::vector<Frame> frames;
  std::function<void()> on_frame;
};

// A clock of the moment of boot: every deadline of its loop is past.
class BootMoment final : public Clock {
 public:
  TimePoint Now() const override { return {}; }
};

class SamplingLoopTest : public ::testing::Test {
 protected:
  static SamplingLoop::Options TestOptions() {
    SamplingLoop::Options options;
    options.lane_patience = std::chrono::nanoseconds(0);
    options.stop_patience = seconds(60);  // as no read hangs when a test ends
    return options;
  }
  std::shared_ptr<Script> Add(const SamplerInfo& info,
                              std::chrono::nanoseconds period = seconds(0)) {
    auto script = std::make_shared<Script>();
    samplers.push_back({std::make_unique<FakeSampler>(info, script), period});
    return script;
  }
  // After the last Add.
  void Start(SamplingLoop::Options options = TestOptions()) {
    loop = std::make_unique<SamplingLoop>(options, std::move(samplers), registry, clock, sink);
  }
  void Tick() {
    loop->Tick();
    clock.Advance(seconds(5));
  }
  // The outcome of a sampler in the last frame; nothing when it was not due.
  std::optional<Outcome> Last(const SamplerInfo& info) const {
    for (const SamplerRun& run : sink.frames.back().runs) {
      if (run.info == &info) return run.outcome;
    }
    return std::nullopt;
  }
  // Values of the last frame, by series.
  std::map<std::string, double> Values() {
    Readings readings(registry);
    readings.samples = sink.frames.back().samples;
    return ValuesOf(readings);
  }
  // Ticks in which the sampler was read, of the next `count`.
  std::vector<int> TicksWithRun(const SamplerInfo& info, int count) {
    std::vector<int> ticks;
    for (int i = 0; i < count; ++i) {
      Tick();
      if (Last(info)) ticks.push_back(i);
    }
    return ticks;
  }

  SeriesRegistry registry;
  ManualClock clock;
  CountingSink sink;
  std::vector<ScheduledSampler> samplers;
  std::unique_ptr<SamplingLoop> loop;
};

TEST_F(SamplingLoopTest, AFrameHoldsTheSamplesOfEachRun) {
  Add(kFast);
  Add(kSlow);
  Start();
  Tick();
  const Frame& frame = sink.frames.back();
  ASSERT_EQ(frame.runs.size(), 3U);
  EXPECT_EQ(frame.runs[0].info, &kFast);
  EXPECT_EQ(frame.runs[1].info, &kSlow);
  EXPECT_EQ(frame.runs[1].first, 1U);
  EXPECT_EQ(frame.runs[1].count, 1U);
  EXPECT_EQ(frame.runs[2].info, &SamplingLoop::Info());
  EXPECT_EQ(frame.runs[2].first + frame.runs[2].count, frame.samples.size());
  EXPECT_EQ(frame.begin.boot, BootTime(seconds(1000)));
}

TEST_F(SamplingLoopTest, SuccessAndDurationArePublishedForEverySampler) {
  Add(kFast);
  Add(kSlow)->error = ErrorCode::kTransient;
  Start();
  Tick();
  auto values = Values();
  EXPECT_EQ(values.at("idlewatt_sampler_success{sampler=\"fast\"}"), 1);
  EXPECT_EQ(values.at("idlewatt_sampler_success{sampler=\"slow\"}"), 0);
  EXPECT_GE(values.at("idlewatt_sampler_duration_seconds{sampler=\"fast\"}"), 0);
  EXPECT_EQ(values.count("idlewatt_sampler_duration_seconds{sampler=\"slow\"}"), 1U);
}

TEST_F(SamplingLoopTest, TheAgeIsThatOfTheLastReadingThatSucceeded) {
  const auto script = Add(kFast);
  Add(kSlow)->error = ErrorCode::kTransient;
  Start();
  Tick();
  EXPECT_EQ(Values().at("idlewatt_sampler_age_seconds{sampler=\"fast\"}"), 0);
  EXPECT_EQ(Values().count("idlewatt_sampler_age_seconds{sampler=\"slow\"}"), 0U);
  script->error = ErrorCode::kNoData;  // backs off
  for (int i = 1; i <= 3; ++i) {
    Tick();
    EXPECT_EQ(Values().at("idlewatt_sampler_age_seconds{sampler=\"fast\"}"), 5 * i);
    EXPECT_EQ(sink.frames.back().sources.at(0).age, seconds(5 * i));
    EXPECT_EQ(sink.frames.back().sources.at(1).age, std::nullopt);
  }
}

TEST_F(SamplingLoopTest, TheAgeOfALateReadingCountsFromItsBegin) {
  const auto script = Add(kLane);
  script->Block();
  Start();
  Tick();
  Tick();
  EXPECT_EQ(Values().count("idlewatt_sampler_age_seconds{sampler=\"lane\"}"), 0U);
  script->Release();
  script->WaitForReads(1);
  while (Last(kLane) != Outcome::kOk) loop->Tick();
  EXPECT_EQ(Values().at("idlewatt_sampler_age_seconds{sampler=\"lane\"}"), 10);
}

TEST_F(SamplingLoopTest, ASamplerRefusedWithoutARowSaysWhatWouldHelp) {
  class Refused final : public Sampler {
   public:
    const SamplerInfo& info() const override { return kFast; }
    Result<void> Read(TimePoint /*now*/, Readings& /*out*/) override {
      return ErrnoError(EACCES, "energy_uj");
    }
  };
  samplers.push_back({std::make_unique<Refused>(), seconds(0)});
  Start();
  Tick();
  const SourceStatus& row = sink.frames.back().sources.at(0);
  EXPECT_EQ(row.error.value().ToString(), "energy_uj: Permission denied");
  EXPECT_NE(row.remedy.find("cap_dac_read_search"), std::string::npos);
}

TEST_F(SamplingLoopTest, AnErrorDiscardsTheSamplesAndKeepsTheSources) {
  Add(kFast)->error = ErrorCode::kParse;
  Start();
  Tick();
  EXPECT_EQ(Values().count("test_value{of=\"fast\"}"), 0U);
  const Frame& frame = sink.frames.back();
  EXPECT_EQ(frame.runs[0].outcome, Outcome::kFailed);
  EXPECT_EQ(frame.runs[0].count, 0U);
  EXPECT_EQ(frame.runs[0].error->subject, "device");
  ASSERT_EQ(frame.sources.size(), 1U);
  EXPECT_EQ(frame.sources[0].source, "source:fast");
  EXPECT_EQ(frame.sources[0].sampler, "fast");
  EXPECT_EQ(Values().at("idlewatt_source_available{source=\"source:fast\",reason=\"parse\"}"), 0);
}

TEST_F(SamplingLoopTest, ARefusedSamplerIsTriedAgainAfterTwoFourEightPeriods) {
  for (const ErrorCode code : {ErrorCode::kNoData, ErrorCode::kPermission, ErrorCode::kGone}) {
    Add(kFast)->error = code;
    Start();
    EXPECT_THAT(TicksWithRun(kFast, 40), ElementsAre(0, 2, 6, 14, 30));
  }
}

TEST_F(SamplingLoopTest, BackOffEndsAtFifteenMinutes) {
  Add(kFast)->error = ErrorCode::kNoData;
  Start();
  const std::vector<int> ticks = TicksWithRun(kFast, 2000);
  ASSERT_GT(ticks.size(), 10U);
  for (size_t i = 9; i < ticks.size(); ++i) EXPECT_EQ(ticks[i] - ticks[i - 1], 180);
}

TEST_F(SamplingLoopTest, BackOffOfAVeryLongPeriodDoesNotOverflow) {
  Add(kFast, std::chrono::hours(24 * 365))->error = ErrorCode::kNoData;
  Start();
  EXPECT_THAT(TicksWithRun(kFast, 400), ElementsAre(0, 180, 360));
}

TEST_F(SamplingLoopTest, OtherFailuresAreTriedAgainAtTheNextTick) {
  for (const ErrorCode code : {ErrorCode::kTransient, ErrorCode::kParse, ErrorCode::kInternal}) {
    Add(kFast)->error = code;
    Start();
    EXPECT_THAT(TicksWithRun(kFast, 4), ElementsAre(0, 1, 2, 3));
  }
}

TEST_F(SamplingLoopTest, RecoveryEndsTheBackOff) {
  const auto script = Add(kFast);
  script->error = ErrorCode::kNoData;
  Start();
  EXPECT_THAT(TicksWithRun(kFast, 6), ElementsAre(0, 2));
  script->error.reset();
  EXPECT_THAT(TicksWithRun(kFast, 3), ElementsAre(0, 1, 2));
  script->error = ErrorCode::kNoData;
  EXPECT_THAT(TicksWithRun(kFast, 5), ElementsAre(0, 2));
}

TEST_F(SamplingLoopTest, ALongerPeriodIsAMultipleOfTheTick) {
  Add(kFast);
  Add(kSlow, seconds(15));
  Start();
  EXPECT_THAT(TicksWithRun(kSlow, 8), ElementsAre(0, 3, 6));
  EXPECT_TRUE(Last(kFast));
}

TEST_F(SamplingLoopTest, ATickThatIsALittleEarlyCounts) {
  Add(kSlow, seconds(10));
  Start();
  loop->Tick();
  clock.Advance(std::chrono::milliseconds(9900));
  loop->Tick();
  EXPECT_TRUE(Last(kSlow));
}

TEST_F(SamplingLoopTest, AHangingLaneDoesNotHoldUpTheTick) {
  Add(kFast);
  const auto script = Add(kLane);
  script->Block();
  Start();
  Tick();
  Tick();
  EXPECT_EQ(sink.frames.size(), 2U);
  EXPECT_EQ(Last(kLane), Outcome::kPending);
  EXPECT_EQ(Last(kFast), Outcome::kOk);
  EXPECT_EQ(Values().at("test_value{of=\"fast\"}"), 2);
  script->Release();
}

TEST_F(SamplingLoopTest, ALaneThatNeverReadIsNeitherSuccessNorFailure) {
  const auto script = Add(kLane);
  script->Block();
  Start();
  Tick();
  EXPECT_EQ(Values().count("idlewatt_sampler_success{sampler=\"lane\"}"), 0U);
  script->Release();
}

TEST_F(SamplingLoopTest, AHangIsReportedAndSoIsItsEnd) {
  const auto script = Add(kLane);
  script->Block();
  Start();
  Tick();
  Tick();
  EXPECT_TRUE(sink.frames.back().sources.empty());
  Tick();  // ten seconds
  ASSERT_EQ(sink.frames.back().sources.size(), 1U);
  EXPECT_EQ(sink.frames.back().sources[0].error->code, ErrorCode::kTransient);
  EXPECT_EQ(Values().at("idlewatt_sampler_success{sampler=\"lane\"}"), 0);
  script->Release();
  script->WaitForReads(1);
  while (Last(kLane) != Outcome::kOk) loop->Tick();  // until the thread has handed it over
  EXPECT_EQ(Values().at("idlewatt_sampler_success{sampler=\"lane\"}"), 1);
  EXPECT_TRUE(sink.frames.back().sources.empty());
}

TEST_F(SamplingLoopTest, AHangAfterAnotherFailureIsReportedToo) {
  const auto script = Add(kLane);
  script->error = ErrorCode::kParse;
  Start();
  Tick();
  script->WaitForReads(1);
  while (Last(kLane) != Outcome::kFailed) loop->Tick();
  script->Block();
  clock.Advance(seconds(5));
  for (int i = 0; i < 4; ++i) Tick();
  EXPECT_EQ(sink.frames.back().sources.at(0).error->code, ErrorCode::kTransient);
  script->Release();
}

TEST_F(SamplingLoopTest, ALateResultIsTakenByALaterTickAndOnce) {
  const auto script = Add(kLane);
  script->Block();
  Start();
  Tick();
  EXPECT_EQ(Last(kLane), Outcome::kPending);
  script->Release();
  script->WaitForReads(1);
  while (Last(kLane) != Outcome::kOk) loop->Tick();
  EXPECT_EQ(Values().at("test_value{of=\"lane\"}"), 1);
  EXPECT_EQ(sink.frames.back().runs[0].late, seconds(5));
  script->Block();
  Tick();
  EXPECT_EQ(Last(kLane), Outcome::kPending);
  EXPECT_EQ(Values().count("test_value{of=\"lane\"}"), 0U);
  script->Release();
}

TEST_F(SamplingLoopTest, ALaneThatIsSoonDoneIsWaitedFor) {
  Add(kLane);
  auto options = TestOptions();
  options.lane_patience = seconds(60);
  Start(options);
  Tick();
  EXPECT_EQ(Last(kLane), Outcome::kOk);
  EXPECT_EQ(Values().at("test_value{of=\"lane\"}"), 1);
}

TEST_F(SamplingLoopTest, ALaneBacksOffAsWell) {
  Add(kLane)->error = ErrorCode::kNoData;
  auto options = TestOptions();
  options.lane_patience = seconds(60);
  Start(options);
  EXPECT_THAT(TicksWithRun(kLane, 20), ElementsAre(0, 2, 6, 14));
}

TEST_F(SamplingLoopTest, StopLanesTellsOfALaneThatHangs) {
  const auto script = Add(kLane);
  script->Block();
  auto options = TestOptions();
  options.stop_patience = seconds(0);
  Start(options);
  Tick();
  script->WaitForBegin();
  EXPECT_FALSE(loop->StopLanes());
  // The thread was left behind; it must not outlive what it borrowed.
  script->Release();
  script->WaitForReads(1);
}

TEST_F(SamplingLoopTest, StopLanesEndsALaneThatDoesNotHang) {
  Add(kLane);
  auto options = TestOptions();
  options.lane_patience = seconds(60);
  Start(options);
  Tick();
  EXPECT_TRUE(loop->StopLanes());
  EXPECT_TRUE(loop->StopLanes());
}

TEST_F(SamplingLoopTest, RunTicksAtOnceAndEndsWhenAsked) {
  Add(kFast);
  auto options = TestOptions();
  options.interval = std::chrono::milliseconds(1);
  const BootMoment boot;
  loop = std::make_unique<SamplingLoop>(options, std::move(samplers), registry, boot, sink);
  std::stop_source stop;
  sink.on_frame = [&] {
    if (sink.frames.size() == 3) stop.request_stop();
  };
  loop->Run(stop.get_token());
  EXPECT_EQ(sink.frames.size(), 3U);
  EXPECT_GT(loop->missed_ticks(), 0U);
}

TEST_F(SamplingLoopTest, RunThatIsStoppedBeforeDoesNothing) {
  Add(kFast);
  Start();
  std::stop_source stop;
  stop.request_stop();
  loop->Run(stop.get_token());
  EXPECT_TRUE(sink.frames.empty());
}

}  // namespace
}  // namespace idlewatt
