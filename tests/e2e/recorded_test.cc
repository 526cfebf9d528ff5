// The program on a recorded machine that stands in the place of /sys: the real libsensors, and all
// samplers as on a live machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

using ::testing::ContainsRegex;

TEST(RecordedTest, SensorsShowsWhatALaptopWithTwoBatteriesHas) {
  const std::string machine =
      std::string(IDLEWATT_SOURCE_DIR) + "/tests/fixtures/two-batteries/machine.umockdev";
  // Preloaded libraries come before the sanitizer's own.
  ChildProcess sensors({"umockdev-run", "-d", machine, "--", BinaryPath("idlewatt"), "sensors"},
                       {{"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"}});
  const auto exit = sensors.Wait(RunningDaemon::kPatience);
  ASSERT_TRUE(exit && exit->code == 0) << sensors.output();
  EXPECT_THAT(sensors.output(), ContainsRegex("rapl +ok .* energy of package-0"));
  EXPECT_THAT(sensors.output(), ContainsRegex("battery:BAT0 +ok .* charge, power"));
  EXPECT_THAT(sensors.output(), ContainsRegex("battery:BAT1 +ok .* charge .not discharging."));
  EXPECT_THAT(sensors.output(), ContainsRegex("hwmon:BAT0-acpi-0 +ok .* 2 sensors"));
}

}  // namespace
}  // namespace idlewatt
