#include "collector/host_sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

class HostSamplerTest : public ::testing::Test {
 protected:
  HostSamplerTest() {
    proc.Write("stat", "cpu  1000 20 300 4000 50 6 7 8 9 10\ncpu0 1 1 1 1\n");
    proc.Write("meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 500 kB\n");
    for (const char* resource : {"cpu", "io", "memory"}) {
      proc.Write(std::string("pressure/") + resource, "some avg10=0 total=2000000\n");
    }
  }
  double Cpu(const std::string& mode) const {
    return driver.values.at("idlewatt_host_cpu_seconds_total{mode=\"" + mode + "\"}");
  }

  FakeTree proc;
  FileRoot root = proc.Root();
  HostSampler sampler{root};
  SamplerDriver driver{sampler};
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
};

TEST_F(HostSamplerTest, CpuMemoryAndPressureAreGivenInSiUnits) {
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_DOUBLE_EQ(Cpu("user"), 1000 / ticks);
  EXPECT_DOUBLE_EQ(Cpu("steal"), 8 / ticks);
  EXPECT_EQ(driver.values.at("idlewatt_host_memory_bytes{kind=\"available\"}"), 512'000);
  EXPECT_EQ(driver.values.at("idlewatt_host_pressure_seconds_total{resource=\"io\",kind=\"some\"}"),
            2);
  EXPECT_EQ(driver.values.count("idlewatt_host_memory_bytes{kind=\"swap_free\"}"), 0U);
}

TEST_F(HostSamplerTest, ACounterThatStepsBackIsHeld) {
  driver.Read();
  proc.Write("stat", "cpu  1001 20 300 3990 50 6 7 8\n");
  driver.ReadAfter(std::chrono::seconds(5));
  EXPECT_DOUBLE_EQ(Cpu("idle"), 4000 / ticks);
  EXPECT_DOUBLE_EQ(Cpu("user"), 1001 / ticks);
}

TEST_F(HostSamplerTest, OldKernelsGiveFewerModes) {
  proc.Write("stat", "cpu  1 2 3 4\n");
  driver.Read();
  EXPECT_EQ(driver.values.count("idlewatt_host_cpu_seconds_total{mode=\"steal\"}"), 0U);
  EXPECT_DOUBLE_EQ(Cpu("idle"), 4 / ticks);
}

TEST_F(HostSamplerTest, WithoutPressureTheRestIsRead) {
  proc.Remove("pressure");
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.sources["pressure"], "!no_data");
  EXPECT_FALSE(driver.rows.back().remedy.empty());
  EXPECT_EQ(driver.sources["host"], "CPU time by mode, memory");
}

TEST_F(HostSamplerTest, PressureOfAnotherFormIsRefused) {
  proc.Write("pressure/io", "nothing\n");
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.sources["pressure"], "!parse");
}

TEST_F(HostSamplerTest, IrqPressureIsTakenWhereItIs) {
  proc.Write("pressure/irq", "full avg10=0 total=3000000\n");
  driver.Read();
  EXPECT_EQ(
      driver.values.at("idlewatt_host_pressure_seconds_total{resource=\"irq\",kind=\"full\"}"), 3);
}

TEST_F(HostSamplerTest, WithoutCpuLineOrMeminfoTheReadFails) {
  proc.Write("stat", "");
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kParse);
  proc.Write("stat", "cpu 1 2 3 4\n");
  proc.Remove("meminfo");
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kGone);
}

}  // namespace
}  // namespace idlewatt
