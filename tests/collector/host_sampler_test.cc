#include "collector/host_sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

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

  // A frequency policy of some CPUs, as the kernel writes them.
  void Policy(const std::string& name, const std::string& cpus, const std::string& kilohertz) {
    sys.Write(kPolicies + name + "/affected_cpus", cpus + "\n");
    sys.Write(kPolicies + name + "/scaling_cur_freq", kilohertz + "\n");
  }
  double Frequency(const std::string& stat) const {
    return driver.values.at("idlewatt_host_cpu_frequency_hertz{stat=\"" + stat + "\"}");
  }
  double Limit(const std::string& limit) const {
    return driver.values.at("idlewatt_host_cpu_frequency_limit_hertz{limit=\"" + limit + "\"}");
  }
  bool HasFrequency() const {
    return driver.values.contains("idlewatt_host_cpu_frequency_hertz{stat=\"mean\"}");
  }
  bool HasPressure(const std::string& resource, const std::string& kind) const {
    return driver.values.contains("idlewatt_host_pressure_seconds_total{resource=\"" + resource +
                                  "\",kind=\"" + kind + "\"}");
  }

  const std::string kPolicies = "devices/system/cpu/cpufreq/";
  FakeTree proc;
  FakeTree sys;
  FileRoot root = proc.Root();
  FileRoot sys_root = sys.Root();
  HostSampler sampler{root, sys_root};
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

TEST_F(HostSamplerTest, NoModeEverFalls) {
  driver.Read();
  const auto before = driver.values;
  proc.Write("stat", "cpu  999 19 299 3999 0 5 6 0 9 10\n");
  driver.ReadAfter(std::chrono::seconds(5));
  for (const std::string_view mode : kCpuModes) {
    const std::string series =
        "idlewatt_host_cpu_seconds_total{mode=\"" + std::string(mode) + "\"}";
    EXPECT_EQ(driver.values.at(series), before.at(series));
  }
  proc.Write("stat", "cpu  1000 20 300 4000 60 6 7 9 9 10\n");
  driver.ReadAfter(std::chrono::seconds(5));
  EXPECT_DOUBLE_EQ(Cpu("iowait"), 60 / ticks);
  EXPECT_DOUBLE_EQ(Cpu("steal"), 9 / ticks);
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
  EXPECT_EQ(driver.sources["pressure:io"], "!parse");
  EXPECT_FALSE(driver.sources["pressure"].starts_with("!"));
  EXPECT_FALSE(HasPressure("io", "some"));
  EXPECT_TRUE(HasPressure("memory", "some"));
}

// A kernel with psi=0 has the files and refuses every read of them, as that of a folder is.
TEST_F(HostSamplerTest, PressureThatIsOffIsOneRefusedSource) {
  for (const std::string resource : {"cpu", "io", "memory", "irq"}) {
    proc.Remove("pressure/" + resource);
    proc.MakeDir("pressure/" + resource);
  }
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.sources["pressure"], "!transient");
  EXPECT_EQ(std::count_if(driver.sources.begin(), driver.sources.end(),
                          [](const auto& row) { return row.first.starts_with("pressure"); }),
            1);
}

TEST_F(HostSamplerTest, IrqPressureThatIsOffHidesNoOther) {
  proc.MakeDir("pressure/irq");
  driver.Read();
  EXPECT_TRUE(driver.sources["pressure:irq"].starts_with("!"));
  EXPECT_FALSE(driver.sources["pressure"].starts_with("!"));
  EXPECT_TRUE(HasPressure("memory", "some"));
  EXPECT_FALSE(HasPressure("irq", "full"));
}

TEST_F(HostSamplerTest, IrqPressureIsTakenWhereItIs) {
  proc.Write("pressure/irq", "full avg10=0 total=3000000\n");
  driver.Read();
  EXPECT_EQ(
      driver.values.at("idlewatt_host_pressure_seconds_total{resource=\"irq\",kind=\"full\"}"), 3);
  EXPECT_FALSE(HasPressure("irq", "some"));
}

TEST_F(HostSamplerTest, FrequencyIsWeightedByTheCpusOfAPolicy) {
  Policy("policy0", "0 1 2", "1000000");
  Policy("policy3", "3", "3000000");
  sys.Write(kPolicies + "policy0/related_cpus", "0 1 2 4 5 6 7\n");
  sys.Write(kPolicies + "boost", "1\n");
  driver.Read();
  EXPECT_DOUBLE_EQ(Frequency("min"), 1e9);
  EXPECT_DOUBLE_EQ(Frequency("mean"), 1.5e9);
  EXPECT_DOUBLE_EQ(Frequency("max"), 3e9);
  EXPECT_EQ(driver.sources["frequency"], "CPU frequency");
}

TEST_F(HostSamplerTest, RelatedCpusCountWhereTheOthersAreNotKnown) {
  Policy("policy0", "0", "1000000");
  Policy("policy1", "1", "2000000");
  sys.Remove(kPolicies + "policy1/affected_cpus");
  sys.Write(kPolicies + "policy1/related_cpus", "1 2 3\n");
  driver.Read();
  EXPECT_DOUBLE_EQ(Frequency("mean"), 1.75e9);
  sys.Remove(kPolicies + "policy1/related_cpus");
  driver.Read();
  EXPECT_DOUBLE_EQ(Frequency("mean"), 1.5e9);
}

TEST_F(HostSamplerTest, FrequencyLimitsAreTheExtremes) {
  for (const std::string n : {"0", "1"}) {
    Policy("policy" + n, n, "1000000");
    sys.Write(kPolicies + "policy" + n + "/cpuinfo_min_freq", n == "0" ? "400000\n" : "800000\n");
    sys.Write(kPolicies + "policy" + n + "/cpuinfo_max_freq", n == "0" ? "4800000\n" : "3600000\n");
  }
  driver.Read();
  EXPECT_DOUBLE_EQ(Limit("min"), 4e8);
  EXPECT_DOUBLE_EQ(Limit("max"), 4.8e9);
}

TEST_F(HostSamplerTest, WithoutCpufreqTheFrequencyIsRefused) {
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.sources["frequency"], "!no_data");
  EXPECT_FALSE(HasFrequency());
  sys.MakeDir(kPolicies);
  driver.Read();
  EXPECT_EQ(driver.sources["frequency"], "!no_data");
}

// Offline, a policy has an empty list of CPUs, or refuses every read, as that of a folder is.
TEST_F(HostSamplerTest, PoliciesOfOfflineCpusAreLeftOut) {
  Policy("policy0", "0", "2000000");
  Policy("policy1", "", "");
  sys.MakeDir(kPolicies + "policy2/affected_cpus");
  sys.MakeDir(kPolicies + "policy2/scaling_cur_freq");
  Policy("policy3", "", "800000");
  driver.Read();
  EXPECT_DOUBLE_EQ(Frequency("min"), 2e9);
  EXPECT_DOUBLE_EQ(Frequency("mean"), 2e9);
  EXPECT_EQ(driver.sources["frequency"], "CPU frequency");
  EXPECT_EQ(driver.sources.size(), 3U);  // host and pressure are the others
}

TEST_F(HostSamplerTest, OneBadPolicyHidesNoOther) {
  Policy("policy0", "0", "2000000");
  Policy("policy1", "1", "<unknown>");
  Policy("policy2", "2", "0");
  Policy("policy3", "3", "-1000");
  Policy("policy4", "4", "99999999999");
  Policy("policy5", "5", "");
  Policy("policy6", "6",
         std::string("\x7f"
                     "ELF\0\xff",
                     6));
  Policy("policy7", "7", "1");
  sys.Remove(kPolicies + "policy7/scaling_cur_freq");
  driver.Read();
  EXPECT_DOUBLE_EQ(Frequency("min"), 2e9);
  EXPECT_DOUBLE_EQ(Frequency("max"), 2e9);
  for (const std::string n : {"1", "2", "3", "4", "5", "6"}) {
    EXPECT_EQ(driver.sources["frequency:policy" + n], "!parse") << n;
  }
  EXPECT_EQ(driver.sources["frequency:policy7"], "!gone");
  EXPECT_EQ(driver.sources["frequency"], "CPU frequency");
}

TEST_F(HostSamplerTest, WhenEveryPolicyIsBadTheFrequencyIsRefused) {
  Policy("policy0", "0", "<unknown>");
  Policy("policy1", "1", "0");
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.sources["frequency"], "!parse");
  EXPECT_EQ(driver.sources.size(), 3U);
  EXPECT_FALSE(HasFrequency());
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
