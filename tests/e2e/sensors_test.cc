// `idlewatt sensors` on this machine, and on a recorded one that stands in the place of /sys: the
// real libsensors, and all samplers as on a live machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <string>
#include <vector>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

using ::testing::ContainsRegex;

TEST(SensorsTest, ShowsWhatALaptopWithTwoBatteriesHas) {
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
  EXPECT_THAT(sensors.output(), ContainsRegex("input +ok +30s "));
  EXPECT_THAT(sensors.output(), ContainsRegex("hwmon:BAT0-acpi-0 +ok .* 2 sensors"));
}

std::string OutputOf(const std::vector<std::string>& command) {
  ChildProcess program(command);
  const auto exit = program.Wait(RunningDaemon::kPatience);
  return exit && exit->code == 0 ? program.output() : "failed: " + program.output();
}

// What the remedy of a refused BPF promises.
TEST(SensorsTest, TwoCapabilitiesAreEnoughForBpf) {
  const std::string idlewatt = BinaryPath("idlewatt");
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give capabilities";
  if (OutputOf({idlewatt, "sensors"}).find("backend bpf") == std::string::npos) {
    GTEST_SKIP() << "no BPF here";
  }
  const std::vector<std::string> as_nobody{"setpriv", "--reuid=65534", "--regid=65534",
                                           "--clear-groups"};
  std::vector<std::string> with = as_nobody;
  with.insert(with.end(), {"--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon"});
  with.insert(with.end(), {idlewatt, "sensors"});
  EXPECT_THAT(OutputOf(with), ContainsRegex("backend bpf"));
  std::vector<std::string> without = as_nobody;
  without.insert(without.end(), {idlewatt, "sensors"});
  EXPECT_THAT(OutputOf(without), ContainsRegex("process:bpf +permission"));
  EXPECT_THAT(OutputOf(without), ContainsRegex("remedy: .*setcap cap_bpf,cap_perfmon"));
}

}  // namespace
}  // namespace idlewatt
