#include "collector/self_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/unique_fd.h"
#include "tests/collector/readings_support.h"

namespace idlewatt {
namespace {

TEST(SelfSamplerTest, GivesWhatThisProcessUses) {
  SelfSampler sampler;
  SamplerDriver driver(sampler);
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  driver.Read();
  ASSERT_TRUE(driver.result.ok());
  const double used = static_cast<double>(before.ru_utime.tv_sec + before.ru_stime.tv_sec);
  EXPECT_GE(driver.values.at("process_cpu_seconds_total"), used);
  EXPECT_GT(driver.values.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GE(driver.values.at("process_virtual_memory_bytes"),
            driver.values.at("process_resident_memory_bytes"));
  EXPECT_GE(driver.values.at("process_max_fds"), driver.values.at("process_open_fds"));
}

TEST(SelfSamplerTest, CountsDescriptors) {
  SelfSampler sampler;
  SamplerDriver driver(sampler);
  driver.Read();
  const double before = driver.values.at("process_open_fds");
  const UniqueFd a(::dup(0));
  const UniqueFd b(::dup(0));
  driver.Read();
  EXPECT_EQ(driver.values.at("process_open_fds"), before + 2);
}

TEST(SelfSamplerTest, TheStartTimeDoesNotFollowTheWallClock) {
  SelfSampler sampler;
  SamplerDriver driver(sampler);
  driver.Read();
  const double start = driver.values.at("process_start_time_seconds");
  driver.clock.SetWall(WallTime(std::chrono::hours(1)));
  driver.Read();
  EXPECT_EQ(driver.values.at("process_start_time_seconds"), start);
}

TEST(SelfSamplerTest, TheStartTimeIsNotInTheFuture) {
  SelfSampler sampler;
  SeriesRegistry registry;
  Readings readings(registry);
  const TimePoint now = RealClock().Now();
  ASSERT_TRUE(sampler.Read(now, readings).ok());
  const double start = ValuesOf(readings).at("process_start_time_seconds");
  const double wall = ToSeconds(now.wall.time_since_epoch());
  EXPECT_LE(start, wall + 1);
  EXPECT_GT(start, wall - 3600);
}

}  // namespace
}  // namespace idlewatt
