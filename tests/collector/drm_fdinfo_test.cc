#include "collector/gpu/drm_fdinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/support/fake_gpu.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr const char* kAddress = "0000:03:00.0";

DrmFdinfo Parse(const std::string& text) {
  auto info = ParseDrmFdinfo(text);
  EXPECT_TRUE(info.has_value());
  return info.value_or(DrmFdinfo());
}

TEST(DrmFdinfoTest, AmdgpuIsRead) {
  const DrmFdinfo info = Parse(
      "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1042\n"
      "drm-driver:\tamdgpu\ndrm-client-id:\t51\ndrm-pdev:\t0000:0b:00.0\npasid:\t32778\n"
      "drm-total-vram:\t900 KiB\ndrm-shared-vram:\t4 KiB\ndrm-memory-vram:\t1092 KiB\n"
      "drm-memory-gtt: \t4 KiB\ndrm-memory-cpu: \t0 KiB\namd-memory-visible-vram:\t1092 KiB\n"
      "drm-engine-gfx:\t1234567 ns\ndrm-engine-compute:\t5 ns\n");
  EXPECT_EQ(info.driver, "amdgpu");
  EXPECT_EQ(info.pdev, "0000:0b:00.0");
  EXPECT_EQ(info.client_id, 51U);
  ASSERT_EQ(info.engines.size(), 2U);
  EXPECT_EQ(info.engines.at("gfx").busy_ns, 1234567U);
  EXPECT_EQ(info.engines.at("gfx").capacity, 1U);
  EXPECT_THAT(info.memory_bytes,
              ElementsAre(Pair("cpu", 0), Pair("gtt", 4096), Pair("vram", 1092.0 * 1024)));
  EXPECT_EQ(info.OwnMemoryBytes(), 1092.0 * 1024);
}

TEST(DrmFdinfoTest, I915IsReadWithItsCapacities) {
  const DrmFdinfo info = Parse(FdinfoText("i915", "0000:00:02.0", 7,
                                          {{"engine-render", "25662044495 ns"},
                                           {"engine-capacity-video", "2"},
                                           {"engine-video", "10 ns"},
                                           {"total-system0", "100 KiB"},
                                           {"resident-system0", "50 KiB"},
                                           {"total-local0", "8 MiB"},
                                           {"resident-local0", "6 MiB"},
                                           {"resident-stolen-local0", "1 MiB"},
                                           {"purgeable-local0", "9 MiB"},
                                           {"active-local0", "9 MiB"}}));
  EXPECT_EQ(info.engines.at("video").capacity, 2U);
  EXPECT_EQ(info.engines.at("render").busy_ns, 25662044495U);
  EXPECT_EQ(info.OwnMemoryBytes(), 7.0 * 1024 * 1024);
}

TEST(DrmFdinfoTest, XeCountsCycles) {
  const DrmFdinfo info = Parse(FdinfoText("xe", "0000:03:00.0", 7,
                                          {{"cycles-rcs", "28257900"},
                                           {"total-cycles-rcs", "7655183225"},
                                           {"engine-capacity-ccs", "4"},
                                           {"total-vram0", "2048"},
                                           {"total-gtt", "192 KiB"}}));
  EXPECT_EQ(info.engines.at("rcs").cycles, 28257900U);
  EXPECT_EQ(info.engines.at("rcs").total_cycles, 7655183225U);
  EXPECT_FALSE(info.engines.at("rcs").busy_ns);
  EXPECT_EQ(info.engines.at("ccs").capacity, 4U);
  EXPECT_EQ(info.OwnMemoryBytes(), 2048);
}

TEST(DrmFdinfoTest, WithoutDriverOrClientThereIsNothing) {
  EXPECT_FALSE(ParseDrmFdinfo(""));
  EXPECT_FALSE(ParseDrmFdinfo("pos:\t0\nflags:\t02\n"));
  EXPECT_FALSE(ParseDrmFdinfo("drm-driver:\tamdgpu\n"));
  EXPECT_FALSE(ParseDrmFdinfo("drm-client-id:\t4\n"));
  EXPECT_FALSE(ParseDrmFdinfo("drm-driver:\tamdgpu\ndrm-client-id:\t-4\n"));
  EXPECT_FALSE(ParseDrmFdinfo("drm-driver:\t\ndrm-client-id:\t4\n"));
}

TEST(DrmFdinfoTest, ResidentGoesBeforeMemoryBeforeTotalInAnyOrder) {
  EXPECT_EQ(Parse(FdinfoText("amdgpu", kAddress, 1,
                             {{"total-vram", "3"}, {"resident-vram", "1"}, {"memory-vram", "2"}}))
                .OwnMemoryBytes(),
            1);
  EXPECT_EQ(Parse(FdinfoText("amdgpu", kAddress, 1, {{"memory-vram", "2"}, {"total-vram", "3"}}))
                .OwnMemoryBytes(),
            2);
}

TEST(DrmFdinfoTest, UnknownKeysChangeNothing) {
  const DrmFdinfo info = Parse(FdinfoText("amdgpu", kAddress, 1,
                                          {{"engine-gfx", "5 ns"},
                                           {"warp-gfx", "7 ns"},
                                           {"engine-", "9 ns"},
                                           {"", "1"},
                                           {"maxfreq-gfx", "100 MHz"},
                                           {"memory-", "5"}}) +
                               "drm-\ndrm\ndrm-engine-x\n:\n::::\nfoo: bar: baz\n");
  EXPECT_EQ(info.engines.size(), 1U);
  EXPECT_TRUE(info.memory_bytes.empty());
}

TEST(DrmFdinfoTest, AValueThatMakesNoSenseIsLeftOutAlone) {
  const DrmFdinfo info = Parse(FdinfoText("amdgpu", kAddress, 1,
                                          {{"engine-a", "5"},  // no unit
                                           {"engine-b", "5 ms"},
                                           {"engine-c", "-5 ns"},
                                           {"engine-d", "18446744073709551616 ns"},
                                           {"engine-e", "1e3 ns"},
                                           {"engine-f", " ns"},
                                           {"engine-good", "18446744073709551615 ns"},
                                           {"engine-capacity-good", "0"},
                                           {"cycles-g", "5 ns"},
                                           {"memory-vram", "5 GiB"},
                                           {"memory-vram0", "99999999999999999 MiB"},
                                           {"memory-vram1", "-1 KiB"},
                                           {"memory-vram2", "6 KiB"}}));
  ASSERT_EQ(info.engines.size(), 1U);
  EXPECT_EQ(info.engines.at("good").capacity, 1U);
  EXPECT_THAT(info.memory_bytes, ElementsAre(Pair("vram2", 6144)));
}

TEST(DrmFdinfoTest, TenThousandEnginesDoNotFillTheMemory) {
  FakeFiles keys;
  for (int i = 0; i < 10'000; ++i) {
    keys.emplace_back("engine-" + std::to_string(i), "5 ns");
    keys.emplace_back("memory-" + std::to_string(i), "5");
  }
  const DrmFdinfo info = Parse(FdinfoText("amdgpu", kAddress, 1, keys));
  EXPECT_LE(info.engines.size(), 100U);
  EXPECT_LE(info.memory_bytes.size(), 100U);
}

TEST(DrmFdinfoTest, JunkIsNoDescriptorAndNeverACrash) {
  std::minstd_rand random(7);
  const std::string good = FdinfoText("xe", kAddress, 1,
                                      {{"engine-gfx", "5 ns"},
                                       {"cycles-rcs", "5"},
                                       {"total-cycles-rcs", "50"},
                                       {"resident-vram0", "5 KiB"}});
  for (int round = 0; round < 2000; ++round) {
    std::string text = good.substr(0, random() % (good.size() + 1));
    for (int i = 0; i < 3 && !text.empty(); ++i) {
      text[random() % text.size()] = static_cast<char>(random() % 256);
    }
    const auto info = ParseDrmFdinfo(text);
    if (info) {
      EXPECT_FALSE(info->driver.empty());
      EXPECT_LE(info->OwnMemoryBytes(), 1e18);
    }
  }
  EXPECT_FALSE(ParseDrmFdinfo(std::string(100'000, '\0')));
  EXPECT_FALSE(ParseDrmFdinfo(std::string(100'000, ':')));
  EXPECT_FALSE(ParseDrmFdinfo(std::string(100'000, '\n')));
}

}  // namespace
}  // namespace idlewatt
