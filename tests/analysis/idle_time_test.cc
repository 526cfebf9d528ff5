#include "analysis/idle_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace idlewatt {
namespace {

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

// Times in milliseconds after the start of the window.
IdleInterval Idle(int64_t start_ms, int64_t end_ms, std::optional<double> joules,
                  const std::string& reason = "used") {
  return {"llama", start_ms, end_ms, joules, {}, {}, {}, reason};
}

IdleTime Sum(const std::vector<IdleInterval>& intervals, int64_t until_ms = kDay) {
  IdleTimeSum sum(0, until_ms);
  for (const IdleInterval& one : intervals) sum.Add(one);
  return sum.time();
}

UnloadOutcome After(int minutes, const IdleTime& time) {
  const auto found = std::find_if(time.unloads.begin(), time.unloads.end(),
                                  [=](const UnloadOutcome& one) { return one.minutes == minutes; });
  if (found != time.unloads.end()) return *found;
  ADD_FAILURE() << "unloading after " << minutes << " minutes is not tried";
  return {};
}

TEST(IdleTimeTest, OfAnIntervalCountsThePartWithinTheWindow) {
  // 60 of 100 minutes lie within, then 10 of 10, then 30 of 40.
  const IdleTime time = Sum({{"a", -40 * kMinute, 60 * kMinute, 1000, {}, 50.0, 7, "used"},
                             {"a", 70 * kMinute, 80 * kMinute, {}, {}, {}, 9, "gap"},
                             {"a", 90 * kMinute, 130 * kMinute, 400, {}, 8.0, {}, "used"}},
                            2 * kHour);
  EXPECT_EQ(time.intervals, 3);
  EXPECT_EQ(time.seconds, 100 * 60);
  EXPECT_EQ(time.longest_seconds, 60 * 60);
  EXPECT_EQ(time.joules, 600 + 300);
  EXPECT_EQ(time.cpu_seconds, 30 + 6);
  EXPECT_EQ(time.cpu_known_seconds, 90 * 60);
  EXPECT_EQ(time.peak_bytes, 9);
}

TEST(IdleTimeTest, WhatIsNotKnownStaysSoAndAnIntervalOfNoLengthIsNone) {
  const IdleTime unknown = Sum({Idle(0, kHour, {})});
  EXPECT_FALSE(unknown.joules || unknown.cpu_seconds || unknown.peak_bytes);
  const IdleTime none = Sum({{"a", kHour, kHour, 1, {}, 1.0, 1, "used"}});
  EXPECT_EQ(none.intervals, 0);
  EXPECT_FALSE(none.longest_seconds || none.joules || none.cpu_seconds || none.peak_bytes);
}

TEST(UnloadTest, SavesWhatComesAfterTheFirstMinutesOfEachInterval) {
  // 600 J over 60 minutes: 10 J a minute; 100 J over 20 minutes: 5 J a minute.
  const IdleTime time = Sum({Idle(0, kHour, 600), Idle(2 * kHour, 2 * kHour + 20 * kMinute, 100)});
  EXPECT_DOUBLE_EQ(After(5, time).joules, 550 + 75);
  EXPECT_EQ(After(5, time).loads, 2);
  EXPECT_DOUBLE_EQ(After(30, time).joules, 300) << "the second is too short";
  EXPECT_EQ(After(30, time).loads, 1);
  EXPECT_EQ(After(60, time).joules, 0);
  EXPECT_EQ(After(60, time).loads, 0) << "it was used just then";
}

TEST(UnloadTest, OnlyAnIntervalThatEndedByUseIsLoadedAgain) {
  for (const char* reason : {"stopped", "gap", "suspend", "shutdown", "lost", "open"}) {
    const UnloadOutcome outcome = After(30, Sum({Idle(0, kHour, 60, reason)}));
    EXPECT_DOUBLE_EQ(outcome.joules, 30) << reason;
    EXPECT_EQ(outcome.loads, 0) << reason;
  }
}

TEST(UnloadTest, WhatWasUnloadedBeforeACutIsLoadedByTheUseAfterIt) {
  // Three hours with 1 J a minute, then four minutes until it is used, then four more.
  const auto outcome = [](const std::string& reason) {
    return After(5,
                 Sum({Idle(0, 3 * kHour, 180, reason), Idle(9 * kHour, 9 * kHour + 4 * kMinute, 40),
                      Idle(10 * kHour, 10 * kHour + 4 * kMinute, 40)}));
  };
  for (const char* cut : {"gap", "suspend", "shutdown", "lost"}) {
    EXPECT_EQ(outcome(cut).loads, 1) << cut;
    EXPECT_DOUBLE_EQ(outcome(cut).joules, 175 + 40) << cut << ": unloaded all the time";
  }
  EXPECT_EQ(outcome("stopped").loads, 0) << "who starts it loads it";
  EXPECT_DOUBLE_EQ(outcome("stopped").joules, 175);
  EXPECT_EQ(outcome("used").loads, 1);
  EXPECT_DOUBLE_EQ(outcome("used").joules, 175);
}

TEST(UnloadTest, ACutUnloadsNothingByItself) {
  const IdleTime time =
      Sum({Idle(0, 7 * kMinute, 70, "suspend"), Idle(kHour, kHour + 2 * kMinute, 20, "gap"),
           Idle(2 * kHour, 2 * kHour + 4 * kMinute, 40)});
  EXPECT_DOUBLE_EQ(After(5, time).joules, 20 + 20 + 40);
  EXPECT_EQ(After(5, time).loads, 1) << "through two cuts";
  EXPECT_EQ(After(10, time).joules, 0);
  EXPECT_EQ(After(10, time).loads, 0);
}

TEST(UnloadTest, OfAnIntervalThatTheWindowCutsTheWholeDecides) {
  // 1200 J from 10 hours before the window to 10 hours after its begin: 1 J a minute.
  const std::vector<IdleInterval> intervals{Idle(-10 * kHour, 10 * kHour, 1200)};
  EXPECT_DOUBLE_EQ(After(30, Sum(intervals)).joules, 600) << "unloaded long before";
  EXPECT_EQ(After(30, Sum(intervals)).loads, 1);
  EXPECT_DOUBLE_EQ(After(30, Sum(intervals, 5 * kHour)).joules, 300);
  EXPECT_EQ(After(30, Sum(intervals, 5 * kHour)).loads, 0) << "it was used later";
  const std::vector<IdleInterval> late{Idle(-kHour, 10 * kHour, 660)};
  EXPECT_DOUBLE_EQ(After(120, Sum(late)).joules, 540) << "an hour of it is still waited";
}

}  // namespace
}  // namespace idlewatt
