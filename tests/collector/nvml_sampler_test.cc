#include "collector/gpu/nvml_sampler.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "tests/collector/fake_nvml.h"
#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr int kNotSupported = 3;
constexpr int kNoPermission = 4;
constexpr int kDriverNotLoaded = 9;
constexpr int kGpuIsLost = 15;
constexpr int kResetRequired = 16;
constexpr int kVersionMismatch = 18;
constexpr int kUnknown = 999;

constexpr std::string_view kAsleep = "asleep; not woken";
constexpr std::string_view kLeftAlone = "idle; left alone so that it can fall asleep";

std::string LibraryNamed(const std::string& name) {
  return std::string(IDLEWATT_BINARY_DIR) + "/" + name + ".so";
}

// A machine with the GPUs that a test adds, one sampler, and the library it loads.
class NvmlSamplerTest : public ::testing::Test {
 protected:
  explicit NvmlSamplerTest(const std::string& library = "fake_nvml")
      : path_(LibraryNamed(library)),
        library_(::dlopen(path_.c_str(), RTLD_NOW)),
        sampler(std::make_unique<NvmlSampler>(sys, board, path_)),
        driver(*sampler) {
    if (library_ == nullptr) {
      ADD_FAILURE() << ::dlerror();
      std::abort();
    }
    nvml = reinterpret_cast<FakeNvml* (*)()>(::dlsym(library_, "FakeNvmlState"))();
    *nvml = FakeNvml();
  }
  ~NvmlSamplerTest() override {
    sampler.reset();
    EXPECT_EQ(nvml->started, 0);
    *nvml = FakeNvml();
    ::dlclose(library_);
  }

  // A GPU as /sys shows it.
  void Pci(const std::string& address, const std::string& driver_name = "nvidia") {
    const std::string folder = "bus/pci/devices/" + address;
    tree.Write(folder + "/class", "0x030000\n");
    tree.Link(folder + "/driver", "../../../../bus/pci/drivers/" + driver_name);
    State(address, "active");
    Control(address, "on");
  }
  void State(const std::string& address, const std::string& state) {
    tree.Write("bus/pci/devices/" + address + "/power/runtime_status", state + "\n");
  }
  void Control(const std::string& address, const std::string& control) {
    tree.Write("bus/pci/devices/" + address + "/power/control", control + "\n");
  }
  FakeNvmlGpu& Gpu(size_t i = 0) const { return nvml->gpus[i]; }
  // Adds a GPU to NVML and to /sys; gives its index in NVML.
  size_t AddSecond(const std::string& address = "0000:02:00.0") {
    FakeNvmlGpu gpu;
    gpu.bus_id = "0000" + address;
    gpu.uuid = "GPU-second";
    nvml->gpus.push_back(gpu);
    Pci(address);
    return nvml->gpus.size() - 1;
  }

  bool Has(const std::string& series) const { return driver.values.contains(series); }
  double Value(const std::string& series) const {
    const auto it = driver.values.find(series);
    return it == driver.values.end() ? std::nan("") : it->second;
  }
  static std::string OfDomain(const std::string& metric, const std::string& gpu) {
    return metric + "{source=\"nvml\",domain=\"" + gpu + "\"}";
  }
  static std::string OfGpu(const std::string& metric, const std::string& gpu) {
    return "idlewatt_gpu_" + metric + "{gpu=\"" + gpu + "\"}";
  }
  double Watts(const std::string& gpu) const {
    return Value(OfDomain("idlewatt_power_watts", gpu));
  }
  bool HasWatts(const std::string& gpu) const { return Has(OfDomain("idlewatt_power_watts", gpu)); }
  std::string RemedyOf(const std::string& source) const {
    for (const SourceStatus& row : driver.rows) {
      if (row.source == source) return row.remedy;
    }
    return "no such row";
  }
  std::string TextOf(const std::string& source) const {
    for (const SourceStatus& row : driver.rows) {
      if (row.source == source && row.error) return row.error->ToString();
    }
    return "no such refused row";
  }

  void Process(unsigned pid, unsigned long long memory = 1000) {
    Gpu().processes.push_back({pid, memory, true, false});
  }
  // A sample of the process at a time after the sampler's last reading.
  void Sample(unsigned pid, double seconds_later, unsigned percent) {
    const auto wall = driver.clock.Now().wall.time_since_epoch();
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(wall).count() +
                    static_cast<int64_t>(seconds_later * 1e6);
    Gpu().samples.push_back({pid, static_cast<unsigned long long>(us), percent});
  }
  // "gpu0:17" -> busy seconds.
  std::map<std::string, double> Busy() const {
    std::map<std::string, double> busy;
    for (const GpuClient& client : board->Clients()) {
      busy[client.gpu + ":" + std::to_string(client.pid)] = client.busy_seconds;
    }
    return busy;
  }
  std::map<std::string, double> Memory() const {
    std::map<std::string, double> memory;
    for (const GpuClient& client : board->Clients()) {
      const std::string key = client.gpu + ":" + std::to_string(client.pid);
      EXPECT_TRUE(memory.emplace(key, client.memory_bytes).second) << key << " was given twice";
    }
    return memory;
  }

  const std::string path_;
  void* const library_;
  FakeTree tree;
  FileRoot sys = tree.Root();
  std::shared_ptr<GpuBoard> board = std::make_shared<GpuBoard>();
  std::unique_ptr<NvmlSampler> sampler;
  SamplerDriver driver;
  FakeNvml* nvml = nullptr;
};

class NvmlBeforeProcessVersionsTest : public NvmlSamplerTest {
 protected:
  NvmlBeforeProcessVersionsTest() : NvmlSamplerTest("fake_nvml_v1") {}
};
class NvmlWithSecondVersionTest : public NvmlSamplerTest {
 protected:
  NvmlWithSecondVersionTest() : NvmlSamplerTest("fake_nvml_v2") {}
};

// Values.

TEST_F(NvmlSamplerTest, AGpuGivesAllOfItsValues) {
  Pci("0000:01:00.0");
  driver.Read();
  ASSERT_TRUE(driver.result.ok());
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 120.5);
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_joules_total", "gpu0")), 0);
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")), 0);
  EXPECT_DOUBLE_EQ(Value(OfGpu("utilization_ratio", "gpu0")), 0.25);
  EXPECT_EQ(Value(OfGpu("memory_used_bytes", "gpu0")), 2147483648.0);
  EXPECT_EQ(Value(OfGpu("memory_total_bytes", "gpu0")), 8589934592.0);
  EXPECT_EQ(Value(OfGpu("temperature_celsius", "gpu0")), 61);
  EXPECT_EQ(Value("idlewatt_gpu_info{gpu=\"gpu0\",uuid=\"GPU-01234567-89ab-cdef-0123-456789abcdef\""
                  ",name=\"NVIDIA Fake 4090\",driver=\"550.54.14\"}"),
            1);
  EXPECT_EQ(driver.values.size(), 8U);
  EXPECT_EQ(driver.sources["nvml:gpu0"],
            "power, energy, utilization, temperature, memory, processes of NVIDIA Fake 4090");
}

TEST_F(NvmlSamplerTest, EnergyIsCountedSinceTheFirstReading) {
  Pci("0000:01:00.0");
  driver.Read();
  Gpu().millijoules += 602'500;
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Value(OfDomain("idlewatt_energy_joules_total", "gpu0")), 602.5);
}

TEST_F(NvmlSamplerTest, AFallOfTheCounterIsAResetAndGivesNoValueOnce) {
  Pci("0000:01:00.0");
  driver.Read();
  Gpu().millijoules = 4'000;
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(Has(OfDomain("idlewatt_energy_joules_total", "gpu0")));
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")), 1);
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 120.5);
  Gpu().millijoules = 6'500;
  driver.ReadAfter(seconds(5));
  EXPECT_DOUBLE_EQ(Value(OfDomain("idlewatt_energy_joules_total", "gpu0")), 2.5);
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")), 1);
}

TEST_F(NvmlSamplerTest, AJumpThatNoGpuCouldDrawIsAResetToo) {
  Pci("0000:01:00.0");
  driver.Read();
  Gpu().millijoules += 1'000'000'000'000ULL;  // 1 GJ in 5 s
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(Has(OfDomain("idlewatt_energy_joules_total", "gpu0")));
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")), 1);
}

TEST_F(NvmlSamplerTest, WithoutAnEnergyCounterThereIsPowerAlone) {
  Pci("0000:01:00.0");
  Gpu().failures["energy"] = kNotSupported;
  driver.Read();
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 120.5);
  EXPECT_FALSE(Has(OfDomain("idlewatt_energy_joules_total", "gpu0")));
  EXPECT_FALSE(Has(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")));
  EXPECT_THAT(driver.sources, ElementsAre(Pair("nvml:gpu0", HasSubstr("power, utilization"))));
}

TEST_F(NvmlSamplerTest, BlankAndAbsurdNumbersAreNoValues) {
  Pci("0000:01:00.0");
  const auto resets = [&](const std::string& series, const auto& spoil) {
    Gpu() = FakeNvmlGpu();
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(Has(series)) << series;
    spoil(Gpu());
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(driver.result.ok());
    EXPECT_FALSE(Has(series)) << series << " " << Value(series);
  };
  for (const unsigned blank : {0xFFFFFFFFU, 0x7FFFFFF0U, 0x7FFFFFFFU}) {
    resets(OfDomain("idlewatt_power_watts", "gpu0"), [&](auto& gpu) { gpu.milliwatts = blank; });
    resets(OfGpu("utilization_ratio", "gpu0"), [&](auto& gpu) { gpu.percent = blank; });
    resets(OfGpu("temperature_celsius", "gpu0"), [&](auto& gpu) { gpu.celsius = blank; });
  }
  resets(OfDomain("idlewatt_power_watts", "gpu0"), [](auto& gpu) { gpu.milliwatts = 100'000'001; });
  resets(OfGpu("utilization_ratio", "gpu0"), [](auto& gpu) { gpu.percent = 101; });
  resets(OfGpu("temperature_celsius", "gpu0"), [](auto& gpu) { gpu.celsius = 5000; });
  for (const unsigned long long blank :
       {~0ULL, 9223372036854775794ULL, 0x7FFFFFFFFFFFFFF0ULL, 0x7FFFFFFFFFFFFFFFULL}) {
    resets(OfDomain("idlewatt_energy_joules_total", "gpu0"),
           [&](auto& gpu) { gpu.millijoules = blank; });
    resets(OfGpu("memory_used_bytes", "gpu0"), [&](auto& gpu) { gpu.used = blank; });
    resets(OfGpu("memory_total_bytes", "gpu0"), [&](auto& gpu) { gpu.total = blank; });
  }
  resets(OfGpu("memory_used_bytes", "gpu0"), [](auto& gpu) { gpu.used = gpu.total + 1; });
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")), 0);
}

TEST_F(NvmlSamplerTest, TheLargestCredibleNumbersAreValues) {
  Pci("0000:01:00.0");
  Gpu().milliwatts = 100'000'000;
  Gpu().percent = 100;
  Gpu().celsius = 0;
  driver.Read();
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 100'000);
  EXPECT_DOUBLE_EQ(Value(OfGpu("utilization_ratio", "gpu0")), 1);
  EXPECT_EQ(Value(OfGpu("temperature_celsius", "gpu0")), 0);
}

TEST_F(NvmlSamplerTest, AGpuThatSupportsNothingIsRefused) {
  Pci("0000:01:00.0");
  for (const char* call : {"power", "energy", "utilization", "temperature", "memory", "memory_v2",
                           "compute", "graphics"}) {
    Gpu().failures[call] = kNotSupported;
  }
  driver.Read();
  EXPECT_EQ(driver.sources["nvml:gpu0"], "!no_data");
  EXPECT_FALSE(driver.result.ok());
}

TEST_F(NvmlSamplerTest, TextThatIsNotUtf8IsMadeSo) {
  Pci("0000:01:00.0");
  Gpu().name = "NVIDIA \xFF";
  driver.Read();
  EXPECT_THAT(driver.sources["nvml:gpu0"], HasSubstr("NVIDIA \xEF\xBF\xBD"));
}

// Names.

TEST_F(NvmlSamplerTest, GpusAreNumberedByAddressWhateverTheOrderOfNvml) {
  AddSecond("0000:02:00.0");
  AddSecond("0000:00:0a.0");
  Pci("0000:01:00.0");
  Gpu(0).milliwatts = 1000;
  Gpu(1).milliwatts = 2000;
  Gpu(2).bus_id = "00000000:00:0A.0";
  Gpu(2).milliwatts = 3000;
  driver.Read();
  EXPECT_EQ(Watts("gpu0"), 3);
  EXPECT_EQ(Watts("gpu1"), 1);
  EXPECT_EQ(Watts("gpu2"), 2);
}

TEST_F(NvmlSamplerTest, AGpuOfAnotherDriverKeepsItsNumber) {
  Pci("0000:00:02.0", "i915");
  Pci("0000:01:00.0");
  driver.Read();
  EXPECT_FALSE(HasWatts("gpu0"));
  EXPECT_TRUE(HasWatts("gpu1"));
}

TEST_F(NvmlSamplerTest, WhatSysDoesNotListGetsTheNextNumbers) {
  AddSecond("0000:02:00.0");
  tree.Remove("bus/pci/devices/0000:02:00.0");
  FakeNvmlGpu third;
  third.bus_id = "00000000:03:00.0";
  nvml->gpus.push_back(third);
  Gpu(1).milliwatts = 2000;
  Gpu(2).milliwatts = 3000;
  Pci("0000:00:02.0", "i915");
  Pci("0000:03:00.0");
  driver.Read();
  EXPECT_EQ(Watts("gpu1"), 3);
  EXPECT_EQ(Watts("gpu2"), 120.5);
  EXPECT_EQ(Watts("gpu3"), 2);
  driver.ReadAfter(minutes(2));
  EXPECT_EQ(Watts("gpu3"), 2);
}

TEST_F(NvmlSamplerTest, WithoutAnyInSysTheyAreNumberedAsNvmlHasThem) {
  nvml->gpus.emplace_back().milliwatts = 2000;
  driver.Read();
  EXPECT_EQ(Watts("gpu0"), 120.5);
  EXPECT_EQ(Watts("gpu1"), 2);
}

TEST_F(NvmlSamplerTest, WhereAddressesCanNotBeAskedForTheyAreCompared) {
  AddSecond("0000:00:0b.0");
  Gpu(1).bus_id = "00000000:00:0B.0";
  Gpu(1).milliwatts = 2000;
  Pci("0000:01:00.0");
  nvml->by_address_result = 13;  // NVML_ERROR_FUNCTION_NOT_FOUND
  driver.Read();
  EXPECT_EQ(Watts("gpu0"), 2);
  EXPECT_EQ(Watts("gpu1"), 120.5);
  EXPECT_FALSE(HasWatts("gpu2"));
}

TEST_F(NvmlSamplerTest, AGpuThatIsPluggedInIsFound) {
  Pci("0000:01:00.0");
  driver.Read();
  EXPECT_FALSE(HasWatts("gpu1"));
  AddSecond();
  driver.ReadAfter(minutes(2));
  EXPECT_TRUE(HasWatts("gpu1"));
  EXPECT_EQ(nvml->inits, 2);  // it knows only those of its start
  EXPECT_EQ(nvml->started, 1);
  tree.Remove("bus/pci/devices/0000:02:00.0");
  nvml->gpus.pop_back();
  driver.ReadAfter(minutes(2));
  EXPECT_TRUE(driver.result.ok());
  EXPECT_FALSE(HasWatts("gpu1"));
  EXPECT_THAT(driver.sources, ElementsAre(Pair("nvml:gpu0", HasSubstr("power"))));
}

TEST(PciAddressOfTest, IsThatOfSys) {
  EXPECT_EQ(PciAddressOf("00000000:01:00.0"), "0000:01:00.0");
  EXPECT_EQ(PciAddressOf("00000000:AF:1F.7"), "0000:af:1f.7");
  EXPECT_EQ(PciAddressOf("0001:01:00.0"), "0001:01:00.0");
  EXPECT_EQ(PciAddressOf("00010000:E1:00.0"), "10000:e1:00.0");
  EXPECT_EQ(PciAddressOf("0:01:00.0"), "0000:01:00.0");
}

TEST(PciAddressOfTest, WhatIsNoAddressIsEmpty) {
  for (const std::string_view text :
       {"", ":", "01:00.0", "00000000:01:00", "00000000:01:00.", "0000000000:01:00.0", "x:01:00.0",
        "0000:0x:00.0", "0000:01:00.00", "0000:01.00.0", ":01:00.0", "\xFF\xFF"}) {
    EXPECT_EQ(PciAddressOf(text), "") << text;
  }
}

// Sleep.

TEST_F(NvmlSamplerTest, NvmlIsNotStartedForAGpuThatSleeps) {
  Pci("0000:01:00.0");
  State("0000:01:00.0", "suspended");
  for (int i = 0; i < 100; ++i) {
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(driver.result.ok());
    EXPECT_THAT(driver.values, IsEmpty());
    EXPECT_THAT(driver.sources, ElementsAre(Pair("nvml:gpu0", kAsleep)));
  }
  EXPECT_EQ(nvml->inits, 0);
  EXPECT_EQ(Gpu().calls, 0);
}

TEST_F(NvmlSamplerTest, ASleepingGpuNeedsNoLibraryAndIsNoError) {
  Pci("0000:01:00.0");
  State("0000:01:00.0", "suspended");
  NvmlSampler without(sys, board, "/nowhere/libnvidia-ml.so.1");
  SamplerDriver other(without);
  other.Read();
  EXPECT_TRUE(other.result.ok());
  EXPECT_THAT(other.sources, ElementsAre(Pair("nvml:gpu0", kAsleep)));
}

TEST_F(NvmlSamplerTest, TheGpuThatSleepsIsNotTouchedWhileTheOtherIsRead) {
  Pci("0000:01:00.0");
  const size_t second = AddSecond();
  State("0000:02:00.0", "suspended");
  for (int i = 0; i < 30; ++i) driver.ReadAfter(seconds(5));
  EXPECT_TRUE(HasWatts("gpu0"));
  EXPECT_FALSE(HasWatts("gpu1"));
  EXPECT_EQ(driver.sources["nvml:gpu1"], kAsleep);
  EXPECT_EQ(Gpu(second).calls, 0);
  State("0000:02:00.0", "active");
  driver.ReadAfter(seconds(5));
  EXPECT_TRUE(HasWatts("gpu1"));
  const int calls = Gpu(second).calls;
  State("0000:02:00.0", "suspended");
  driver.ReadAfter(seconds(5));
  EXPECT_FALSE(HasWatts("gpu1"));
  EXPECT_EQ(Gpu(second).calls, calls);
}

TEST_F(NvmlSamplerTest, NvmlIsShutDownWhileAllSleepForLongAndStartedWhenOneWakes) {
  Pci("0000:01:00.0");
  driver.Read();
  const int calls = Gpu().calls;
  State("0000:01:00.0", "suspended");
  driver.ReadAfter(seconds(5));
  driver.ReadAfter(seconds(50));
  EXPECT_EQ(nvml->started, 1);
  driver.ReadAfter(seconds(10));
  EXPECT_EQ(nvml->started, 0);
  EXPECT_EQ(Gpu().calls, calls);
  State("0000:01:00.0", "active");
  Gpu().millijoules += 1000;
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(nvml->started, 1);
  EXPECT_DOUBLE_EQ(Value(OfDomain("idlewatt_energy_joules_total", "gpu0")), 1);
}

TEST_F(NvmlSamplerTest, AShortSleepDoesNotShutNvmlDown) {
  Pci("0000:01:00.0");
  for (int i = 0; i < 20; ++i) {
    State("0000:01:00.0", "active");
    driver.ReadAfter(seconds(5));
    State("0000:01:00.0", "suspended");
    driver.ReadAfter(seconds(30));
  }
  EXPECT_EQ(nvml->inits, 1);
}

TEST_F(NvmlSamplerTest, AnIdleGpuThatMaySleepIsLeftAloneSoThatItCan) {
  Pci("0000:01:00.0");
  Control("0000:01:00.0", "auto");
  Gpu().percent = 0;
  for (int i = 0; i < 7; ++i) {
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(HasWatts("gpu0")) << i;
  }
  const int calls = Gpu().calls;
  for (int i = 0; i < 3; ++i) {
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(driver.result.ok());
    EXPECT_THAT(driver.values, IsEmpty());
    EXPECT_THAT(driver.sources, ElementsAre(Pair("nvml:gpu0", kLeftAlone)));
  }
  EXPECT_EQ(nvml->started, 0);  // open files would keep it awake too
  EXPECT_EQ(Gpu().calls, calls);
  State("0000:01:00.0", "suspended");
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.sources["nvml:gpu0"], kAsleep);
}

TEST_F(NvmlSamplerTest, AGpuThatStaysAwakeIsLeftAloneEverLessOften) {
  Pci("0000:01:00.0");
  Control("0000:01:00.0", "auto");
  Gpu().percent = 0;
  const auto read_share = [&](std::chrono::nanoseconds time, std::chrono::nanoseconds tick) {
    int read = 0;
    const auto ticks = time / tick;
    for (int i = 0; i < ticks; ++i) {
      driver.ReadAfter(tick);
      if (HasWatts("gpu0")) ++read;
    }
    return static_cast<double>(read) / static_cast<double>(ticks);
  };
  EXPECT_LT(read_share(minutes(2), seconds(5)), 0.9);
  read_share(hours(2), seconds(20));
  const double later = read_share(hours(2), seconds(10));
  EXPECT_GT(later, 0.99);
  EXPECT_LT(later, 1);
}

TEST_F(NvmlSamplerTest, AGpuThatIsUsedOrNeverSleepsIsAlwaysRead) {
  Pci("0000:01:00.0");
  const auto always_read = [&] {
    for (int i = 0; i < 60; ++i) {
      driver.ReadAfter(seconds(5));
      if (!HasWatts("gpu0")) return false;
    }
    return true;
  };
  Gpu().percent = 0;
  EXPECT_TRUE(always_read());  // control is "on"
  Control("0000:01:00.0", "auto");
  Gpu().percent = 1;
  EXPECT_TRUE(always_read());
  Gpu().percent = 0;
  Process(7);
  EXPECT_TRUE(always_read());
  Gpu().processes.clear();
  EXPECT_FALSE(always_read());
}

// Failures.

TEST_F(NvmlSamplerTest, WithoutTheLibraryThereIsNoData) {
  NvmlSampler without(sys, board, "libnvidia-ml-of-nobody.so.1");
  SamplerDriver other(without);
  other.Read();
  EXPECT_EQ(other.result.error().code, ErrorCode::kNoData);
  EXPECT_EQ(other.result.error().ToString(), "libnvidia-ml-of-nobody.so.1: is not there");
  EXPECT_THAT(other.sources, ElementsAre(Pair("nvml", "!no_data")));
  EXPECT_EQ(other.rows[0].remedy, "");
}

TEST_F(NvmlSamplerTest, ADriverWithoutTheLibrarySaysWhatToInstall) {
  Pci("0000:01:00.0");
  NvmlSampler without(sys, board, "libnvidia-ml-of-nobody.so.1");
  SamplerDriver other(without);
  other.Read();
  EXPECT_THAT(other.rows[0].remedy, HasSubstr("install"));
}

TEST_F(NvmlSamplerTest, AFileThatIsNoLibraryIsToldOf) {
  tree.Write("libnvidia-ml.so.1", "not an ELF file");
  for (const std::string& path : {tree.PathOf("libnvidia-ml.so.1"), std::string("libm.so.6")}) {
    NvmlSampler without(sys, board, path);
    SamplerDriver other(without);
    other.Read();
    EXPECT_EQ(other.result.error().code, ErrorCode::kNoData);
    EXPECT_THAT(other.result.error().text, ::testing::Not(HasSubstr("is not there"))) << path;
  }
}

TEST_F(NvmlSamplerTest, EachFailureOfTheStartSaysWhatToDo) {
  Pci("0000:01:00.0");
  struct Case {
    int code;
    ErrorCode kind;
    std::string text;
    std::string remedy;
  };
  const std::array<Case, 4> cases{
      {{kDriverNotLoaded, ErrorCode::kNoData, "driver is not loaded", "modprobe nvidia"},
       {kVersionMismatch, ErrorCode::kNoData, "different versions",
        "restart after the driver update"},
       {kNoPermission, ErrorCode::kPermission, "refuses us", "/dev/nvidia"},
       {kUnknown, ErrorCode::kTransient, "NVML error 999 (Unknown Error)", ""}}};
  for (const Case& c : cases) {
    nvml->init_result = c.code;
    driver.Read();
    ASSERT_FALSE(driver.result.ok());
    EXPECT_EQ(driver.result.error().code, c.kind) << c.code;
    EXPECT_THAT(TextOf("nvml"), HasSubstr(c.text));
    EXPECT_THAT(RemedyOf("nvml"), HasSubstr(c.remedy));
    EXPECT_THAT(driver.values, IsEmpty());
  }
  nvml->init_result = 0;
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_TRUE(HasWatts("gpu0"));
}

// As files of its own, which this test has not loaded: a library is loaded once for all.
TEST_F(NvmlSamplerTest, AfterAnUpdateTheNewLibraryIsLoaded) {
  Pci("0000:01:00.0");
  const std::string library = tree.PathOf("libnvidia-ml.so.1");
  std::filesystem::copy(LibraryNamed("fake_nvml_v1"), library);
  NvmlSampler updated(sys, board, library);
  SamplerDriver other(updated);
  ::setenv("FAKE_NVML_INIT_RESULT", std::to_string(kVersionMismatch).c_str(), 1);
  other.Read();
  ::unsetenv("FAKE_NVML_INIT_RESULT");
  EXPECT_FALSE(other.result.ok());
  std::filesystem::remove(library);
  std::filesystem::copy(LibraryNamed("fake_nvml"), library);
  other.Read();
  EXPECT_TRUE(other.result.ok());
  EXPECT_TRUE(other.values.contains(OfDomain("idlewatt_energy_joules_total", "gpu0")));
}

TEST_F(NvmlSamplerTest, ALostGpuDoesNotHideTheOthers) {
  Pci("0000:01:00.0");
  AddSecond();
  driver.Read();
  for (const int code : {kGpuIsLost, kResetRequired}) {
    Gpu(0).failure = code;
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(driver.result.ok());
    EXPECT_FALSE(HasWatts("gpu0"));
    EXPECT_TRUE(HasWatts("gpu1"));
    EXPECT_EQ(driver.sources["nvml:gpu0"], "!gone");
    EXPECT_THAT(RemedyOf("nvml:gpu0"), HasSubstr(code == kGpuIsLost ? "Xid" : "--gpu-reset"));
    EXPECT_EQ(driver.sources.size(), 2U);
  }
  Gpu(0).failure = 0;
  Gpu(0).millijoules = 1;  // it counts from anywhere: no reset
  driver.ReadAfter(seconds(5));
  EXPECT_TRUE(HasWatts("gpu0"));
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_joules_total", "gpu0")), 0);
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_counter_resets_total", "gpu0")), 0);
}

TEST_F(NvmlSamplerTest, AGpuThatIsLostFromTheStartIsOneRow) {
  Pci("0000:01:00.0");
  AddSecond();
  Gpu(0).failure = kGpuIsLost;
  driver.Read();
  EXPECT_TRUE(HasWatts("gpu1"));
  EXPECT_THAT(driver.sources,
              ElementsAre(Pair("nvml:gpu0", "!gone"), Pair("nvml:gpu1", HasSubstr("power"))));
}

TEST_F(NvmlSamplerTest, AStrangerThatCanNotBeOpenedIsTold) {
  AddSecond();
  Gpu(0).failure = kNoPermission;
  driver.Read();
  EXPECT_TRUE(HasWatts("gpu0"));
  EXPECT_EQ(driver.sources["nvml:other"], "!permission");
}

TEST_F(NvmlSamplerTest, AfterTheLossOfAllNvmlIsStartedAnew) {
  Pci("0000:01:00.0");
  driver.Read();
  Gpu().failure = kGpuIsLost;
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.result.error().code, ErrorCode::kGone);
  EXPECT_EQ(driver.sources["nvml:gpu0"], "!gone");
  EXPECT_EQ(nvml->started, 0);
  Gpu().failure = 0;
  driver.ReadAfter(seconds(5));
  EXPECT_TRUE(HasWatts("gpu0"));
  EXPECT_EQ(nvml->inits, 2);
}

TEST_F(NvmlSamplerTest, ASessionThatSomethingElseEndedIsStartedAnew) {
  Pci("0000:01:00.0");
  driver.Read();
  nvml->started = 0;
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(driver.result.error().code, ErrorCode::kTransient);
  driver.ReadAfter(seconds(5));
  EXPECT_TRUE(HasWatts("gpu0"));
}

TEST_F(NvmlSamplerTest, WithoutAnyGpuThereIsNoData) {
  nvml->gpus.clear();
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
}

TEST_F(NvmlSamplerTest, OneFailingValueIsARowOfItsOwn) {
  Pci("0000:01:00.0");
  const std::map<std::string, std::string> rows{{"power", "power"},
                                                {"energy", "energy"},
                                                {"utilization", "utilization"},
                                                {"temperature", "temperature"},
                                                {"compute", "processes"},
                                                {"graphics", "processes"},
                                                {"samples", "busy"},
                                                {"mig", "mig"}};
  for (const auto& [call, row] : rows) {
    Gpu() = FakeNvmlGpu();
    Gpu().failures[call] = kUnknown;
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(driver.result.ok());
    EXPECT_EQ(driver.sources.size(), 2U) << call;
    EXPECT_EQ(driver.sources["nvml:gpu0:" + row], "!transient") << call;
    EXPECT_TRUE(Has(OfGpu("memory_used_bytes", "gpu0")));
  }
}

TEST_F(NvmlSamplerTest, WhatProcessesUseIsForgottenWhenTheReadingFails) {
  Pci("0000:01:00.0");
  Process(7);
  driver.Read();
  EXPECT_EQ(Memory().size(), 1U);
  Gpu().failure = kGpuIsLost;
  driver.ReadAfter(seconds(5));
  EXPECT_THAT(Memory(), IsEmpty());
  Gpu().failure = 0;
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(Memory().size(), 1U);
  State("0000:01:00.0", "suspended");
  driver.ReadAfter(seconds(5));
  EXPECT_THAT(Memory(), IsEmpty());
}

// Processes.

TEST_F(NvmlSamplerTest, AProcessThatComputesAndDrawsIsOne) {
  Pci("0000:01:00.0");
  Gpu().processes = {{10, 1000, true, false}, {11, 2000, false, true}, {12, 3000, true, true}};
  driver.Read();
  EXPECT_THAT(Memory(),
              ElementsAre(Pair("gpu0:10", 1000), Pair("gpu0:11", 2000), Pair("gpu0:12", 3000)));
}

TEST_F(NvmlSamplerTest, MemoryThatTheDriverDoesNotTellIsUnknown) {
  Pci("0000:01:00.0");
  Process(10, ~0ULL);
  driver.Read();
  EXPECT_TRUE(std::isnan(Memory().at("gpu0:10")));
}

TEST_F(NvmlSamplerTest, PidsThatCanNotBeAreLeftOut) {
  Pci("0000:01:00.0");
  for (const unsigned pid : {0U, 0xFFFFFFFFU, 0x80000000U, 0x7FFFFFF5U, 9U}) Process(pid);
  driver.Read();
  EXPECT_THAT(Memory(), ElementsAre(Pair("gpu0:9", 1000)));
}

TEST_F(NvmlSamplerTest, ManyProcessesAreAllSeen) {
  Pci("0000:01:00.0");
  for (unsigned pid = 1; pid <= 1000; ++pid) Process(pid, pid);
  driver.Read();
  EXPECT_EQ(Memory().size(), 1000U);
  EXPECT_EQ(Memory().at("gpu0:1000"), 1000);
}

TEST_F(NvmlSamplerTest, EntriesOfAnotherSizeThanTheVersionSaysAreSeen) {
  Pci("0000:01:00.0");
  for (unsigned pid = 1; pid <= 5; ++pid) Process(pid, 100ULL * pid);
  for (const size_t size : {size_t{16}, size_t{24}, size_t{32}}) {  // 32: drivers 535.43 to 535.86
    nvml->entry_size = size;
    driver.ReadAfter(seconds(5));
    EXPECT_THAT(Memory(), ElementsAre(Pair("gpu0:1", 100), Pair("gpu0:2", 200), Pair("gpu0:3", 300),
                                      Pair("gpu0:4", 400), Pair("gpu0:5", 500)))
        << size;
  }
}

TEST_F(NvmlWithSecondVersionTest, ProcessesAreRead) {
  Pci("0000:01:00.0");
  Gpu().processes = {{10, 1000, true, false}, {11, 2000, false, true}};
  driver.Read();
  EXPECT_THAT(Memory(), ElementsAre(Pair("gpu0:10", 1000), Pair("gpu0:11", 2000)));
}

TEST_F(NvmlBeforeProcessVersionsTest, ProcessesAreRead) {
  Pci("0000:01:00.0");
  Gpu().processes = {{10, 1000, true, false}, {11, 2000, false, true}};
  driver.Read();
  EXPECT_THAT(Memory(), ElementsAre(Pair("gpu0:10", 1000), Pair("gpu0:11", 2000)));
}

TEST_F(NvmlBeforeProcessVersionsTest, WhatTheLibraryLacksIsNoError) {
  Pci("0000:01:00.0");
  Process(7);
  driver.Read();
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 120.5);
  EXPECT_FALSE(Has(OfDomain("idlewatt_energy_joules_total", "gpu0")));
  // This call counts what the driver keeps as used.
  EXPECT_EQ(Value(OfGpu("memory_used_bytes", "gpu0")), 2147483648.0 + 1048576);
  EXPECT_EQ(driver.sources.size(), 1U);
  driver.ReadAfter(seconds(4));
  EXPECT_DOUBLE_EQ(Busy().at("gpu0:7"), 1);  // the only one: 25 % of 4 s
}

TEST(ParseNvmlProcessesTest, NeverReadsBeyondTheBuffer) {
  constexpr std::byte kFill{0xA5};
  EXPECT_THAT(ParseNvmlProcesses({}, 0, 24, kFill), IsEmpty());
  EXPECT_THAT(ParseNvmlProcesses({}, 1000, 24, kFill), IsEmpty());
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::byte> buffer(random() % 200);
    for (std::byte& byte : buffer) byte = random() % 4 == 0 ? kFill : std::byte(random() % 256);
    const size_t count = random() % 40;
    const auto processes = ParseNvmlProcesses(buffer, count, 16 + 8 * (random() % 3), kFill);
    EXPECT_LE(processes.size(), count);
  }
}

// Busy time of processes.

TEST_F(NvmlSamplerTest, BusyTimeIsSummedFromTheSamples) {
  Pci("0000:01:00.0");
  Process(7);
  Process(8);
  Sample(7, -1, 100);  // from before we looked
  Sample(8, 0, 100);
  driver.Read();
  EXPECT_THAT(Busy(), ElementsAre(Pair("gpu0:7", 0), Pair("gpu0:8", 0)));
  Sample(7, 2, 50);
  Sample(7, 4, 100);
  Sample(8, 4, 10);
  driver.ReadAfter(seconds(5));
  EXPECT_NEAR(Busy()["gpu0:7"], 1 + 2, 1e-9);
  EXPECT_NEAR(Busy()["gpu0:8"], 0.4, 1e-9);
  Sample(7, 4, 100);
  driver.ReadAfter(seconds(5));  // from 4 s to 9 s
  EXPECT_NEAR(Busy()["gpu0:7"], 3 + 5, 1e-9);
  EXPECT_NEAR(Busy()["gpu0:8"], 0.4, 1e-9);
}

TEST_F(NvmlSamplerTest, OnlyNewSamplesAreAskedFor) {
  Pci("0000:01:00.0");
  Process(7);
  Sample(7, 0, 50);
  const unsigned long long newest = Gpu().samples.back().time_us;
  driver.Read();
  EXPECT_EQ(nvml->asked_since, 0U);
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(nvml->asked_since, newest);
}

TEST_F(NvmlSamplerTest, TimeInWhichNobodyUsedTheGpuIsNotBusy) {
  Pci("0000:01:00.0");
  Process(7);
  Sample(7, 0, 50);
  driver.Read();
  for (int i = 0; i < 100; ++i) driver.ReadAfter(seconds(5));
  Sample(7, 5, 100);
  driver.ReadAfter(seconds(5));
  EXPECT_NEAR(Busy()["gpu0:7"], 5, 1e-9);
}

TEST_F(NvmlSamplerTest, NobodyIsBusyForLongerThanTheInterval) {
  Pci("0000:01:00.0");
  Process(7);
  driver.Read();
  for (int i = 0; i < 50; ++i) Sample(7, 0.1 * i, 100);
  driver.ReadAfter(seconds(5));
  EXPECT_LE(Busy()["gpu0:7"], 5 + 1e-9);
  EXPECT_GE(Busy()["gpu0:7"], 4.9);
  Sample(7, 9, 100);  // its clock is a little ahead of ours
  driver.ReadAfter(seconds(5));
  EXPECT_LE(Busy()["gpu0:7"], 10 + 1e-9);
}

TEST_F(NvmlSamplerTest, SleepAndSuspendAreNotBusy) {
  Pci("0000:01:00.0");
  Process(7);
  Sample(7, 0, 100);
  driver.Read();
  State("0000:01:00.0", "suspended");
  driver.ReadAfter(seconds(5));
  driver.ReadAfter(seconds(100));
  State("0000:01:00.0", "active");
  Sample(7, 5, 100);
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(Busy()["gpu0:7"], 0);
  Sample(7, 5 * 3600, 100);
  driver.ReadAfter(hours(5));  // the machine slept
  EXPECT_EQ(Busy()["gpu0:7"], 0);
}

TEST_F(NvmlSamplerTest, AbsurdSamplesAreLeftOut) {
  Pci("0000:01:00.0");
  Process(7);
  Sample(7, 0, 0);
  driver.Read();
  Sample(7, 1, 101);
  Sample(7, 2, 0xFFFFFFFF);
  Sample(0, 3, 50);
  Sample(99, 3, 50);  // is not listed
  Gpu().samples.push_back({7, ~0ULL, 100});
  driver.ReadAfter(seconds(5));
  EXPECT_THAT(Busy(), ElementsAre(Pair("gpu0:7", 0)));
  Sample(7, 5, 100);
  driver.ReadAfter(seconds(5));
  EXPECT_NEAR(Busy()["gpu0:7"], 5, 1e-9);
}

TEST_F(NvmlSamplerTest, SamplesAreSeenAgainAfterTheClockWasSetBack) {
  Pci("0000:01:00.0");
  Process(7);
  Sample(7, 0, 100);
  driver.Read();
  driver.clock.SetWall(driver.clock.Now().wall - hours(1));
  Gpu().samples.clear();
  Sample(7, 3, 100);
  driver.ReadAfter(seconds(5));
  EXPECT_EQ(nvml->asked_since, 0U);
  Sample(7, 3, 100);
  driver.ReadAfter(seconds(5));
  EXPECT_NEAR(Busy()["gpu0:7"], 10, 1e-9);
}

TEST_F(NvmlSamplerTest, WithoutSamplesTheOnlyProcessHasAllOfTheUse) {
  Pci("0000:01:00.0");
  for (const int code : {kNotSupported, kNoPermission}) {
    Gpu() = FakeNvmlGpu();
    Gpu().failures["samples"] = code;
    Gpu().percent = 50;
    driver.ReadAfter(seconds(5));
    EXPECT_THAT(Busy(), IsEmpty());
    Process(7);
    driver.ReadAfter(seconds(4));
    EXPECT_DOUBLE_EQ(Busy()["gpu0:7"], 2);
    driver.ReadAfter(seconds(4));
    EXPECT_DOUBLE_EQ(Busy()["gpu0:7"], 4);
    Process(8);
    driver.ReadAfter(seconds(4));
    EXPECT_THAT(Busy(), ElementsAre(Pair("gpu0:7", 4), Pair("gpu0:8", 0)));
    EXPECT_EQ(driver.sources.size(), 1U);
  }
}

TEST_F(NvmlSamplerTest, AProcessThatLeftStartsAtZeroWhenItsPidComesBack) {
  Pci("0000:01:00.0");
  Gpu().failures["samples"] = kNotSupported;
  Process(7);
  driver.Read();
  driver.ReadAfter(seconds(4));
  EXPECT_DOUBLE_EQ(Busy()["gpu0:7"], 1);
  Gpu().processes.clear();
  driver.ReadAfter(seconds(4));
  EXPECT_THAT(Busy(), IsEmpty());
  Process(7);
  driver.ReadAfter(seconds(4));
  EXPECT_DOUBLE_EQ(Busy()["gpu0:7"], 1);
}

TEST_F(NvmlSamplerTest, BusyTimeIsThatOfEachGpu) {
  Pci("0000:01:00.0");
  AddSecond();
  for (size_t i : {0, 1}) {
    Gpu(i).failures["samples"] = kNotSupported;
    Gpu(i).processes = {{7, 1000 * (i + 1), true, false}};
  }
  Gpu(1).percent = 100;
  driver.Read();
  driver.ReadAfter(seconds(4));
  EXPECT_THAT(Busy(), ElementsAre(Pair("gpu0:7", 1), Pair("gpu1:7", 4)));
  EXPECT_THAT(Memory(), ElementsAre(Pair("gpu0:7", 1000), Pair("gpu1:7", 2000)));
}

// MIG.

TEST_F(NvmlSamplerTest, MigInstancesHaveMemoryAndProcessesAndTheWholeHasPower) {
  Pci("0000:01:00.0");
  Gpu().mig = true;
  for (const unsigned index : {0U, 2U}) {
    FakeNvmlGpu instance;
    instance.is_instance = true;
    instance.index = index;
    instance.uuid = "MIG-" + std::to_string(index);
    instance.name = "NVIDIA Fake MIG 1g.5gb";
    instance.used = 1000 + index;
    instance.total = 5000;
    instance.processes = {{10 + index, 700, true, false}};
    Gpu().instances.push_back(instance);
  }
  Process(99);
  driver.Read();
  ASSERT_TRUE(driver.result.ok());
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 120.5);
  EXPECT_EQ(Value(OfDomain("idlewatt_energy_joules_total", "gpu0")), 0);
  EXPECT_EQ(Value(OfGpu("temperature_celsius", "gpu0")), 61);
  EXPECT_FALSE(Has(OfGpu("utilization_ratio", "gpu0")));
  EXPECT_FALSE(Has(OfGpu("memory_used_bytes", "gpu0")));  // or it would count twice
  EXPECT_EQ(Value(OfGpu("memory_used_bytes", "gpu0-mig0")), 1000);
  EXPECT_EQ(Value(OfGpu("memory_used_bytes", "gpu0-mig2")), 1002);
  EXPECT_EQ(Value(OfGpu("memory_total_bytes", "gpu0-mig2")), 5000);
  EXPECT_FALSE(HasWatts("gpu0-mig0"));
  EXPECT_FALSE(Has(OfGpu("temperature_celsius", "gpu0-mig0")));
  EXPECT_EQ(Value("idlewatt_gpu_info{gpu=\"gpu0-mig2\",uuid=\"MIG-2\","
                  "name=\"NVIDIA Fake MIG 1g.5gb\",driver=\"550.54.14\"}"),
            1);
  EXPECT_THAT(Memory(), ElementsAre(Pair("gpu0-mig0:10", 700), Pair("gpu0-mig2:12", 700)));
  EXPECT_THAT(driver.sources, ElementsAre(Pair("nvml:gpu0", HasSubstr("2 MIG instances"))));
}

TEST_F(NvmlSamplerTest, OneBadMigInstanceDoesNotHideTheOther) {
  Pci("0000:01:00.0");
  Gpu().mig = true;
  for (const unsigned index : {0U, 1U}) {
    FakeNvmlGpu instance;
    instance.is_instance = true;
    instance.index = index;
    Gpu().instances.push_back(instance);
  }
  Gpu().instances[0].failure = kNoPermission;
  driver.Read();
  EXPECT_EQ(driver.sources["nvml:gpu0:mig0"], "!permission");
  EXPECT_THAT(RemedyOf("nvml:gpu0:mig0"), HasSubstr("nvidia-caps"));
  EXPECT_TRUE(Has(OfGpu("memory_used_bytes", "gpu0-mig1")));
  EXPECT_DOUBLE_EQ(Watts("gpu0"), 120.5);
}

TEST_F(NvmlSamplerTest, MigWithoutAnInstanceHasTheMemoryOfTheWhole) {
  Pci("0000:01:00.0");
  Gpu().mig = true;
  driver.Read();
  EXPECT_EQ(Value(OfGpu("memory_total_bytes", "gpu0")), 8589934592.0);
  EXPECT_FALSE(Has(OfGpu("utilization_ratio", "gpu0")));
}

}  // namespace
}  // namespace idlewatt
