#include "collector/gpu/drm_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/sampler_table.h"
#include "tests/collector/readings_support.h"
#include "tests/support/fake_gpu.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kCard = "0000:03:00.0";
constexpr const char* kOther = "0000:04:00.0";
// Headers of gpu_metrics: size, format, content.
constexpr std::string_view kCardMetrics("\x78\x00\x01\x03rest", 8);
constexpr std::string_view kApuMetrics("\x80\x00\x02\x02rest", 8);

class DrmSamplerTest : public ::testing::Test {
 protected:
  static std::string File(const std::string& file, const char* address = kCard) {
    return FakeGpuMachine::Device(address) + file;
  }
  static std::string Power(const std::string& domain) {
    return "idlewatt_power_watts{source=\"drm\",domain=\"" + domain + "\"}";
  }
  static std::string Energy(const std::string& domain) {
    return "idlewatt_energy_joules_total{source=\"drm\",domain=\"" + domain + "\"}";
  }
  static std::string Of(const std::string& metric, const std::string& gpu) {
    return "idlewatt_gpu_" + metric + "{gpu=\"" + gpu + "\"}";
  }
  bool Has(const std::string& series) const { return driver.values.contains(series); }
  double Value(const std::string& series) const {
    const auto it = driver.values.find(series);
    if (it == driver.values.end()) ADD_FAILURE() << "no " << series;
    return it == driver.values.end() ? -1 : it->second;
  }
  void AddCard(const char* address = kCard, int number = 0) {
    machine.AddGpu(address, "amdgpu", number,
                   {{"gpu_busy_percent", "37"},
                    {"mem_info_vram_used", "1000000"},
                    {"mem_info_vram_total", "8000000"},
                    {"unique_id", "2f1a3b4c5d6e7f80"}});
    machine.Write(File("gpu_metrics", address), kCardMetrics);
    machine.AddHwmon(address, "amdgpu",
                     {{"power1_average", "45000000"},
                      {"temp1_input", "51000"},
                      {"temp1_label", "edge"},
                      {"temp2_input", "61000"},
                      {"temp2_label", "junction"}},
                     "hwmon" + std::to_string(number));
  }
  std::string Hwmon(const std::string& file, int number = 0) {
    return File("hwmon/hwmon" + std::to_string(number) + "/" + file, number == 0 ? kCard : kOther);
  }

  FakeGpuMachine machine;
  FileRoot sys = machine.Root("sys");
  FileRoot proc = machine.Root("proc");
  std::shared_ptr<GpuBoard> board = std::make_shared<GpuBoard>();
  DrmSampler sampler{sys, proc, board};
  SamplerDriver driver{sampler};
};

TEST_F(DrmSamplerTest, WithoutSuchAGpuThereIsNoData) {
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
  machine.AddGpu(kCard, "nvidia", 0);
  machine.AddGpu(kOther, "nouveau", 1);
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
  EXPECT_THAT(driver.values, IsEmpty());
}

TEST_F(DrmSamplerTest, AnAmdCardGivesAllItHas) {
  AddCard();
  driver.Read();
  ASSERT_TRUE(driver.result.ok());
  EXPECT_EQ(Value(Power("gpu0")), 45);
  EXPECT_DOUBLE_EQ(Value(Of("utilization_ratio", "gpu0")), 0.37);
  EXPECT_EQ(Value(Of("memory_used_bytes", "gpu0")), 1e6);
  EXPECT_EQ(Value(Of("memory_total_bytes", "gpu0")), 8e6);
  EXPECT_EQ(Value(Of("temperature_celsius", "gpu0")), 51);
  EXPECT_EQ(Value("idlewatt_gpu_info{gpu=\"gpu0\",uuid=\"2f1a3b4c5d6e7f80\",name=\"1002:73bf\","
                  "driver=\"amdgpu\"}"),
            1);
  EXPECT_EQ(driver.values.size(), 6U);
  EXPECT_EQ(driver.sources["drm:gpu0"], "utilization, power, temperature, memory");
}

TEST_F(DrmSamplerTest, TheProductNameGoesBeforeThePciIds) {
  AddCard();
  machine.Write(File("product_name"), "Instinct MI210\n");
  driver.Read();
  EXPECT_EQ(Value("idlewatt_gpu_info{gpu=\"gpu0\",uuid=\"2f1a3b4c5d6e7f80\",name=\"Instinct "
                  "MI210\",driver=\"amdgpu\"}"),
            1);
}

TEST_F(DrmSamplerTest, TwoCardsStayApart) {
  AddCard();
  AddCard(kOther, 1);
  machine.Write(Hwmon("power1_average", 1), "7000000\n");
  machine.AddGpu("0000:02:00.0", "nvidia", 2);  // has the first number
  driver.Read();
  EXPECT_EQ(Value(Power("gpu1")), 45);
  EXPECT_EQ(Value(Power("gpu2")), 7);
}

TEST_F(DrmSamplerTest, TheInputIsReadWhereThereIsNoAverage) {
  AddCard();
  machine.Write(Hwmon("power1_input"), "46000000\n");
  driver.Read();
  EXPECT_EQ(Value(Power("gpu0")), 45);
  machine.Remove(Hwmon("power1_average"));
  driver.Read();
  EXPECT_EQ(Value(Power("gpu0")), 46);
}

TEST_F(DrmSamplerTest, ATruncatedOrAbsurdValueIsRefusedAndTheOthersRead) {
  AddCard();
  const std::pair<const char*, std::string> bad[] = {{"gpu_busy_percent", ""},
                                                     {"gpu_busy_percent", "101\n"},
                                                     {"gpu_busy_percent", "-1\n"},
                                                     {"gpu_busy_percent", "3x\n"}};
  for (const auto& [file, content] : bad) {
    machine.Write(File(file), content);
    driver.Read();
    EXPECT_TRUE(driver.result.ok());
    EXPECT_FALSE(Has(Of("utilization_ratio", "gpu0"))) << content;
    EXPECT_EQ(driver.sources["drm:gpu0/utilization"], "!parse");
    EXPECT_EQ(Value(Power("gpu0")), 45);
  }
  for (const std::string content : {"", "9223372036854775807\n", "-5\n", "\xff\xff\x00"}) {
    machine.Write(Hwmon("power1_average"), content);
    machine.Write(Hwmon("temp1_input"), content == "-5\n" ? "-300000" : content);
    machine.Write(File("mem_info_vram_used"), content);
    driver.Read();
    EXPECT_FALSE(Has(Power("gpu0"))) << content;
    EXPECT_FALSE(Has(Of("temperature_celsius", "gpu0"))) << content;
    EXPECT_FALSE(Has(Of("memory_used_bytes", "gpu0"))) << content;
    EXPECT_TRUE(Has(Of("memory_total_bytes", "gpu0")));
    EXPECT_EQ(driver.sources["drm:gpu0/power"], "!parse");
    EXPECT_EQ(driver.sources["drm:gpu0/temperature"], "!parse");
    EXPECT_EQ(driver.sources["drm:gpu0/mem_info_vram_used"], "!parse");
  }
}

TEST_F(DrmSamplerTest, AFileThatIsNotThereIsNoFault) {
  AddCard();
  machine.Remove(File("gpu_busy_percent"));
  machine.Remove(File("mem_info_vram_used"));
  machine.Remove(File("hwmon"));
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.values.size(), 2U);  // total memory and info
  for (const auto& [source, gives] : driver.sources) EXPECT_THAT(gives, Not(HasSubstr("!")));
}

TEST_F(DrmSamplerTest, AnApusPowerIsThatOfThePackage) {
  AddCard();
  machine.Write(File("gpu_metrics"), kApuMetrics);
  driver.Read();
  EXPECT_FALSE(Has(Power("gpu0")));
  EXPECT_EQ(Value(Power("gpu0-package")), 45);
  EXPECT_THAT(driver.sources["drm:gpu0-package"], HasSubstr("not counted as a GPU's"));
  EXPECT_THAT(driver.sources["drm:gpu0"], Not(HasSubstr("power")));
}

TEST_F(DrmSamplerTest, AnApuIsKnownByItsNorthbridgeVoltageToo) {
  AddCard();
  machine.Write(Hwmon("in1_label"), "vddnb\n");
  machine.Remove(File("gpu_metrics"));
  driver.Read();
  EXPECT_FALSE(Has(Power("gpu0")));
  EXPECT_TRUE(Has(Power("gpu0-package")));
}

TEST_F(DrmSamplerTest, WithoutGpuMetricsItIsACard) {
  AddCard();
  machine.Remove(File("gpu_metrics"));
  machine.Write(Hwmon("in0_label"), "vddgfx\n");
  driver.Read();
  EXPECT_TRUE(Has(Power("gpu0")));
}

TEST_F(DrmSamplerTest, PowerWaitsUntilItIsKnownWhoseItIs) {
  AddCard();
  for (const std::string_view header : {std::string_view(""), std::string_view("\x80\x00\x02", 3),
                                        std::string_view("\xff\xff\xff\xff", 4)}) {
    machine.Write(File("gpu_metrics"), header);
    driver.Read();
    EXPECT_FALSE(Has(Power("gpu0")));
    EXPECT_FALSE(Has(Power("gpu0-package")));
    EXPECT_EQ(driver.sources["drm:gpu0/power"], "!parse");
    EXPECT_TRUE(Has(Of("temperature_celsius", "gpu0")));
  }
  machine.Write(File("gpu_metrics"), kCardMetrics);
  driver.Read();
  EXPECT_EQ(Value(Power("gpu0")), 45);
}

TEST_F(DrmSamplerTest, ASleepingCardIsNotRead) {
  AddCard();
  AddCard(kOther, 1);
  machine.Sleep(kCard);
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.sources["drm:gpu0"], "asleep; not woken");
  for (const auto& [series, value] : driver.values) {
    EXPECT_THAT(series, Not(HasSubstr("\"gpu0\"")));
  }
  EXPECT_EQ(Value(Power("gpu1")), 45);
  machine.Sleep(kCard, false);
  driver.Read();
  EXPECT_EQ(Value(Power("gpu0")), 45);
}

TEST_F(DrmSamplerTest, ACardThatGoesToSleepKeepsItsNameOnly) {
  AddCard();
  driver.Read();
  machine.Sleep(kCard);
  driver.Read();
  ASSERT_EQ(driver.values.size(), 1U);
  EXPECT_THAT(driver.values.begin()->first, HasSubstr("idlewatt_gpu_info"));
}

TEST_F(DrmSamplerTest, ACardOnNoPciIsRead) {
  const std::string device = "sys/devices/platform/gpu.0/";
  machine.Write(device + "gpu_busy_percent", "50\n");
  machine.Link(device + "driver", "../../../bus/platform/drivers/amdgpu");
  machine.Link("sys/class/drm/card0/device", machine.PathOf("sys/devices/platform/gpu.0"));
  machine.Open(600, 5, "card0", FdinfoText("amdgpu", "", 1, {{"memory-vram", "5"}}));
  driver.Read();
  EXPECT_EQ(Value(Of("utilization_ratio", "gpu0")), 0.5);
  EXPECT_EQ(Value("idlewatt_gpu_info{gpu=\"gpu0\",uuid=\"\",name=\"amdgpu\",driver=\"amdgpu\"}"),
            1);
  ASSERT_EQ(board->Clients().size(), 1U);
  EXPECT_EQ(board->Clients()[0].memory_bytes, 5);
}

TEST_F(DrmSamplerTest, ACardThatGoesAwayAndComesBackIsSeen) {
  AddCard();
  machine.Open(600, 5, "renderD128", FdinfoText("amdgpu", kCard, 1));
  driver.Read();
  EXPECT_EQ(board->Clients().size(), 1U);
  machine.Remove("sys/bus/pci/devices/" + std::string(kCard));
  machine.Remove("sys/class/drm");
  machine.Remove("sys/class/hwmon");
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
  EXPECT_TRUE(board->Clients().empty());
  AddCard();
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(Value(Power("gpu0")), 45);
}

TEST_F(DrmSamplerTest, ACardThatIsPluggedInIsFoundWithinAMinute) {
  AddCard();
  driver.Read();
  AddCard(kOther, 1);
  driver.ReadAfter(minutes(1));
  EXPECT_TRUE(Has(Power("gpu1")));
}

TEST_F(DrmSamplerTest, WhatProcessesUseIsOnTheBoard) {
  AddCard();
  const auto use = [&](const char* ns) {
    machine.Open(600, 5, "renderD128",
                 FdinfoText("amdgpu", kCard, 1, {{"engine-gfx", ns}, {"memory-vram", "4 KiB"}}));
  };
  use("1000000000 ns");
  driver.Read();
  use("3000000000 ns");
  driver.ReadAfter(seconds(5));
  const std::vector<GpuClient> clients = board->Clients();
  ASSERT_EQ(clients.size(), 1U);
  EXPECT_EQ(clients[0].pid, 600);
  EXPECT_EQ(clients[0].gpu, "gpu0");
  EXPECT_EQ(clients[0].memory_bytes, 4096);
  EXPECT_DOUBLE_EQ(clients[0].busy_seconds, 2);
  EXPECT_EQ(driver.sources["drm:processes"], "use of GPUs by process");
}

TEST_F(DrmSamplerTest, HiddenProcessesAreARefusedSourceWithARemedy) {
  AddCard();
  machine.Remove("proc/1");
  driver.Read();
  EXPECT_EQ(driver.sources["drm:processes"], "!permission");
  for (const SourceStatus& row : driver.rows) {
    EXPECT_EQ(row.error.has_value(), row.remedy.find("cap_sys_ptrace") != std::string::npos);
  }
  EXPECT_EQ(Value(Power("gpu0")), 45);
}

// An Intel card: energy and no power; use from its clients.
class DrmIntelTest : public DrmSamplerTest {
 protected:
  void AddIntel(const std::string& driver_name, const FakeFiles& hwmon) {
    machine.AddGpu(kCard, driver_name, 0);
    machine.Write(File("vendor"), "0x8086\n");
    if (!hwmon.empty()) machine.AddHwmon(kCard, driver_name, hwmon, "hwmon0");
  }
  void Joules(double joules, const std::string& channel = "energy1_input") {
    machine.Write(Hwmon(channel), std::to_string(static_cast<int64_t>(joules * 1e6)) + "\n");
  }
  double Resets() const {
    return Value("idlewatt_energy_counter_resets_total{source=\"drm\",domain=\"gpu0\"}");
  }
};

TEST_F(DrmIntelTest, TheFirstReadingIsTheZeroOfEnergy) {
  AddIntel("i915", {{"energy1_input", "5000000"}});
  driver.Read();
  EXPECT_EQ(Value(Energy("gpu0")), 0);
  EXPECT_FALSE(Has(Power("gpu0")));
  Joules(105);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Value(Energy("gpu0")), 100);
  EXPECT_EQ(Resets(), 0);
}

TEST_F(DrmIntelTest, AFallIsAReset) {
  AddIntel("i915", {{"energy1_input", "500000000"}});
  driver.Read();
  Joules(600);
  driver.ReadAfter(seconds(5));
  Joules(3);
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(Has(Energy("gpu0")));  // unknown, not 0 W
  EXPECT_EQ(Resets(), 1);
  Joules(5);
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Value(Energy("gpu0")), 102);
}

TEST_F(DrmIntelTest, ARiseThatNoCardCanMakeIsAReset) {
  AddIntel("xe", {{"energy1_input", "0"}});
  driver.Read();
  machine.Write(Hwmon("energy1_input"), "9223372036854775807\n");
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(Has(Energy("gpu0")));
  EXPECT_EQ(Resets(), 1);
  machine.Write(Hwmon("energy1_input"), "9223372036854775808\n");
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.sources["drm:gpu0/energy"], "!parse");
}

TEST_F(DrmIntelTest, OfXeTheCardCountsAndNotItsPackage) {
  AddIntel("xe", {{"energy1_input", "0"},
                  {"energy1_label", "pkg"},
                  {"energy2_input", "0"},
                  {"energy2_label", "card"},
                  {"temp2_input", "40000"},
                  {"temp2_label", "pkg"},
                  {"temp3_input", "50000"},
                  {"temp3_label", "vram"}});
  driver.Read();
  Joules(10, "energy1_input");
  Joules(30, "energy2_input");
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Value(Energy("gpu0")), 30);
  EXPECT_EQ(Value(Of("temperature_celsius", "gpu0")), 40);
}

TEST_F(DrmIntelTest, OfXeThePackageCountsWhereTheCardIsNotMeasured) {
  AddIntel("xe", {{"energy1_label", "card"}, {"energy2_input", "0"}, {"energy2_label", "pkg"}});
  driver.Read();
  Joules(30, "energy2_input");
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Value(Energy("gpu0")), 30);
}

TEST_F(DrmIntelTest, ATileIsNotTheCard) {
  AddIntel("i915", {});
  machine.AddHwmon(kCard, "i915_gt0", {{"energy1_input", "1"}}, "hwmon1");
  driver.Read();
  EXPECT_FALSE(Has(Energy("gpu0")));
}

TEST_F(DrmIntelTest, AnIntegratedGpuHasNoPowerAndSaysWhereItIs) {
  AddIntel("i915", {});
  driver.Read();
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.values.size(), 2U);  // utilization, info
  EXPECT_EQ(Value(Of("utilization_ratio", "gpu0")), 0);
  EXPECT_THAT(driver.sources["drm:gpu0"], HasSubstr("RAPL's uncore"));
}

// A desktop as it is: CPU with RAPL, an AMD card that class/hwmon shows too, processes that use it.
TEST_F(DrmSamplerTest, ADesktopWithAnAmdGpuCountsTheCardOnce) {
  AddCard();
  machine.AddGpu("0000:05:00.0", "nouveau", 2);
  machine.AddHwmon("0000:05:00.0", "nouveau", {{"power1_input", "11000000"}}, "hwmon5");
  machine.Write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
  machine.Write("sys/class/powercap/intel-rapl:0/energy_uj", "1000000\n");
  machine.Write("sys/class/hwmon/hwmon9/name", "corsairpsu\n");
  machine.Write("sys/class/hwmon/hwmon9/power1_input", "120000000\n");
  machine.Open(600, 5, "renderD128", FdinfoText("amdgpu", kCard, 1, {{"memory-vram", "1 MiB"}}));

  const MachineRoots roots{machine.Root("proc"), machine.Root("sys")};
  const auto read_all = [&](const CollectorOptions& options) {
    SamplerContext context{roots, options, nullptr, false, board};
    SeriesRegistry registry;
    Readings all(registry);
    for (const ScheduledSampler& scheduled : MakeSamplers(context)) {
      const std::string_view name = scheduled.sampler->info().name;
      if (name != "rapl" && name != "hwmon" && name != "drm" && name != "npu") continue;
      const Result<void> read = scheduled.sampler->Read(ManualClock().Now(), all);
      EXPECT_EQ(read.ok(), name != "npu") << name;
    }
    return ValuesOf(all);
  };

  auto values = read_all(CollectorOptions());
  EXPECT_EQ(values.at(Power("gpu0")), 45);
  double watts = 0;
  for (const auto& [series, value] : values) {
    if (series.starts_with("idlewatt_power_watts")) watts += value;
  }
  EXPECT_EQ(watts, 45 + 120 + 11);
  // Its heat stays where users look for it.
  EXPECT_EQ(values.at("idlewatt_temperature_celsius{chip=\"amdgpu-pci-0300\",sensor=\"temp1\","
                      "label=\"edge\"}"),
            51);
  ASSERT_EQ(board->Clients().size(), 1U);
  EXPECT_EQ(board->Clients()[0].pid, 600);

  CollectorOptions without_drm;
  without_drm.power_sources = {"rapl", "hwmon"};
  values = read_all(without_drm);
  EXPECT_FALSE(values.contains(Power("gpu0")));
  EXPECT_EQ(values.at("idlewatt_power_watts{source=\"hwmon\",domain=\"amdgpu-pci-0300:power1\"}"),
            45);
}

}  // namespace
}  // namespace idlewatt
