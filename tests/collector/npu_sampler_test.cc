#include "collector/gpu/npu_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class NpuSamplerTest : public ::testing::Test {
 protected:
  static constexpr const char* kDevice = "class/accel/accel0/device/";
  static constexpr const char* kBusy = "idlewatt_npu_busy_seconds_total{npu=\"npu0\"}";

  void AddNpu() {
    File("npu_busy_time_us", "2500000\n");
    File("npu_memory_utilization", "1048576\n");
    File("npu_current_frequency_mhz", "1400\n");
    File("power/runtime_status", "active\n");
    tree.Link(std::string(kDevice) + "driver", "../../../bus/pci/drivers/intel_vpu");
  }
  void File(const std::string& file, std::string_view content) {
    tree.Write(kDevice + file, content);
  }

  FakeTree tree;
  FileRoot sys = tree.Root();
  NpuSampler sampler{sys};
  SamplerDriver driver{sampler};
};

TEST_F(NpuSamplerTest, WithoutAnAcceleratorThereIsNoData) {
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
  EXPECT_TRUE(driver.sources.empty());
}

TEST_F(NpuSamplerTest, ValuesAreInSiUnits) {
  AddNpu();
  File("hwmon/hwmon4/name", "intel_vpu\n");
  File("hwmon/hwmon4/power1_input", "3000000\n");
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_THAT(
      driver.values,
      ElementsAre(Pair(kBusy, 2.5), Pair("idlewatt_npu_frequency_hertz{npu=\"npu0\"}", 1.4e9),
                  Pair("idlewatt_npu_memory_used_bytes{npu=\"npu0\"}", 1048576),
                  Pair("idlewatt_power_watts{source=\"drm\",domain=\"npu0\"}", 3)));
  EXPECT_EQ(driver.sources["npu:npu0"], "busy time, memory, frequency, power");
}

TEST_F(NpuSamplerTest, AnOlderKernelGivesBusyTimeAlone) {
  AddNpu();
  tree.Remove(std::string(kDevice) + "npu_memory_utilization");
  tree.Remove(std::string(kDevice) + "npu_current_frequency_mhz");
  driver.Read();
  EXPECT_THAT(driver.values, ElementsAre(Pair(kBusy, 2.5)));
  EXPECT_THAT(driver.sources, ElementsAre(Pair("npu:npu0", "busy time")));
}

TEST_F(NpuSamplerTest, ASleepingNpuIsNotReadAndItsLastBusyTimeHolds) {
  AddNpu();
  driver.Read();
  File("power/runtime_status", "suspended\n");
  File("npu_busy_time_us", "9900000\n");  // would be seen if it were read
  driver.ReadAfter(seconds(5));
  EXPECT_THAT(driver.values, ElementsAre(Pair(kBusy, 2.5)));
  EXPECT_EQ(driver.sources["npu:npu0"], "asleep; not woken");
}

TEST_F(NpuSamplerTest, OneThatSleepsFromTheStartHasNoValue) {
  AddNpu();
  File("power/runtime_status", "suspended\n");
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_TRUE(driver.values.empty());
}

TEST_F(NpuSamplerTest, AnotherAcceleratorIsRefusedByTheNameOfItsDriver) {
  tree.MakeDir("class/accel/accel1/device");
  tree.Link("class/accel/accel1/device/driver", "../../../bus/pci/drivers/habanalabs");
  tree.MakeDir("class/accel/accelerate");
  driver.Read();
  EXPECT_EQ(driver.result.error().code, ErrorCode::kNoData);
  ASSERT_EQ(driver.rows.size(), 1U);
  EXPECT_EQ(driver.rows[0].source, "npu:accel1");
  EXPECT_THAT(driver.rows[0].error->text, HasSubstr("habanalabs"));
  AddNpu();
  driver.Read();
  EXPECT_TRUE(driver.result.ok());
  EXPECT_EQ(driver.values.at(kBusy), 2.5);
  EXPECT_EQ(driver.sources["npu:accel1"], "!no_data");
}

TEST_F(NpuSamplerTest, ABadValueIsRefusedAndTheOthersRead) {
  AddNpu();
  driver.Read();
  for (const std::string_view bad :
       {"", "-1\n", "9223372036854775807\n", "12 34\n", "\xff\xfe", "99999999999999999999\n"}) {
    File("npu_busy_time_us", bad);
    File("npu_current_frequency_mhz", bad);
    driver.Read();
    EXPECT_THAT(driver.values,
                ElementsAre(Pair("idlewatt_npu_memory_used_bytes{npu=\"npu0\"}", 1048576)));
    EXPECT_EQ(driver.sources["npu:npu0/busy time"], "!parse");
    EXPECT_EQ(driver.sources["npu:npu0/frequency"], "!parse");
  }
}

TEST_F(NpuSamplerTest, AFolderInPlaceOfAValueHidesNoOther) {
  AddNpu();
  tree.Remove(std::string(kDevice) + "npu_memory_utilization");
  tree.MakeDir(std::string(kDevice) + "npu_memory_utilization");
  driver.Read();
  EXPECT_EQ(driver.sources["npu:npu0/memory"], "!transient");
  EXPECT_EQ(driver.values.at(kBusy), 2.5);
}

}  // namespace
}  // namespace idlewatt
