#include "collector/gpu/gpu_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_gpu.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class GpuDevicesTest : public ::testing::Test {
 protected:
  FakeGpuMachine machine;
  FileRoot sys = machine.Root("sys");
};

TEST_F(GpuDevicesTest, AMachineWithoutAnyHasNone) {
  EXPECT_THAT(FindGpus(sys), IsEmpty());
  EXPECT_THAT(DrmNodes(sys), IsEmpty());
}

TEST_F(GpuDevicesTest, GpusAreNumberedInTheOrderOfTheirAddresses) {
  machine.AddGpu("0000:0b:00.0", "amdgpu", 0);
  machine.AddGpu("0000:00:02.0", "i915", 1);
  machine.AddGpu("0000:05:00.0", "ast", 2);  // of the management processor
  const std::vector<GpuDevice> gpus = FindGpus(sys);
  ASSERT_EQ(gpus.size(), 2U);
  EXPECT_EQ(gpus[0].name, "gpu0");
  EXPECT_EQ(gpus[0].driver, "i915");
  EXPECT_EQ(gpus[0].pci_address, "0000:00:02.0");
  EXPECT_EQ(gpus[1].name, "gpu1");
  EXPECT_EQ(gpus[1].folder, "bus/pci/devices/0000:0b:00.0");
}

TEST_F(GpuDevicesTest, AnAcceleratorThatIsNoDisplayIsFoundByItsNode) {
  machine.AddGpu("0000:0b:00.0", "amdgpu", 0);
  machine.Write(FakeGpuMachine::Device("0000:0b:00.0") + "class", "0x120000\n");
  EXPECT_EQ(FindGpus(sys).size(), 1U);
}

TEST_F(GpuDevicesTest, NodesLeadToTheirDevice) {
  machine.AddGpu("0000:03:00.0", "amdgpu", 1);
  machine.MakeDir("sys/class/drm/card1-DP-1");
  machine.Write("sys/class/drm/version", "drm 1.1.0 20060810\n");
  const std::string folder = "bus/pci/devices/0000:03:00.0";
  EXPECT_THAT(DrmNodes(sys), ElementsAre(Pair("card1", folder), Pair("renderD129", folder)));
}

TEST_F(GpuDevicesTest, ACardOnNoPciKeepsItsNodesTogether) {
  for (const std::string node : {"card0", "renderD128"}) {
    machine.MakeDir("sys/devices/platform/soc/5900000.gpu");
    machine.Link("sys/class/drm/" + node + "/device",
                 machine.PathOf("sys/devices/platform/soc/5900000.gpu"));
  }
  machine.Link("sys/devices/platform/soc/5900000.gpu/driver", "../../bus/platform/drivers/msm");
  const std::vector<GpuDevice> gpus = FindGpus(sys);
  ASSERT_EQ(gpus.size(), 1U);
  EXPECT_EQ(gpus[0].pci_address, "");
  EXPECT_THAT(DrmNodes(sys),
              ElementsAre(Pair("card0", gpus[0].folder), Pair("renderD128", gpus[0].folder)));
}

TEST_F(GpuDevicesTest, PciIdsNameVendorAndDevice) {
  machine.AddGpu("0000:03:00.0", "amdgpu", 0);
  EXPECT_EQ(PciIds(sys, "bus/pci/devices/0000:03:00.0"), "1002:73bf");
  machine.Write(FakeGpuMachine::Device("0000:03:00.0") + "device", "");
  EXPECT_EQ(PciIds(sys, "bus/pci/devices/0000:03:00.0"), "");
}

TEST_F(GpuDevicesTest, OnlySuspendedIsAsleep) {
  machine.AddGpu("0000:03:00.0", "amdgpu", 0);
  EXPECT_FALSE(IsAsleep(sys, "bus/pci/devices/0000:03:00.0"));
  machine.Sleep("0000:03:00.0");
  EXPECT_TRUE(IsAsleep(sys, "bus/pci/devices/0000:03:00.0"));
  EXPECT_FALSE(IsAsleep(sys, "bus/pci/devices/0000:04:00.0"));
}

}  // namespace
}  // namespace idlewatt
