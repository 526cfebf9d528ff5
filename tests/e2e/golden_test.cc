// The whole scrape of a recorded machine against a file that people read in review.
// IDLEWATT_UPDATE_GOLDEN=1 rewrites the file.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

// A laptop that runs from its battery: one package, a chip with two sensors, a fan, one zone.
void WriteLaptop(FakeTree& tree) {
  tree.Write("proc/stat",
             "cpu  1000 20 300 40000 50 6 7 8 0 0\ncpu0 1000 20 300 40000 50 6 7 8 0 0\n");
  tree.Write("proc/meminfo",
             "MemTotal: 16000000 kB\nMemFree: 8000000 kB\nMemAvailable: 12000000 kB\n"
             "Buffers: 1000 kB\nCached: 2000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
  const std::string pressure =
      "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n"
      "full avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n";
  for (const char* resource : {"cpu", "io", "memory"}) {
    tree.Write(std::string("proc/pressure/") + resource, pressure);
  }
  tree.Write("proc/1/stat",
             "1 (systemd) S 0 1 1 0 -1 4194560 0 0 0 0 50 30 0 0 20 0 1 0 1 0 2500 0\n");
  tree.Write("proc/1/cgroup", "0::/init.scope\n");
  tree.Write(
      "proc/100/stat",
      "100 (llama server) S 1 100 100 0 -1 4194560 0 0 0 0 700 20 0 0 20 0 8 0 500 0 250000 0\n");
  tree.Write("proc/100/cgroup", "0::/system.slice/llama.service\n");

  const std::string rapl = "sys/class/powercap/intel-rapl:0";
  tree.Write(rapl + "/name", "package-0\n");
  tree.Write(rapl + "/energy_uj", "123456789\n");
  tree.Write(rapl + "/max_energy_range_uj", "262143328850\n");
  tree.Write(rapl + ":0/name", "core\n");
  tree.Write(rapl + ":0/energy_uj", "1000000\n");

  const std::string chip = "sys/class/hwmon/hwmon0";
  tree.Write(chip + "/name", "coretemp\n");
  tree.Write(chip + "/temp1_input", "48500\n");
  tree.Write(chip + "/temp1_label", "Package id 0\n");
  tree.Write(chip + "/temp1_max", "100000\n");
  tree.Write(chip + "/temp1_crit", "105000\n");
  tree.Write(chip + "/fan1_input", "2400\n");

  tree.Write("sys/class/thermal/thermal_zone0/type", "acpitz\n");
  tree.Write("sys/class/thermal/thermal_zone0/temp", "-2500\n");
  tree.Write("sys/class/thermal/cooling_device0/type", "Processor\n");
  tree.Write("sys/class/thermal/cooling_device0/cur_state", "1\n");
  tree.Write("sys/class/thermal/cooling_device0/max_state", "3\n");
  const std::string cpu = "sys/devices/system/cpu/cpu0/";
  tree.Write(cpu + "thermal_throttle/core_throttle_count", "4\n");
  tree.Write(cpu + "thermal_throttle/package_throttle_count", "5\n");
  tree.Write(cpu + "topology/core_id", "0\n");
  tree.Write(cpu + "topology/physical_package_id", "0\n");

  const std::string battery = "sys/class/power_supply/BAT0/";
  tree.Write(battery + "type", "Battery\n");
  tree.Write(battery + "status", "Discharging\n");
  tree.Write(battery + "power_now", "12500000\n");
  tree.Write(battery + "energy_now", "30000000\n");
  tree.Write(battery + "energy_full", "60000000\n");
}

// What differs from run to run is left out: our own cost, times, sizes of files.
std::string Stable(const std::string& scrape) {
  std::istringstream lines(scrape);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.starts_with("# ") ? line.substr(7) : line;
    const bool varies = name.starts_with("process_") ||
                        name.starts_with("idlewatt_sampler_duration_seconds") ||
                        name.starts_with("idlewatt_storage_") ||
                        name.starts_with("idlewatt_service_last_activity_timestamp_seconds");
    if (!varies) out += line + "\n";
  }
  return out;
}

TEST(GoldenTest, TheScrapeOfALaptopIsAsReviewed) {
  FakeTree tree;
  WriteLaptop(tree);
  RunningDaemon daemon(tree, "[collector]\ninterval = \"1m\"\n",
                       {"--procfs", tree.PathOf("proc"), "--sysfs", tree.PathOf("sys")});
  ASSERT_TRUE(daemon.WaitReady());
  const std::string scrape = Stable(daemon.Get("/metrics"));
  const std::string path = std::string(IDLEWATT_SOURCE_DIR) + "/tests/e2e/golden/laptop.metrics";
  if (std::getenv("IDLEWATT_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << scrape;
  std::ifstream file(path);
  const std::string golden(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(scrape, golden) << "if this is meant, rewrite it with IDLEWATT_UPDATE_GOLDEN=1";
}

}  // namespace
}  // namespace idlewatt
