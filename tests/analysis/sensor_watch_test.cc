#include "analysis/sensor_watch.h"

#include <gtest/gtest.h>

#include "collector/metrics.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Names = std::vector<std::string>;

class SensorWatchTest : public testing::Test {
 protected:
  // A tick in which these sources can be read; gives those that are lost.
  Names Tick(const Names& sources, std::chrono::nanoseconds after = seconds(5)) {
    for (const std::string& source : sources) {
      maker_.Add(metrics::kSourceAvailable, {source, ""}, 1);
    }
    watch_.Update(maker_.Tick(after));
    return watch_.lost();
  }

  SnapshotMaker maker_;
  SensorWatch watch_;
};

TEST_F(SensorWatchTest, ASourceThatIsGoneIsLost) {
  EXPECT_EQ(Tick({"b", "a", "c"}), Names{});
  EXPECT_EQ(Tick({"b"}), (Names{"a", "c"}));
  EXPECT_EQ(Tick({"b", "c"}), Names{"a"});
  EXPECT_EQ(Tick({"a", "b", "c"}), Names{});
}

TEST_F(SensorWatchTest, ASourceThatIsRefusedIsLost) {
  Tick({"rapl"});
  maker_.Add(metrics::kSourceAvailable, {"rapl", "permission"}, 0);
  EXPECT_EQ(Tick({}), Names{"rapl"});
}

TEST_F(SensorWatchTest, ASourceThatCouldNeverBeReadIsNotLost) {
  maker_.Add(metrics::kSourceAvailable, {"rapl", "permission"}, 0);
  EXPECT_EQ(Tick({}), Names{});
  EXPECT_EQ(Tick({}), Names{});
}

TEST_F(SensorWatchTest, IsForgottenAfterADay) {
  Tick({"a"});
  EXPECT_EQ(Tick({}, hours(24) - seconds(1)), Names{"a"});
  EXPECT_EQ(Tick({}, seconds(1)), Names{});
}

TEST_F(SensorWatchTest, TextfilesAndWhatIsDerivedAreNotWatched) {
  Tick({"textfile", "textfile:ups.prom", "model", "thermal_pressure"});
  EXPECT_EQ(Tick({}), Names{});
}

TEST_F(SensorWatchTest, GoesOnFromWhatAnEarlierRunRead) {
  const WallTime now = maker_.now().wall;
  watch_.Remember({{"a", now - hours(2)},
                   {"b", now - hours(2)},
                   {"old", now - hours(25)},
                   {"textfile:x.prom", now - hours(1)}});
  EXPECT_EQ(Tick({"a"}), Names{"b"});
  EXPECT_EQ(Tick({"a"}, hours(21)), Names{"b"});
  EXPECT_EQ(Tick({"a"}, hours(1)), Names{}) << "a day after it was read last";
}

}  // namespace
}  // namespace idlewatt
