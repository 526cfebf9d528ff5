// A source that does not answer, with the real sampler, the real loop and its lane.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include "base/unique_fd.h"
#include "collector/sampling_loop.h"
#include "collector/snapshot.h"
#include "collector/thermal_sampler.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;

constexpr Metric kTicks{"test_ticks_total", MetricKind::kCounter, "", {}, "ticks"};
constexpr SamplerInfo kCounting{"counting", "reads of a source that always answers", false, {}};

class CountingSampler final : public Sampler {
 public:
  const SamplerInfo& info() const override { return kCounting; }
  Result<void> Read(TimePoint /*now*/, Readings& out) override {
    out.Add(kTicks, {}, ++reads_);
    return {};
  }

 private:
  int reads_ = 0;
};

struct Gate {
  void Open() {
    const MutexLock lock(mutex);
    open = true;
    changed.NotifyAll();
  }
  void Wait() {
    const MutexLock lock(mutex);
    while (!open) changed.Wait(mutex);
  }
  Mutex mutex;
  CondVar changed;
  bool open GUARDED_BY(mutex) = false;
};

// Reads the zones as ThermalSampler does; before that, while there is a FIFO, one blocking read of
// it, in which the thread stays as it does in a driver that does not answer.
class DriverThatHangs final : public Sampler {
 public:
  struct Gates {
    Gate hangs;  // open once a read is on its way into the FIFO
    Gate gone;   // and once the thread that read is gone and needs nothing of the test any more
  };
  DriverThatHangs(const FileRoot& sys, std::string fifo, std::shared_ptr<Gates> gates)
      : thermal_(sys), fifo_(std::move(fifo)), gates_(std::move(gates)) {}
  ~DriverThatHangs() override { gates_->gone.Open(); }
  const SamplerInfo& info() const override { return thermal_.info(); }
  Result<void> Read(TimePoint now, Readings& out) override {
    if (::access(fifo_.c_str(), F_OK) == 0) gates_->hangs.Open();
    char byte = 0;
    const UniqueFd fd(::open(fifo_.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd && ::read(fd.get(), &byte, 1) < 0) return ErrnoError(errno, fifo_);
    return thermal_.Read(now, out);
  }

 private:
  ThermalSampler thermal_;
  const std::string fifo_;
  const std::shared_ptr<Gates> gates_;
};

class SnapshotSink final : public FrameSink {
 public:
  explicit SnapshotSink(SeriesRegistry& registry) : builder_(registry) {}
  void OnFrame(Frame frame) override {
    builder_.Apply(frame);
    snapshot = builder_.Current();
    if (stop_at_next_frame) stop.request_stop();
  }
  Snapshot snapshot;
  std::stop_source stop;
  bool stop_at_next_frame = false;

 private:
  SnapshotBuilder builder_;
};

class HangingSourceTest : public ::testing::Test {
 protected:
  HangingSourceTest() {
    Zone("0", "40000\n");
    Zone("1", "50000\n");
  }
  void Zone(const std::string& number, const std::string& temp) {
    tree.Write("class/thermal/thermal_zone" + number + "/type", "zone" + number + "\n");
    tree.Write("class/thermal/thermal_zone" + number + "/temp", temp);
  }
  std::string MakeFifo(const std::string& relative) {
    tree.Remove(relative);
    EXPECT_EQ(::mkfifo(tree.PathOf(relative).c_str(), 0600), 0);
    return tree.PathOf(relative);
  }
  void Start(std::unique_ptr<Sampler> thermal, std::chrono::nanoseconds patience) {
    std::vector<ScheduledSampler> samplers;
    samplers.push_back({std::make_unique<CountingSampler>(), seconds(5)});
    samplers.push_back({std::move(thermal), seconds(5)});
    SamplingLoop::Options options;
    options.lane_patience = options.stop_patience = patience;
    loop = std::make_unique<SamplingLoop>(options, std::move(samplers), registry, clock, sink);
  }
  // One tick and the time to the next. It must not wait for a driver: the deadline is 5 s.
  void Tick() {
    const auto begin = std::chrono::steady_clock::now();
    loop->Tick();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));
    ++ticks;
    EXPECT_EQ(Value("test_ticks_total"), ticks) << "the other sampler is not fresh";
    clock.Advance(seconds(5));
  }
  // By the metric's name and the value of its first label.
  std::optional<double> Value(std::string_view metric, std::string_view label = "") const {
    for (const SnapshotValue& value : sink.snapshot.Family(metric)) {
      if (label.empty() || value.series->labels.at(0) == label) return value.value;
    }
    return std::nullopt;
  }
  std::optional<Error> ErrorOf(std::string_view source) const {
    for (const SourceStatus& row : sink.snapshot.sources) {
      if (row.source == source) return row.error;
    }
    return std::nullopt;
  }

  FakeTree tree;
  FileRoot sys = tree.Root();
  SeriesRegistry registry;
  ManualClock clock;
  SnapshotSink sink{registry};
  std::unique_ptr<SamplingLoop> loop;
  int ticks = 0;
};

TEST_F(HangingSourceTest, AZoneThatIsAFifoNobodyWritesIsRefusedAndHoldsUpNothing) {
  const std::string fifo = MakeFifo("class/thermal/thermal_zone0/temp");
  Start(std::make_unique<ThermalSampler>(sys), seconds(60));
  Tick();
  EXPECT_EQ(Value("idlewatt_thermal_zone_celsius", "0"), std::nullopt);
  EXPECT_EQ(Value("idlewatt_thermal_zone_celsius", "1"), 50);
  ASSERT_TRUE(ErrorOf("thermal:thermal_zone0"));
  EXPECT_EQ(ErrorOf("thermal:thermal_zone0")->code, ErrorCode::kParse);
  EXPECT_EQ(Value("idlewatt_source_available", "thermal:thermal_zone0"), 0);
  // With a writer that says nothing a read would wait, and is told to try again.
  const UniqueFd writer(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  Tick();
  EXPECT_EQ(ErrorOf("thermal:thermal_zone0").value().code, ErrorCode::kTransient);
  EXPECT_EQ(Value("idlewatt_thermal_zone_celsius", "1"), 50);
  EXPECT_EQ(Value("idlewatt_sampler_age_seconds", "thermal"), 0);
  EXPECT_TRUE(loop->StopLanes());
}

TEST_F(HangingSourceTest, AHangIsShownItsValuesLeaveAndTheLoopCanStop) {
  const std::string fifo = tree.PathOf("driver");
  const auto gates = std::make_shared<DriverThatHangs::Gates>();
  Start(std::make_unique<DriverThatHangs>(sys, fifo, gates), seconds(0));
  // The first reading is waited for, so that there is something to lose.
  do {
    loop->Tick();
  } while (!Value("idlewatt_thermal_zone_celsius", "0"));
  ticks = 1;
  clock.Advance(seconds(5));
  ASSERT_EQ(Value("idlewatt_thermal_zone_celsius", "0"), 40);
  EXPECT_EQ(Value("idlewatt_sampler_age_seconds", "thermal"), 0);

  MakeFifo("driver");
  for (int i = 1; i <= 5; ++i) {
    Tick();
    gates->hangs.Wait();
    EXPECT_EQ(Value("idlewatt_sampler_age_seconds", "thermal"), 5 * i);
    // Three periods after it was read the value is no longer true.
    EXPECT_EQ(Value("idlewatt_thermal_zone_celsius", "0").has_value(), i <= 3) << i;
  }
  EXPECT_EQ(Value("idlewatt_sampler_success", "thermal"), 0);
  EXPECT_EQ(Value("idlewatt_source_available", "thermal"), 0);
  ASSERT_TRUE(ErrorOf("thermal"));
  EXPECT_EQ(ErrorOf("thermal")->ToString(), "thermal: has not answered for 10 s");

  sink.stop_at_next_frame = true;
  loop->Run(sink.stop.get_token());
  EXPECT_FALSE(loop->StopLanes());
  loop.reset();
  // A writer ends the read; the thread, which was left behind, ends with its sampler.
  const UniqueFd writer(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::write(writer.get(), "x", 1), 1);
  gates->gone.Wait();
}

}  // namespace
}  // namespace idlewatt
