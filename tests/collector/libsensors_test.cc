// The real libsensors on a recorded laptop. It reads /sys whatever it is told, so a program of
// ours (hwmon_dump.cc) runs under umockdev-run, which shows it another /sys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/child_process.h"

namespace idlewatt {
namespace {

std::vector<std::string> Dump(const std::string& machine) {
  // Preloaded libraries come before the sanitizer's own.
  ChildProcess dump({"umockdev-run", "-d", std::string(IDLEWATT_SOURCE_DIR) + "/" + machine, "--",
                     std::string(IDLEWATT_BINARY_DIR) + "/hwmon_dump"},
                    {{"ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0"}});
  const auto exit = dump.Wait(std::chrono::seconds(30));
  EXPECT_TRUE(exit && exit->code == 0) << dump.output();
  std::vector<std::string> lines;
  for (const std::string_view line : Split(dump.output(), '\n')) lines.emplace_back(line);
  return lines;
}

TEST(LibsensorsTest, ALaptopIsReadWithItsLabelsAndLimits) {
  // Left out: a channel that is switched off (coretemp temp3) and a card that sleeps (amdgpu).
  EXPECT_THAT(Dump("tests/fixtures/laptop/machine.umockdev"),
              ::testing::UnorderedElementsAre(
                  "coretemp-isa-0000/temp1 \"Package id 0\" 46 max=100 crit=105",
                  "coretemp-isa-0000/temp2 \"Core 0\" 44.5 max=100 crit=105",
                  "nvme-pci-0100/temp1 \"Composite\" 33.85 min=-273.15 max=83.85 crit=87.85",
                  "BAT0-acpi-0/in0 \"in0\" 11.843",      //
                  "BAT0-acpi-0/power1 \"power1\" 8.35",  //
                  "thinkpad-isa-0000/fan1 \"fan1\" 2170", "thinkpad-isa-0000/temp1 \"CPU\" 48",
                  "thinkpad-isa-0000/temp8 \"temp8\" transient"));
}

TEST(LibsensorsTest, ABoardWithOddSensorsIsReadAsItIs) {
  // Left out: a channel that is switched off (temp2) and a chip without a name.
  EXPECT_THAT(Dump("tests/fixtures/board/machine.umockdev"),
              ::testing::UnorderedElementsAre(
                  "nct6798-isa-0290/temp1 \"CPU\" -5", "nct6798-isa-0290/temp3 \"CPU\" 33 crit=110",
                  "nct6798-isa-0290/temp4 \"temp4\" transient",
                  "nct6798-isa-0290/power1 \"CPU\" 15", "nct6798-isa-0290/power2 \"CPU\" 5",
                  "twin-virtual-0/temp1 \"temp1\" 28", "twin-virtual-0#2/temp1 \"temp1\" 29"));
}

TEST(LibsensorsTest, TwoBatteriesOfALaptopAreTwoChips) {
  EXPECT_THAT(Dump("tests/fixtures/two-batteries/machine.umockdev"),
              ::testing::UnorderedElementsAre("BAT0-acpi-0/in0 \"in0\" 12",
                                              "BAT0-acpi-0/curr1 \"curr1\" -1.5",
                                              "BAT1-acpi-0/power1 \"power1\" 0"));
}

}  // namespace
}  // namespace idlewatt
