#include "supervisor/restart_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr BootTime kStart{hours(1)};

LastExit Code(int code) { return {LastExit::Kind::kCode, code, {}, {}, {}}; }
LastExit Killed(int signal) { return {LastExit::Kind::kSignal, signal, {}, {}, {}}; }

RestartPolicy Middle() {
  return RestartPolicy([] { return 0.5; });
}

std::string Sentence(const Verdict& verdict) {
  switch (verdict.what) {
    case Verdict::What::kDone:
      return "done";
    case Verdict::What::kFailed:
      return "failed" + (verdict.why.empty() ? "" : ": " + verdict.why);
    case Verdict::What::kRetry:
      return "retry in " + std::to_string(verdict.delay.count()) + "ms";
  }
  return {};
}

std::string FirstEnd(const ServiceSpec& spec, const LastExit& exit) {
  return Sentence(Middle().OnEnd(spec, exit, std::nullopt, kStart));
}

ServiceSpec With(RestartMode mode) {
  ServiceSpec spec;
  spec.restart = mode;
  return spec;
}

TEST(RestartPolicyTest, TwoFourEightSecondsAndThenFailed) {
  RestartPolicy policy = Middle();
  const ServiceSpec spec;
  BootTime now = kStart;
  for (const int delay : {2, 4, 8}) {
    const Verdict verdict = policy.OnEnd(spec, Code(1), std::nullopt, now);
    EXPECT_EQ(verdict.what, Verdict::What::kRetry);
    EXPECT_EQ(verdict.delay, seconds(delay));
    now += verdict.delay + seconds(1);
  }
  EXPECT_EQ(Sentence(policy.OnEnd(spec, Code(1), std::nullopt, now)),
            "failed: crashed 4 times within 5m; it is not started again");
  EXPECT_EQ(policy.attempts(), 3);
}

TEST(RestartPolicyTest, JitterSpreadsTheDelayByItsShare) {
  const auto first_delay = [](double random) {
    RestartPolicy policy([=] { return random; });
    return policy.OnEnd(ServiceSpec(), Code(1), std::nullopt, kStart).delay;
  };
  EXPECT_EQ(first_delay(0), milliseconds(1600));
  EXPECT_EQ(first_delay(1), milliseconds(2400));
}

TEST(RestartPolicyTest, TheCapHoldsBeforeJitterAndForEveryNumberOfAttempts) {
  ServiceSpec spec;
  spec.start_limit.burst = 0;
  for (const int attempts : {5, 6, 100, 100'000, std::numeric_limits<int>::max()}) {
    RestartPolicy policy([] { return 1.0; });
    policy.Restore(attempts, {});
    const Verdict verdict = policy.OnEnd(spec, Code(1), std::nullopt, kStart);
    EXPECT_EQ(verdict.delay, milliseconds(72'000)) << attempts;
    EXPECT_GE(policy.attempts(), attempts);
  }
}

TEST(RestartPolicyTest, NoInitialDelayStaysNone) {
  ServiceSpec spec;
  spec.start_limit.burst = 0;
  spec.backoff.initial = milliseconds(0);
  RestartPolicy policy = Middle();
  policy.Restore(std::numeric_limits<int>::max(), {});
  EXPECT_EQ(Sentence(policy.OnEnd(spec, Code(1), std::nullopt, kStart)), "retry in 0ms");
}

TEST(RestartPolicyTest, EachModeDecidesOverGoodAndBadEnds) {
  EXPECT_EQ(FirstEnd(With(RestartMode::kNo), Code(0)), "done");
  EXPECT_EQ(FirstEnd(With(RestartMode::kNo), Code(1)), "failed");
  EXPECT_EQ(FirstEnd(With(RestartMode::kOnFailure), Code(0)), "done");
  EXPECT_EQ(FirstEnd(With(RestartMode::kOnFailure), Code(1)), "retry in 2000ms");
  for (const RestartMode mode : {RestartMode::kAlways, RestartMode::kUnlessStopped}) {
    EXPECT_EQ(FirstEnd(With(mode), Code(0)), "retry in 2000ms");
    EXPECT_EQ(FirstEnd(With(mode), Code(1)), "retry in 2000ms");
  }
}

TEST(RestartPolicyTest, OnlyExitCodesCanBeGood) {
  ServiceSpec spec = With(RestartMode::kNo);
  spec.success_exit_codes = {3, SIGTERM};
  EXPECT_EQ(FirstEnd(spec, Code(3)), "done");
  EXPECT_EQ(FirstEnd(spec, Code(4)), "failed");
  EXPECT_EQ(FirstEnd(spec, Killed(SIGTERM)), "failed");
  EXPECT_EQ(FirstEnd(spec, {LastExit::Kind::kOutOfMemory, SIGKILL, {}, {}, {}}), "failed");
  EXPECT_EQ(FirstEnd(spec, {LastExit::Kind::kUnknown, 0, {}, {}, {}}), "failed");
}

TEST(RestartPolicyTest, CodesThatPreventARestartAreNeverRetried) {
  ServiceSpec spec = With(RestartMode::kAlways);
  spec.success_exit_codes = {3};
  spec.restart_prevent_exit_codes = {0, 3, 78, SIGTERM};
  EXPECT_EQ(FirstEnd(spec, Code(0)), "done");
  EXPECT_EQ(FirstEnd(spec, Code(3)), "done");
  EXPECT_THAT(FirstEnd(spec, Code(78)),
              HasSubstr("failed: exit code 78 is one of restart_prevent"));
  EXPECT_EQ(FirstEnd(spec, Code(1)), "retry in 2000ms");
  EXPECT_EQ(FirstEnd(spec, Killed(SIGTERM)), "retry in 2000ms");
}

TEST(RestartPolicyTest, GivenUpIsABadEnd) {
  RestartPolicy policy = Middle();
  EXPECT_EQ(Sentence(policy.OnGivenUp(With(RestartMode::kNo), std::nullopt, kStart)), "failed");
  const ServiceSpec spec;
  for (const char* expected : {"retry in 2000ms", "retry in 4000ms", "retry in 8000ms",
                               "failed: failed 4 times within 5m; it is not started again"}) {
    EXPECT_EQ(Sentence(policy.OnGivenUp(spec, std::nullopt, kStart)), expected);
  }
}

TEST(RestartPolicyTest, BeginsAnewAfterResetAfterOfBeingReady) {
  const ServiceSpec spec;
  RestartPolicy policy = Middle();
  policy.Restore(3, {kStart, kStart, kStart});
  const BootTime ready = kStart + minutes(4);
  const Verdict verdict = policy.OnEnd(spec, Code(1), ready, ready + minutes(10));
  EXPECT_EQ(Sentence(verdict), "retry in 2000ms");
  EXPECT_EQ(policy.attempts(), 1);
}

TEST(RestartPolicyTest, FlappingJustBelowResetAfterStillCounts) {
  const ServiceSpec spec;
  RestartPolicy policy = Middle();
  BootTime now = kStart;
  for (const int delay : {2, 4, 8, 16, 32, 60, 60}) {
    const Verdict verdict = policy.OnEnd(spec, Code(1), now, now + minutes(10) - milliseconds(1));
    EXPECT_EQ(verdict.delay, seconds(delay));
    now += minutes(10);
  }
}

TEST(RestartPolicyTest, ALongStartIsNoHealth) {
  const ServiceSpec spec;
  RestartPolicy policy = Middle();
  policy.Restore(1, {});
  EXPECT_EQ(Sentence(policy.OnEnd(spec, Code(1), std::nullopt, kStart + hours(5))),
            "retry in 4000ms");
}

TEST(RestartPolicyTest, AnOperatorBeginsAnew) {
  RestartPolicy policy = Middle();
  policy.Restore(3, {kStart, kStart, kStart});
  policy.Reset();
  EXPECT_EQ(policy.attempts(), 0);
  EXPECT_EQ(Sentence(policy.OnEnd(ServiceSpec(), Code(1), std::nullopt, kStart)),
            "retry in 2000ms");
}

TEST(RestartPolicyTest, WhatAnEarlierDaemonGrantedCounts) {
  RestartPolicy policy = Middle();
  policy.Restore(3, {kStart, kStart, kStart});
  EXPECT_THAT(Sentence(policy.OnEnd(ServiceSpec(), Code(1), std::nullopt, kStart + seconds(299))),
              HasSubstr("failed"));
  policy.Restore(3, {kStart, kStart, kStart});
  EXPECT_EQ(Sentence(policy.OnEnd(ServiceSpec(), Code(1), std::nullopt, kStart + seconds(300))),
            "retry in 16000ms");
}

TEST(RestartPolicyTest, ABurstOfZeroIsNoLimitAndKeepsNoTimes) {
  ServiceSpec spec;
  spec.start_limit.burst = 0;
  RestartPolicy policy = Middle();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(policy.OnEnd(spec, Code(1), std::nullopt, kStart).what, Verdict::What::kRetry);
  }
  EXPECT_TRUE(policy.restart_times().empty());
  EXPECT_EQ(policy.attempts(), 1000);
}

// A thousand random lives of random services, each against what the rules say in other words.
TEST(RestartPolicyTest, RandomHistoriesKeepTheLimits) {
  std::mt19937_64 random(20261121);
  const auto pick = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (int life = 0; life < 1000; ++life) {
    ServiceSpec spec = With(RestartMode::kAlways);
    spec.backoff.initial = milliseconds(pick(1, 5000));
    spec.backoff.max = spec.backoff.initial * pick(1, 100);
    spec.backoff.multiplier = pick(10, 40) / 10.0;
    spec.backoff.jitter = pick(0, 10) / 10.0;
    spec.backoff.reset_after = seconds(pick(1, 600));
    spec.start_limit = {pick(1, 6), seconds(pick(1, 600))};
    RestartPolicy policy([&] { return std::uniform_real_distribution<double>(0, 1)(random); });
    std::vector<BootTime> granted;  // since it last began anew
    BootTime now = kStart;
    double base = 0;
    for (int end = 0; end < 30; ++end) {
      std::optional<BootTime> ready;
      now += milliseconds(pick(0, 30'000));
      if (pick(0, 2) != 0) {
        ready = now;
        now += milliseconds(pick(0, 700'000));
        if (now - *ready >= spec.backoff.reset_after) granted.clear();
      }
      const auto recent = std::count_if(granted.begin(), granted.end(), [&](BootTime time) {
        return now - time < spec.start_limit.interval;
      });
      base = granted.empty() ? static_cast<double>(spec.backoff.initial.count())
                             : std::min(base * spec.backoff.multiplier,
                                        static_cast<double>(spec.backoff.max.count()));
      const Verdict verdict = policy.OnEnd(spec, Code(pick(0, 1)), ready, now);
      if (recent >= spec.start_limit.burst) {
        ASSERT_EQ(verdict.what, Verdict::What::kFailed);
        break;
      }
      ASSERT_EQ(verdict.what, Verdict::What::kRetry);
      const auto delay = static_cast<double>(verdict.delay.count());
      ASSERT_GE(delay, base * (1 - spec.backoff.jitter) - 1);
      ASSERT_LE(delay, base * (1 + spec.backoff.jitter) + 1);
      granted.push_back(now);
      ASSERT_EQ(policy.attempts(), static_cast<int>(granted.size()));
      now += verdict.delay;
    }
  }
}

}  // namespace
}  // namespace idlewatt
