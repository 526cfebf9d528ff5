#include "collector/sampler_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/text.h"
#include "collector/metrics.h"
#include "tests/collector/readings_support.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

// A machine that has everything.
class SamplerTableTest : public ::testing::Test {
 protected:
  SamplerTableTest() {
    directory.roots = {{"web", 600, 80}};
    options.textfile_dir = machine.PathOf("textfile");
    context.system_bus = "unix:path=" + machine.PathOf("no-bus");
    context.nvml_library = std::string(IDLEWATT_BINARY_DIR) + "/fake_nvml.so";
  }
  static MachineRoots Build(FakeTree& machine) {
    machine.Write("proc/stat", "cpu  1 2 3 4 5 6 7 8 9 10\n");
    machine.Write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\n");
    for (const char* resource : {"cpu", "io", "memory", "irq"}) {
      machine.Write(std::string("proc/pressure/") + resource, "full avg10=0 total=5\n");
    }
    machine.Write("proc/600/stat", StatLine({.pid = 600, .comm = "web"}));
    machine.Write("proc/600/io", "read_bytes: 1\nwrite_bytes: 2\n");
    machine.Link("proc/600/fd/0", "/dev/null");
    machine.Write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    machine.Write("sys/class/powercap/intel-rapl:0/energy_uj", "1000000\n");
    machine.Write("sys/class/thermal/thermal_zone0/temp", "1000\n");
    machine.Write("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical\n");
    machine.Write("sys/class/thermal/thermal_zone0/trip_point_0_temp", "100000\n");
    machine.Write("sys/class/thermal/cooling_device0/cur_state", "1\n");
    machine.Write("sys/class/thermal/cooling_device0/max_state", "2\n");
    const std::string cpu = "sys/devices/system/cpu/cpu0/";
    for (const char* file :
         {"topology/core_id", "topology/physical_package_id",
          "thermal_throttle/core_throttle_count", "thermal_throttle/package_throttle_count"}) {
      machine.Write(cpu + file, "0\n");
    }
    const std::string policy = "sys/devices/system/cpu/cpufreq/policy0/";
    machine.Write(policy + "affected_cpus", "0\n");
    for (const char* file : {"scaling_cur_freq", "cpuinfo_min_freq", "cpuinfo_max_freq"}) {
      machine.Write(policy + file, "1000000\n");
    }
    machine.Write("textfile/empty.prom", "# its metrics are not in the table\n");
    const std::string hwmon = "sys/class/hwmon/hwmon0/";
    machine.Write(hwmon + "name", "chip\n");
    for (const char* file : {"temp1_input", "temp1_max", "fan1_input", "in0_input", "curr1_input",
                             "power1_input", "energy1_input"}) {
      machine.Write(hwmon + file, "1000\n");
    }
    const std::string battery = "sys/class/power_supply/BAT0/";
    machine.Write(battery + "type", "Battery\n");
    machine.Write(battery + "status", "Discharging\n");
    machine.Write(battery + "power_now", "1000\n");
    machine.Write(battery + "capacity", "50\n");
    const std::string gpu = "sys/bus/pci/devices/0000:03:00.0/";
    machine.Write(gpu + "class", "0x030000\n");
    machine.Link(gpu + "driver", "../../../../bus/pci/drivers/amdgpu");
    machine.Write(gpu + "hwmon/hwmon1/name", "amdgpu\n");
    for (const char* file :
         {"gpu_busy_percent", "mem_info_vram_used", "mem_info_vram_total",
          "hwmon/hwmon1/power1_input", "hwmon/hwmon1/energy1_input", "hwmon/hwmon1/temp1_input"}) {
      machine.Write(gpu + file, "50\n");
    }
    const std::string npu = "sys/class/accel/accel0/device/";
    machine.Link(npu + "driver", "../../../../bus/pci/drivers/intel_vpu");
    machine.Write(npu + "hwmon/hwmon2/name", "intel_vpu\n");
    for (const char* file : {"npu_busy_time_us", "npu_memory_utilization",
                             "npu_current_frequency_mhz", "hwmon/hwmon2/power1_input"}) {
      machine.Write(npu + file, "50\n");
    }
    machine.Write("dev/pts/0", "");
    return {machine.Root("proc"), machine.Root("sys"), machine.Root("dev")};
  }

  FakeTree machine;
  MachineRoots roots = Build(machine);
  CollectorOptions options = [] {
    CollectorOptions of_the_tree;
    of_the_tree.process_backend = ProcessBackendChoice::kProc;
    return of_the_tree;
  }();
  FakeDirectory directory;
  SamplerContext context{roots, options, &directory, true};
};

TEST_F(SamplerTableTest, EverySamplerFileHasOneRow) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::string(IDLEWATT_SOURCE_DIR) + "/collector")) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with("_sampler.cc")) files.push_back(name.substr(0, name.size() - 11));
  }
  EXPECT_EQ(files.size(), SamplerTable().size());
  for (const std::string& file : files) {
    const auto rows =
        std::count_if(SamplerTable().begin(), SamplerTable().end(),
                      [&](const SamplerRow& row) { return row.info().name.starts_with(file); });
    EXPECT_EQ(rows, 1) << file;
  }
}

TEST_F(SamplerTableTest, SamplersAndMetricsHaveTheirNamesAlone) {
  std::set<std::string_view> samplers{SamplingLoop::Info().name};
  std::map<std::string_view, const Metric*> metrics;
  for (const SamplerRow& row : SamplerTable()) {
    const SamplerInfo& info = row.info();
    EXPECT_TRUE(samplers.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.help.empty()) << info.name;
    EXPECT_FALSE(info.metrics.empty()) << info.name;
    std::set<const Metric*> own;
    for (const Metric* metric : info.metrics) {
      EXPECT_TRUE(own.insert(metric).second) << metric->name << " twice in " << info.name;
      // One metric may be given by two samplers, but it must be one.
      EXPECT_EQ(metrics.emplace(metric->name, metric).first->second, metric) << metric->name;
    }
  }
}

// Words of [a-z0-9] with one underscore between them, the first not beginning with a digit.
bool IsSnakeCase(std::string_view name) {
  bool good = !name.empty() && name[0] >= 'a' && name[0] <= 'z' && !name.ends_with('_');
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    good = good &&
           ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '_' && name[i - 1] != '_'));
  }
  return good;
}

TEST_F(SamplerTableTest, MetricNamesAreThoseOfPrometheus) {
  const std::set<std::string_view> not_base_units{
      "ms", "millis", "micros", "percent", "kb", "mb", "kib", "mib", "minutes", "hours", "ticks"};
  for (const SamplerRow& row : SamplerTable()) {
    for (const Metric* metric : row.info().metrics) {
      const std::string name(metric->name);
      EXPECT_TRUE(IsSnakeCase(name)) << name;
      EXPECT_TRUE(name.starts_with("idlewatt_") || name.starts_with("process_")) << name;
      for (const std::string_view word : Split(name, '_')) {
        EXPECT_FALSE(not_base_units.contains(word)) << name;
      }
      EXPECT_EQ(name.ends_with("_total"), metric->kind == MetricKind::kCounter) << name;
      const std::string stem = name.ends_with("_total") ? name.substr(0, name.size() - 6) : name;
      if (!metric->unit.empty()) {
        EXPECT_TRUE(stem.ends_with("_" + std::string(metric->unit))) << name;
      }
      EXPECT_GT(metric->help.size(), 10U) << name;
      EXPECT_NE(metric->help.back(), '.') << name;
      for (size_t i = 0; i < metric->labels.size(); ++i) {
        EXPECT_TRUE(IsSnakeCase(metric->labels.names[i])) << name;
      }
    }
  }
}

TEST_F(SamplerTableTest, ASamplerGivesWhatItDeclaresAndNothingElse) {
  for (const SamplerRow& row : SamplerTable()) {
    const SamplerInfo& info = row.info();
    ASSERT_TRUE(row.enabled(context)) << info.name;
    const auto sampler = row.make(context);
    EXPECT_EQ(&sampler->info(), &info);
    context.gpu_board->Publish("test", {{600, "gpu0", 1, 1}});
    SeriesRegistry registry;
    Readings readings(registry);
    const Result<void> read = sampler->Read(ManualClock().Now(), readings);
    ASSERT_TRUE(read.ok()) << info.name << ": " << read.error().ToString();
    ValuesOf(readings);
    SourcesOf(readings);
    EXPECT_FALSE(readings.sources.empty()) << info.name;
    std::set<const Metric*> given;
    for (const Sample& sample : readings.samples) {
      given.insert(registry.Find(sample.series)->metric);
    }
    // Nobody is connected to the port of this machine's service.
    if (info.name == "sockets") given.insert(&metrics::kServiceLastData);
    EXPECT_EQ(given, std::set<const Metric*>(info.metrics.begin(), info.metrics.end()))
        << info.name;
  }
}

TEST_F(SamplerTableTest, ASecondReadingOfTheSameMachineChangesNoGauge) {
  for (const SamplerRow& row : SamplerTable()) {
    if (row.info().name == "self") continue;   // whose memory grows as it pleases
    if (row.info().name == "input") continue;  // which gives an age
    const auto sampler = row.make(context);
    SamplerDriver driver(*sampler);
    driver.Read();
    const auto first = driver.values;
    driver.ReadAfter(std::chrono::seconds(5));
    EXPECT_EQ(driver.values, first) << row.info().name;
  }
}

TEST_F(SamplerTableTest, OfARecordedMachineOnlyAGivenLibraryIsAskedForGpus) {
  const auto has_nvml = [&] {
    const auto samplers = MakeSamplers(context);
    return std::any_of(samplers.begin(), samplers.end(),
                       [](const ScheduledSampler& s) { return s.sampler->info().name == "nvml"; });
  };
  EXPECT_TRUE(has_nvml());
  context.live = false;
  EXPECT_TRUE(has_nvml());
  context.nvml_library.clear();
  EXPECT_FALSE(has_nvml());
  context.live = true;
  EXPECT_TRUE(has_nvml());
  options.power_sources = {"rapl"};
  EXPECT_FALSE(has_nvml());
}

TEST_F(SamplerTableTest, PowerSourcesAndPeriodsFollowTheOptions) {
  options.power_sources = {"hwmon"};
  options.thermal_interval = std::chrono::seconds(30);
  options.power_interval = std::chrono::seconds(1);
  context.live = false;
  std::map<std::string_view, std::chrono::nanoseconds> periods;
  for (const ScheduledSampler& s : MakeSamplers(context)) {
    periods[s.sampler->info().name] = s.period;
  }
  EXPECT_FALSE(periods.contains("rapl"));
  EXPECT_FALSE(periods.contains("battery"));
  EXPECT_FALSE(periods.contains("drm"));
  EXPECT_EQ(periods.at("npu"), std::chrono::seconds(1));
  EXPECT_FALSE(periods.contains("sockets"));  // would ask the running kernel
  EXPECT_FALSE(periods.contains("input"));    // would look at who is logged in here
  EXPECT_EQ(periods.at("hwmon"), std::chrono::seconds(30));
  EXPECT_EQ(periods.at("process"), std::chrono::seconds(5));
}

}  // namespace
}  // namespace idlewatt
