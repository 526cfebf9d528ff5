#include <gtest/gtest.h>

#include <cstdint>

#include "analysis/alerts.h"
#include "collector/metrics.h"
#include "tests/support/allocations.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;

constexpr Metric kRoom{"room_celsius", MetricKind::kGauge, "celsius", {{"room"}}, ""};

// Everything that alerts look at, with two services that burn CPU for nothing, a source that is
// lost, heat, a service that is down, and a room that gets warmer.
class AllocationTest : public testing::Test {
 protected:
  static std::vector<AlertRule> Rules() {
    std::vector<AlertRule> rules = DefaultAlertRules();
    AlertRule room{.name = "warm"};
    room.metric = *Selector::Parse("room_celsius{room=~\"lab.*\"}");
    room.warning = 20;
    room.advice = "open the window, and look whether the fans of the machine are running";
    rules.push_back(room);
    for (AlertRule& rule : rules) rule.hold = std::chrono::milliseconds(0);
    return rules;
  }
  // One tick; gives what AlertEngine::Update allocated.
  int64_t Tick() {
    count_ += 1;
    for (const char* name : {"a service with quite a long name", "b"}) {
      maker_.Add(metrics::kServiceProcesses, {name, "supervised"}, 2);
      maker_.Add(metrics::kServiceCpuSeconds, {name, "supervised", "user"}, 2 * count_);
      maker_.Add(metrics::kServiceMemoryBytes, {name, "supervised"}, 1e10);
      maker_.Add(metrics::kServiceConnectionsSeen, {name}, 0);
    }
    maker_.Add(metrics::kServiceState, {"b", "failed"}, 1);
    maker_.Add(metrics::kEnergyJoules, {"rapl", "package-0"}, 100 * count_ + count_ * count_);
    if (count_ == 1) maker_.Add(metrics::kSourceAvailable, {"a source of some length", ""}, 1);
    maker_.Add(metrics::kCoolingState, {"0", "Processor"}, 8);
    maker_.Add(metrics::kCoolingMaxState, {"0", "Processor"}, 10);
    maker_.Add(kRoom, {"laboratory of the second floor"}, 20 + count_ / 1024);
    const Snapshot& snapshot = maker_.Tick(seconds(5));
    readings_.Clear();
    const auto domains = power_.Update(snapshot, readings_);
    services_.Update(snapshot);
    energy_.Update(snapshot, domains, services_, idle_, readings_);
    idle_.Update(snapshot, services_, power_.awake(), readings_);
    trends_.Update(services_, snapshot.time);
    sensors_.Update(snapshot);
    thermal_.Update(snapshot, readings_);
    readings_.samples.reserve(1000);
    const int64_t before = allocations;
    alerts_.Update({snapshot, services_, idle_, energy_, trends_, thermal_, sensors_, baseline_},
                   readings_);
    return allocations - before;
  }

  double count_ = 0;
  SnapshotMaker maker_;
  SeriesRegistry registry_;
  Readings readings_{registry_};
  PowerLedger power_{std::nullopt};
  ServiceTable services_;
  Attribution energy_{{}};
  IdleTracker idle_{{}};
  ServiceTrends trends_;
  ThermalPressure thermal_;
  SensorWatch sensors_;
  IdleBaseline baseline_;
  AlertEngine alerts_{Rules()};
};

TEST_F(AllocationTest, UpdateAllocatesNothingWhileAlertsFire) {
  EXPECT_GT(Tick(), 0) << "it counts";
  for (int i = 0; i < 500; ++i) Tick();  // until every alert fires
  int64_t allocated = 0;
  for (int i = 0; i < 100; ++i) allocated += Tick();
  EXPECT_EQ(allocated, 0);
  std::set<std::string> firing;
  for (const AlertStatus& alert : alerts_.Statuses()) {
    if (alert.state == AlertState::kFiring) firing.insert(alert.alert);
  }
  EXPECT_EQ(firing,
            (std::set<std::string>{"IdleModelLoaded", "IdlePower", "IdleServiceCpu", "SensorLost",
                                   "ServiceDown", "ThermalPressure", "warm"}));
}

}  // namespace
}  // namespace idlewatt
