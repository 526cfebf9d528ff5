#include "collector/gpu/drm_clients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "collector/gpu/gpu_devices.h"
#include "tests/support/fake_gpu.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;

constexpr const char* kCard = "0000:03:00.0";
constexpr const char* kOther = "0000:04:00.0";

// Gives up root's rights while it lives: root may read everything.
class AsNobody {
 public:
  AsNobody() : was_root_(::geteuid() == 0), good_(!was_root_ || ::seteuid(65534) == 0) {}
  ~AsNobody() {
    if (was_root_ && good_ && ::seteuid(0) != 0) ADD_FAILURE() << "cannot be root again";
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
  bool good() const { return good_; }

 private:
  const bool was_root_;
  const bool good_;
};

class DrmClientsTest : public ::testing::Test {
 protected:
  // Reads five seconds after the last time.
  void Read() {
    now += seconds(5);
    std::vector<DrmClients::Gpu> gpus;
    for (const GpuDevice& device : FindGpus(sys)) {
      if (device.driver == "nvidia") continue;
      gpus.push_back({device.name, device.folder, device.driver, device.pci_address,
                      IsAsleep(sys, device.folder)});
    }
    result = clients.Read(now, gpus, DrmNodes(sys));
    rows.clear();
    for (const GpuClient& row : clients.Rows()) {
      const bool added = rows.emplace(std::to_string(row.pid) + "/" + row.gpu, row).second;
      EXPECT_TRUE(added) << row.pid << " is there twice on " << row.gpu;
    }
  }
  // A client of the amdgpu card, with what its gfx engine has done and its memory in KiB.
  void Use(int32_t pid, int fd, uint64_t client, double busy_seconds, int kib = 0) {
    machine.Open(pid, fd, "renderD128",
                 FdinfoText("amdgpu", kCard, client,
                            {{"engine-gfx", Ns(busy_seconds)},
                             {"memory-vram", std::to_string(kib) + " KiB"}}));
  }
  static std::string Ns(double busy_seconds) {
    return std::to_string(static_cast<uint64_t>(busy_seconds * 1e9)) + " ns";
  }
  double Busy(const std::string& row) const {
    const auto it = rows.find(row);
    return it == rows.end() ? -1 : it->second.busy_seconds;
  }
  double Memory(const std::string& row) const {
    const auto it = rows.find(row);
    return it == rows.end() ? -1 : it->second.memory_bytes;
  }
  std::optional<double> Utilization(const char* address) const {
    return clients.Utilization(std::string("bus/pci/devices/") + address);
  }

  FakeGpuMachine machine;
  FileRoot sys = machine.Root("sys");
  FileRoot proc = machine.Root("proc");
  DrmClients clients{proc};
  BootTime now{seconds(1000)};
  Result<void> result;
  std::map<std::string, GpuClient> rows;
};

TEST_F(DrmClientsTest, WhatWasUsedBeforeTheFirstSightDoesNotCount) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 100, 64);
  Read();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(Busy("600/gpu0"), 0);
  EXPECT_EQ(Memory("600/gpu0"), 65536);
  Use(600, 5, 1, 102.5, 32);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 2.5);
  EXPECT_EQ(Memory("600/gpu0"), 32768);
}

TEST_F(DrmClientsTest, EngineClassesAreSummed) {
  machine.AddGpu(kCard, "amdgpu", 0);
  const auto use = [&](double gfx, double compute) {
    machine.Open(
        600, 5, "renderD128",
        FdinfoText("amdgpu", kCard, 1, {{"engine-gfx", Ns(gfx)}, {"engine-compute", Ns(compute)}}));
  };
  use(1, 10);
  Read();
  use(2, 13);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 4);
}

TEST_F(DrmClientsTest, ADescriptorSharedByForkCountsOnceForTheLowestPid) {
  machine.AddGpu(kCard, "amdgpu", 0);
  for (const double busy : {1.0, 2.0}) {
    for (const int32_t pid : {1000, 99, 600}) {
      Use(pid, 5, 1, busy, 64);
      Use(pid, 6, 1, busy, 64);  // dup()
    }
    Read();
  }
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_DOUBLE_EQ(Busy("99/gpu0"), 1);
  EXPECT_EQ(Memory("99/gpu0"), 65536);
  // The first ends; the next takes over, and nothing counts twice.
  machine.Kill(99);
  Use(600, 5, 1, 5, 64);
  Use(1000, 5, 1, 5, 64);
  Read();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_LE(Busy("600/gpu0"), 3);
  EXPECT_GE(Busy("600/gpu0"), 0);
}

TEST_F(DrmClientsTest, ClientsOfOneProcessAreOneRow) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 1, 1);
  Use(600, 6, 2, 1, 2);
  Read();
  Use(600, 5, 1, 2, 1);
  Use(600, 6, 2, 3, 2);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 3);
  EXPECT_EQ(Memory("600/gpu0"), 3 * 1024);
  // One is closed: what it used stays used.
  machine.Close(600, 6);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 3);
  EXPECT_EQ(Memory("600/gpu0"), 1024);
}

TEST_F(DrmClientsTest, TheSameClientIdOnTwoCardsIsTwoClients) {
  machine.AddGpu(kCard, "amdgpu", 0);
  machine.AddGpu(kOther, "amdgpu", 1);
  Use(600, 5, 1, 1, 1);
  machine.Open(600, 6, "renderD129", FdinfoText("amdgpu", kOther, 1, {{"memory-vram", "2 KiB"}}));
  Read();
  EXPECT_EQ(Memory("600/gpu0"), 1024);
  EXPECT_EQ(Memory("600/gpu1"), 2048);
}

TEST_F(DrmClientsTest, ANewProcessIsFoundWithinTwelveReads) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Read();
  Use(600, 5, 1, 1);
  Use(605, 5, 2, 1);
  int found_at_once = 0;
  for (int i = 0; i < DrmClients::kTurns; ++i) {
    const size_t before = rows.size();
    Read();
    if (rows.size() - before == 2) ++found_at_once;
  }
  EXPECT_EQ(rows.size(), 2U);
  EXPECT_EQ(found_at_once, 0);  // they are of different twelfths
}

TEST_F(DrmClientsTest, AHolderIsReadEveryTime) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 0);
  Read();
  for (int i = 1; i <= 2 * DrmClients::kTurns; ++i) {
    Use(600, 5, 1, i);
    Use(600, 6, 2, 0, 1);  // opened later
    Read();
    EXPECT_DOUBLE_EQ(Busy("600/gpu0"), i);
    EXPECT_EQ(Memory("600/gpu0"), 1024);
  }
}

TEST_F(DrmClientsTest, AProcessThatEndedOrLetGoIsNotThereAnyMore) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 1);
  Use(601, 5, 2, 1);
  Read();
  EXPECT_EQ(rows.size(), 2U);
  machine.Kill(600);
  machine.Close(601, 5);
  Read();
  EXPECT_TRUE(rows.empty());
}

TEST_F(DrmClientsTest, AFallThatCatchesUpCountsNothingTwice) {
  machine.AddGpu(kCard, "amdgpu", 0);
  for (const double busy : {10.0, 12.0, 11.0, 13.0}) {  // the kernel allows that
    Use(600, 5, 1, busy);
    Read();
  }
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 3);
}

TEST_F(DrmClientsTest, AFallThatStaysIsANewClient) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 1000);
  Read();
  for (int i = 0; i < 20; ++i) {
    Use(600, 5, 1, 1);
    Read();
  }
  EXPECT_EQ(Busy("600/gpu0"), 0);
  Use(600, 5, 1, 3);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 2);
}

TEST_F(DrmClientsTest, AFallInAnotherProcessIsANewClientAtOnce) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 1000);
  Use(601, 5, 2, 0);  // a holder already
  Read();
  machine.Close(600, 5);
  Use(601, 5, 1, 1);
  Read();
  Use(601, 5, 1, 3);
  Read();
  EXPECT_DOUBLE_EQ(Busy("601/gpu0"), 2);
}

TEST_F(DrmClientsTest, AbsurdNumbersAreNoUse) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 1);
  Read();
  machine.Open(600, 5, "renderD128",
               FdinfoText("amdgpu", kCard, 1,
                          {{"engine-gfx", "18446744073709551615 ns"},
                           {"memory-vram", "18446744073709551615 MiB"}}));
  Read();
  EXPECT_EQ(Busy("600/gpu0"), 0);
  EXPECT_EQ(Memory("600/gpu0"), 0);
}

TEST_F(DrmClientsTest, JunkInOneDescriptorHidesNoOther) {
  machine.AddGpu(kCard, "amdgpu", 0);
  machine.Open(600, 3, "renderD128", std::string("\0\xff:\x01 drm-\n\n::\n", 14));
  machine.Open(600, 4, "card0", "");
  machine.Open(600, 6, "by-path/what", "drm-driver:\tamdgpu\n");
  Use(600, 5, 1, 1, 1);
  Read();
  EXPECT_EQ(Memory("600/gpu0"), 1024);
}

TEST_F(DrmClientsTest, FdinfoThatVanishesHidesNoOther) {
  machine.AddGpu(kCard, "amdgpu", 0);
  Use(600, 5, 1, 1, 1);
  Use(600, 6, 2, 1, 1);
  machine.Remove("proc/600/fdinfo/5");
  Read();
  EXPECT_EQ(Memory("600/gpu0"), 1024);
}

TEST_F(DrmClientsTest, NvidiasDescriptorsAreSkipped) {
  machine.AddGpu(kCard, "amdgpu", 0);
  machine.AddGpu(kOther, "nvidia", 1);
  machine.Open(600, 5, "renderD129", FdinfoText("nvidia-drm", kOther, 1, {{"memory-vram", "9"}}));
  // A node of Nvidia's is not even read: here it would be seen.
  machine.Open(600, 7, "renderD129", FdinfoText("amdgpu", kCard, 3, {{"memory-vram", "9"}}));
  // Even one that a wrong node leads to.
  machine.Open(600, 6, "renderD128", FdinfoText("nvidia-drm", kOther, 2, {{"memory-vram", "9"}}));
  Read();
  EXPECT_TRUE(rows.empty());
}

TEST_F(DrmClientsTest, ANodeThatSysfsDoesNotKnowIsFoundByItsAddress) {
  machine.AddGpu(kCard, "amdgpu", 0);
  machine.Open(600, 5, "renderD200", FdinfoText("amdgpu", kCard, 1, {{"memory-vram", "7"}}));
  machine.Open(600, 6, "renderD201", FdinfoText("amdgpu", "", 2, {{"memory-vram", "70"}}));
  Read();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(Memory("600/gpu0"), 7);
}

TEST_F(DrmClientsTest, DescriptorsOfASleepingCardAreNotReadAndItsClientsStay) {
  machine.AddGpu(kCard, "amdgpu", 0);
  machine.AddGpu(kOther, "amdgpu", 1);
  Use(600, 5, 1, 1, 64);
  Use(601, 5, 2, 1, 32);
  Read();
  machine.Sleep(kCard);
  // Would be seen if it were read; so would the unknown node, which may be of the one that sleeps.
  Use(600, 5, 1, 9, 1);
  machine.Open(600, 7, "renderD200", FdinfoText("amdgpu", kCard, 3, {{"memory-vram", "7 MiB"}}));
  machine.Kill(601);
  Read();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(Busy("600/gpu0"), 0);
  EXPECT_EQ(Memory("600/gpu0"), 65536);
  machine.Sleep(kOther);  // now all sleep
  Read();
  EXPECT_EQ(Memory("600/gpu0"), 65536);
  machine.Sleep(kCard, false);
  machine.Close(600, 7);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu0"), 8);
  EXPECT_EQ(Memory("600/gpu0"), 1024);
}

// Two clients on an Intel card, with what the engines of each have done.
class DrmUtilizationTest : public DrmClientsTest {
 protected:
  DrmUtilizationTest() { machine.AddGpu(kCard, "i915", 0); }
  void Engines(int32_t pid, uint64_t client, double render, double video) {
    machine.Open(pid, 5, "renderD128",
                 FdinfoText("i915", kCard, client,
                            {{"engine-render", Ns(render)},
                             {"engine-video", Ns(video)},
                             {"engine-capacity-video", "2"}}));
  }
};

TEST_F(DrmUtilizationTest, ItIsThatOfTheBusiestClassOverAllClients) {
  Engines(600, 1, 100, 100);
  Engines(601, 2, 200, 200);
  Read();
  EXPECT_FALSE(Utilization(kCard));
  Engines(600, 1, 101, 102);
  Engines(601, 2, 201, 201);
  Read();
  // In 5 s: render 2 s of one engine, video 3 s of two.
  EXPECT_DOUBLE_EQ(*Utilization(kCard), 0.4);
  Read();
  EXPECT_EQ(*Utilization(kCard), 0);
}

TEST_F(DrmUtilizationTest, WithoutClientsItIsZeroAndNeverAboveOne) {
  Read();
  Read();
  EXPECT_EQ(*Utilization(kCard), 0);
  Engines(600, 1, 0, 0);
  for (int i = 0; i < DrmClients::kTurns; ++i) Read();
  Engines(600, 1, 99, 0);
  Read();
  EXPECT_EQ(*Utilization(kCard), 1);
}

TEST_F(DrmUtilizationTest, AClientThatDoesNotTellMakesItUnknown) {
  Engines(600, 1, 0, 0);
  machine.Open(601, 5, "renderD128", FdinfoText("i915", kCard, 2));
  Read();
  Read();
  EXPECT_FALSE(Utilization(kCard));
  machine.Close(601, 5);
  Read();
  Read();
  EXPECT_TRUE(Utilization(kCard));
  machine.Open(600, 6, "card0", "pos:\t0\n");  // a kernel from before fdinfo
  Read();
  EXPECT_FALSE(Utilization(kCard));
}

TEST_F(DrmUtilizationTest, SleepMakesItUnknownUntilTwoMoreReads) {
  Engines(600, 1, 0, 0);
  Read();
  Read();
  EXPECT_TRUE(Utilization(kCard));
  machine.Sleep(kCard);
  Read();
  EXPECT_FALSE(Utilization(kCard));
  machine.Sleep(kCard, false);
  Read();
  EXPECT_FALSE(Utilization(kCard));
  Read();
  EXPECT_TRUE(Utilization(kCard));
}

TEST_F(DrmUtilizationTest, CyclesAreAShareOfTime) {
  machine.AddGpu(kOther, "xe", 1);
  const auto use = [&](uint64_t cycles, uint64_t total) {
    machine.Open(600, 6, "renderD129",
                 FdinfoText("xe", kOther, 1,
                            {{"cycles-ccs", std::to_string(cycles)},
                             {"total-cycles-ccs", std::to_string(total)},
                             {"engine-capacity-ccs", "2"}}));
  };
  use(1000, 100'000);
  Read();
  use(1500, 101'000);
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu1"), 2.5);  // half of 5 s
  EXPECT_DOUBLE_EQ(*Utilization(kOther), 0.25);
  use(1600, 101'000);  // the clock stands still
  Read();
  EXPECT_DOUBLE_EQ(Busy("600/gpu1"), 2.5);
}

TEST_F(DrmUtilizationTest, AProcessThatMayNotBeReadIsCountedAndMakesItUnknown) {
  machine.Write("proc/700/stat", StatLine({.pid = 700}));
  machine.MakeDir("proc/700/fd");
  machine.Write("proc/2/stat", StatLine({.pid = 2, .comm = "kthreadd", .flags = 0x00200000}));
  machine.MakeDir("proc/2/fd");
  machine.Write("proc/701/stat", StatLine({.pid = 701, .state = 'Z'}));
  machine.MakeDir("proc/701/fd");
  std::filesystem::permissions(machine.path(), std::filesystem::perms(0755));
  for (const char* folder : {"proc/700/fd", "proc/2/fd", "proc/701/fd"}) {
    std::filesystem::permissions(machine.PathOf(folder), std::filesystem::perms::none);
  }
  {
    const AsNobody nobody;
    if (!nobody.good()) GTEST_SKIP() << "may not become another user";
    Read();
    Read();
    EXPECT_TRUE(result.ok());
    EXPECT_EQ(clients.refused(), 1U);
    EXPECT_FALSE(Utilization(kCard));
  }
  std::filesystem::permissions(machine.PathOf("proc/700/fd"), std::filesystem::perms(0755));
  for (int i = 0; i <= DrmClients::kTurns; ++i) Read();
  EXPECT_EQ(clients.refused(), 0U);
  EXPECT_TRUE(Utilization(kCard));
}

TEST_F(DrmUtilizationTest, HiddenProcessesMakeItUnknown) {
  machine.Kill(1);
  Read();
  Read();
  EXPECT_FALSE(clients.sees_others());
  EXPECT_FALSE(Utilization(kCard));
}

TEST_F(DrmUtilizationTest, AnEmptyProcForgetsEverything) {
  Engines(600, 1, 0, 0);
  Read();
  machine.Remove("proc");
  Read();
  EXPECT_TRUE(rows.empty());
  EXPECT_FALSE(Utilization(kCard));
}

}  // namespace
}  // namespace idlewatt
