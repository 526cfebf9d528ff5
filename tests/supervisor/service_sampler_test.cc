#include "supervisor/service_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

// A supervisor whose services the test sets.
class FakeControl final : public ServiceControl {
 public:
  Result<void> Start(std::string_view /*name*/) override { return {}; }
  Result<void> Stop(std::string_view /*name*/) override { return {}; }
  Result<void> Restart(std::string_view /*name*/) override { return {}; }
  Result<void> Swap(std::string_view /*name*/, const SwapRequest& /*request*/) override {
    return {};
  }
  std::vector<ProfileStatus> Profiles() const override { return {}; }
  Result<void> ActivateProfile(std::string_view /*name*/) override { return {}; }
  std::vector<ServiceStatus> Status() const override { return services; }
  std::shared_ptr<const LogTail> Log(std::string_view /*name*/) const override { return nullptr; }
  StateNews WaitForChanges(uint64_t /*after*/,
                           std::chrono::nanoseconds /*timeout*/) const override {
    return {};
  }

  std::vector<ServiceStatus> services;
};

class ServiceSamplerTest : public ::testing::Test {
 protected:
  ServiceStatus& Add(const std::string& name) {
    control.services.emplace_back().name = name;
    return control.services.back();
  }
  // The value of "idlewatt_service_" + `series`.
  double Value(const std::string& series) const {
    const auto value = driver.values.find("idlewatt_service_" + series);
    if (value != driver.values.end()) return value->second;
    ADD_FAILURE() << "no " << series;
    return -1;
  }

  FakeTree tree;
  const MachineRoots roots{tree.Root(), tree.Root()};
  FakeControl control;
  ServiceSampler sampler{&control, roots};
  SamplerDriver driver{sampler};
};

TEST_F(ServiceSamplerTest, StateIsOneHot) {
  Add("a").state = ServiceState::kBackoff;
  driver.Read();
  double sum = 0;
  for (size_t i = 0; i < kServiceStateCount; ++i) {
    const std::string state(ServiceStateName(static_cast<ServiceState>(i)));
    sum += Value("state{service=\"a\",state=\"" + state + "\"}");
  }
  EXPECT_EQ(sum, 1);
  EXPECT_EQ(Value("state{service=\"a\",state=\"backoff\"}"), 1);
}

TEST_F(ServiceSamplerTest, RestartsAreCountedByReason) {
  Add("a").restarts = {{"crash", 3}, {"liveness", 1}};
  driver.Read();
  EXPECT_EQ(Value("restarts_total{service=\"a\",reason=\"crash\"}"), 3);
  EXPECT_EQ(Value("restarts_total{service=\"a\",reason=\"liveness\"}"), 1);
}

// Else increase() would miss the first one.
TEST_F(ServiceSamplerTest, FailuresAreCountedFromZero) {
  Add("a").restarts = {{"crash", 3}};
  driver.Read();
  EXPECT_EQ(Value("restarts_total{service=\"a\",reason=\"crash\"}"), 3);
  EXPECT_EQ(Value("restarts_total{service=\"a\",reason=\"spawn\"}"), 0);
  EXPECT_EQ(Value("restarts_total{service=\"a\",reason=\"not_ready\"}"), 0);
  EXPECT_EQ(Value("restarts_total{service=\"a\",reason=\"unhealthy\"}"), 0);
}

TEST_F(ServiceSamplerTest, BackoffIsItsDelayAndElseZero) {
  Add("a").backoff_seconds = 4.5;
  Add("b");
  driver.Read();
  EXPECT_EQ(Value("backoff_seconds{service=\"a\"}"), 4.5);
  EXPECT_EQ(Value("backoff_seconds{service=\"b\"}"), 0);
}

TEST_F(ServiceSamplerTest, ExitCodeIsThatOfAShellAndAbsentWhenUnknown) {
  using Kind = LastExit::Kind;
  Add("code").last_exit =
      LastExit{.kind = Kind::kCode, .value = 3, .at = {}, .text = {}, .lines = {}};
  Add("signal").last_exit =
      LastExit{.kind = Kind::kSignal, .value = 11, .at = {}, .text = {}, .lines = {}};
  Add("memory").last_exit =
      LastExit{.kind = Kind::kOutOfMemory, .value = 9, .at = {}, .text = {}, .lines = {}};
  Add("unknown").last_exit = LastExit();
  Add("none");
  driver.Read();
  EXPECT_EQ(Value("last_exit_code{service=\"code\"}"), 3);
  EXPECT_EQ(Value("last_exit_code{service=\"signal\"}"), 139);
  EXPECT_EQ(Value("last_exit_code{service=\"memory\"}"), 137);
  for (const char* name : {"unknown", "none"}) {
    EXPECT_THAT(driver.values, Not(Contains(Key("idlewatt_service_last_exit_code{service=\"" +
                                                std::string(name) + "\"}"))));
  }
}

TEST_F(ServiceSamplerTest, StartsAreAHistogram) {
  ServiceStatus& a = Add("a");
  for (const double seconds : {0.05, 0.1, 0.11, 7.0, 301.0}) a.start_durations.Add(seconds);
  driver.Read();
  const auto bucket = [&](const std::string& le) {
    return Value("start_seconds_bucket{service=\"a\",le=\"" + le + "\"}");
  };
  EXPECT_EQ(bucket("0.1"), 2) << "a bound belongs to what is below it";
  EXPECT_EQ(bucket("0.25"), 3);
  EXPECT_EQ(bucket("5"), 3);
  EXPECT_EQ(bucket("10"), 4);
  EXPECT_EQ(bucket("300"), 4);
  EXPECT_EQ(bucket("+Inf"), 5);
  EXPECT_EQ(Value("start_seconds_count{service=\"a\"}"), 5);
  EXPECT_DOUBLE_EQ(Value("start_seconds_sum{service=\"a\"}"), 308.26);
}

TEST_F(ServiceSamplerTest, CgroupsAreASourceWithTheReasonWhereThereAreNone) {
  driver.Read();
  EXPECT_THAT(driver.sources, Contains(Pair("service cgroups", "!no_data")));
  tree.Write("fs/cgroup/cgroup.controllers", "");
  tree.Write("self/cgroup", "0::/\n");
  driver.Read();
  EXPECT_THAT(driver.sources,
              Contains(Pair("service cgroups", "exact membership of services' processes")));
}

TEST_F(ServiceSamplerTest, WithoutASupervisorThereAreSourcesOnly) {
  ServiceSampler alone(nullptr, roots);
  SamplerDriver its(alone);
  its.Read();
  EXPECT_TRUE(its.result);
  EXPECT_TRUE(its.values.empty());
  EXPECT_EQ(its.sources.size(), 1U);
}

}  // namespace
}  // namespace idlewatt
