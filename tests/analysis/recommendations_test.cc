#include "analysis/recommendations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace idlewatt {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

// Times in milliseconds after the start of the window.
IdleInterval Idle(int64_t start_ms, int64_t end_ms, std::optional<double> joules,
                  const std::string& reason = "used") {
  return {"llama", start_ms, end_ms, joules, {}, {}, {}, reason};
}

IdleInterval WithCpu(IdleInterval interval, double cpu_seconds) {
  interval.cpu_seconds = cpu_seconds;
  return interval;
}

IdleInterval WithMemory(IdleInterval interval, int64_t peak_bytes) {
  interval.peak_rss_bytes = peak_bytes;
  return interval;
}

// With what of these lies in the week.
ServiceUse Service(const std::vector<IdleInterval>& intervals) {
  IdleTimeSum sum(0, 7 * kDay);
  for (const IdleInterval& one : intervals) sum.Add(one);
  ServiceUse service;
  service.service = "llama";
  service.idle = sum.time();
  return service;
}

// A week, measured by a meter.
IdleFacts Week(ServiceUse service) {
  IdleFacts facts;
  facts.seconds = 7 * 86'400;
  facts.meter = MeterKind::kMeter;
  facts.services = {std::move(service)};
  return facts;
}

std::vector<std::string> Kinds(const std::vector<Recommendation>& all) {
  std::vector<std::string> kinds;
  for (const Recommendation& one : all) kinds.push_back(one.kind + " " + one.service);
  return kinds;
}
using Texts = std::vector<std::string>;

TEST(RecommendTest, UnloadTellsWhatItWouldHaveSavedAndAtWhatPrice) {
  // Each night of the week 12 hours with 36 kJ (10 Wh), 50 J a minute. After 5 minutes 715 of 720
  // minutes are saved: 7 x 35,750 J.
  std::vector<IdleInterval> nights;
  for (int day = 0; day < 7; ++day) {
    nights.push_back(Idle(day * kDay, day * kDay + 12 * kHour, 36'000));
  }
  ServiceUse service = Service(nights);
  service.joules = {252'000, 252'000};
  service.start_seconds = 12.5;
  const std::vector<Recommendation> all = Recommend(Week(service));
  ASSERT_EQ(Kinds(all), (Texts{"unload llama"}));
  const Recommendation& unload = all[0];
  EXPECT_DOUBLE_EQ(*unload.saves_joules, 250'250);
  EXPECT_EQ(unload.seconds, 604'800);
  EXPECT_FALSE(unload.estimated);
  EXPECT_EQ(unload.title, "Unload llama after 5m of idleness");
  EXPECT_EQ(unload.advice,
            "Unloading llama after 5m would have saved 69.5 Wh in 7d, for 7 loads more.");
  EXPECT_EQ(
      unload.evidence,
      (Texts{"It was idle 7 times, 3d 12h in all, the longest 12h, and used 70.0 Wh meanwhile, "
             "50 % of all that it used.",
             "Unloaded after 5m it saves 69.5 Wh and is loaded 7 times; after 10m it saves 69.0 "
             "Wh and is loaded 7 times; after 15m it saves 68.5 Wh and is loaded 7 times; after "
             "30m it saves 67.1 Wh and is loaded 7 times; after 1h it saves 64.2 Wh and is "
             "loaded 7 times; after 2h it saves 58.3 Wh and is loaded 7 times.",
             "A load took 12.5 s on average until it was ready."}));
}

// Of each of the seven days: `count` idle times of `minutes`, each with so many joules a minute.
void AddEachDay(std::vector<IdleInterval>& intervals, int64_t count, int64_t minutes,
                double per_minute) {
  for (int64_t day = 0; day < 7; ++day) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t start = day * kDay + i * kDay / count;
      intervals.push_back(
          Idle(start, start + minutes * kMinute, per_minute * static_cast<double>(minutes)));
    }
  }
}

TEST(RecommendTest, UnloadWaitsLongerWhereItWouldBeLoadedTooOften) {
  // 20 short idle times a day, of 12 minutes, and 2 long ones: after 5 or 10 minutes it is loaded
  // 22 times a day, after 15 minutes twice.
  std::vector<IdleInterval> intervals;
  AddEachDay(intervals, 20, 12, 100);
  for (int64_t day = 0; day < 7; ++day) {
    for (const int64_t hour : {3, 15}) {
      intervals.push_back(Idle(day * kDay + hour * kHour + 30 * kMinute,
                               day * kDay + (hour + 4) * kHour + 30 * kMinute, 24'000));
    }
  }
  const std::vector<Recommendation> all = Recommend(Week(Service(intervals)));
  ASSERT_EQ(Kinds(all), (Texts{"unload llama"}));
  EXPECT_THAT(all[0].title, HasSubstr("after 15m"));
  EXPECT_DOUBLE_EQ(*all[0].saves_joules, 14 * 225 * 100.0);
  EXPECT_THAT(all[0].advice, HasSubstr("for 14 loads more"));
}

TEST(RecommendTest, WhereFewLoadsSaveLittleTheFewestThatSaveHalfAreAdvised) {
  // Six times a day 50 minutes: after an hour it saves nothing, after 30 minutes less than half.
  std::vector<IdleInterval> intervals;
  AddEachDay(intervals, 6, 50, 100);
  const std::vector<Recommendation> all = Recommend(Week(Service(intervals)));
  ASSERT_EQ(Kinds(all), (Texts{"unload llama"}));
  EXPECT_THAT(all[0].title, HasSubstr("after 5m")) << "of the same loads the one that saves most";
  EXPECT_DOUBLE_EQ(*all[0].saves_joules, 42 * 45 * 100.0);
}

TEST(RecommendTest, AServiceThatNobodyUsedAgainIsNotLoadedAgain) {
  const std::vector<Recommendation> all =
      Recommend(Week(Service({Idle(0, 100 * kMinute, 36'000, "stopped")})));
  ASSERT_EQ(Kinds(all), (Texts{"unload llama"}));
  EXPECT_EQ(all[0].advice,
            "Unloading llama after 5m would have saved 9.50 Wh in 7d, for no load more.");
  EXPECT_THAT(all[0].evidence[1], HasSubstr("after 1h it saves 4.00 Wh and is loaded 0 times."))
      << "and of 2h, which saves nothing, nothing";
}

TEST(RecommendTest, ASavingThatIsNotWorthItIsNotTold) {
  // After 5 minutes 55 of 60 minutes are saved.
  const auto kinds = [](double joules, std::optional<double> all_joules) {
    ServiceUse service = Service({Idle(0, kHour, joules)});
    service.joules.idle = all_joules;
    return Kinds(Recommend(Week(service)));
  };
  const double one_watt_hour = 3600.0 * 60 / 55;
  EXPECT_EQ(kinds(one_watt_hour + 1, 1e9), (Texts{"unload llama"})) << "1 Wh a week";
  EXPECT_EQ(kinds(one_watt_hour - 1, 1e9), Texts{});
  EXPECT_EQ(kinds(one_watt_hour - 1, 72'000 + 100), Texts{}) << "just below 5 % of what it used";
  EXPECT_EQ(kinds(one_watt_hour - 1, 71'900), (Texts{"unload llama"})) << "just above";
  EXPECT_EQ(kinds(350, 350), Texts{}) << "all that it used, but that is nothing";
  ServiceUse unmetered = Service({Idle(0, 6 * kDay, {})});
  EXPECT_EQ(Kinds(Recommend(Week(unmetered))), Texts{});
}

// 12 minutes of a small service would be 1 Wh in a week, if they all were like that.
TEST(RecommendTest, AFewMinutesAreNotTakenForAWeek) {
  ServiceUse service = Service({Idle(0, 12 * kMinute, 10)});
  service.joules = {0, 10};
  IdleFacts facts = Week(service);
  facts.seconds = 720;
  EXPECT_EQ(Kinds(Recommend(facts)), Texts{});
  facts.services[0] = Service({Idle(0, 12 * kMinute, 3600)});
  EXPECT_EQ(Kinds(Recommend(facts)), (Texts{"unload llama"})) << "which is 4 Wh a week at least";
}

TEST(RecommendTest, OfDiscoveredServicesOnlyLargeOnesAreToBeUnloaded) {
  const auto kinds = [](const std::string& kind, int64_t bytes) {
    ServiceUse service = Service({WithMemory(Idle(0, 2 * kDay, 36'000), bytes)});
    service.kind = kind;
    return Kinds(Recommend(Week(service)));
  };
  EXPECT_EQ(kinds("discovered", 8'000'000), Texts{}) << "such as a shell";
  EXPECT_EQ(kinds("discovered", int64_t{1} << 30), (Texts{"unload llama"}));
  EXPECT_EQ(kinds("watched", 8'000'000), (Texts{"unload llama"}));
  EXPECT_EQ(kinds("", 8'000'000), (Texts{"unload llama"})) << "of a history without its kind";
}

TEST(RecommendTest, TheKernelAndTheRestOfTheMachineAreNotAdvisedOn) {
  ServiceUse service =
      Service({WithCpu(WithMemory(Idle(0, kDay, 36'000), int64_t{2} << 30), 9000)});
  service.kind = "discovered";
  for (const char* name : {"kernel", "other"}) {
    service.service = name;
    EXPECT_EQ(Kinds(Recommend(Week(service))), Texts{}) << name;
  }
  service.service = "agent";
  EXPECT_EQ(Kinds(Recommend(Week(service))), (Texts{"unload agent", "busy_loop agent"}));
  service.service = "other";
  service.kind = "supervised";
  EXPECT_EQ(Kinds(Recommend(Week(service))), (Texts{"unload other", "busy_loop other"}));
}

TEST(RecommendTest, ABusyLoopIsToldWithCpuAndWatts) {
  // 360 s of CPU in an hour of idleness are 10 %; 3600 J over 2 h counted idle are 0.5 W.
  ServiceUse service = Service({WithCpu(Idle(0, kHour, {}), 360)});
  service.components["cpu"].idle = 3600;
  service.idle_seconds = 7200;
  const std::vector<Recommendation> all = Recommend(Week(service));
  ASSERT_EQ(Kinds(all), (Texts{"busy_loop llama"}));
  EXPECT_EQ(all[0].saves_joules, 3600);
  EXPECT_EQ(all[0].evidence, (Texts{"It used 10.0 % of a CPU over 1h of idleness.",
                                    "That CPU time took 1.00 Wh, 0.500 W while it was idle."}));
  EXPECT_THAT(all[0].advice, HasSubstr("polling"));
}

TEST(RecommendTest, OfASharedFloorABusyLoopClaimsNothing) {
  ServiceUse service = Service({WithCpu(Idle(0, kHour, 36'000), 360)});
  service.components["cpu"].idle = 3600;
  service.idle_seconds = 7200;
  IdleFacts facts = Week(service);
  facts.floor_shared = true;
  const std::vector<Recommendation> all = Recommend(facts);
  ASSERT_EQ(Kinds(all), (Texts{"unload llama", "busy_loop llama"}));
  EXPECT_FALSE(all[1].saves_joules.has_value());
  EXPECT_EQ(all[1].evidence,
            (Texts{"It used 10.0 % of a CPU over 1h of idleness.",
                   "The CPU took 1.00 Wh, 0.500 W while it was idle.",
                   "That holds a share of the machine's floor, which CPU time does not explain, so "
                   "what can be saved of it is not known."}));
  EXPECT_THAT(all[0].evidence, Contains(HasSubstr("floor, which goes on without the service")));
}

TEST(RecommendTest, ABusyLoopNeedsMoreThanFivePercentOverTenMinutes) {
  const auto kinds = [](int64_t length_ms, double cpu_seconds) {
    return Kinds(Recommend(Week(Service({WithCpu(Idle(0, length_ms, {}), cpu_seconds)}))));
  };
  EXPECT_EQ(kinds(10 * kMinute, 30.1), (Texts{"busy_loop llama"}));
  EXPECT_EQ(kinds(10 * kMinute, 30), Texts{});
  EXPECT_EQ(kinds(10 * kMinute - 1000, 599), Texts{});
  ServiceUse unknown = Service({Idle(0, kHour, {})});
  EXPECT_EQ(Kinds(Recommend(Week(unknown))), Texts{});
}

TEST(RecommendTest, OnlyTheTimeWhoseCpuIsKnownCountsForABusyLoop) {
  const std::vector<Recommendation> all = Recommend(
      Week(Service({Idle(0, 6 * kDay, {}), WithCpu(Idle(6 * kDay, 6 * kDay + kHour, {}), 360)})));
  ASSERT_EQ(Kinds(all), (Texts{"busy_loop llama"}));
  EXPECT_THAT(all[0].evidence[0], HasSubstr("10.0 % of a CPU over 1h"));
  EXPECT_FALSE(all[0].saves_joules.has_value()) << "nothing measures";
}

TEST(RecommendTest, TheSameJouleIsNotSavedTwice) {
  ServiceUse service = Service({WithCpu(Idle(0, 10 * kHour, 60'000), 7200)});
  service.components["cpu"].idle = 60'000;
  std::vector<Recommendation> all = Recommend(Week(service));
  ASSERT_EQ(Kinds(all), (Texts{"busy_loop llama", "unload llama"}));
  EXPECT_EQ(all[0].saves_joules, 60'000);
  EXPECT_FALSE(all[1].saves_joules.has_value());
  EXPECT_EQ(
      all[1].evidence.back(),
      "The 16.5 Wh of this are part of the 16.7 Wh of \"llama is busy while nobody uses it\".");
  service.components["cpu"].idle = 5000;  // most of it is the GPU's
  all = Recommend(Week(service));
  ASSERT_EQ(Kinds(all), (Texts{"unload llama", "busy_loop llama"}));
  EXPECT_FALSE(all[1].saves_joules.has_value());
}

TEST(RecommendTest, ALargeServiceThatIsHardlyUsedIsToldByItsMemory) {
  const auto make = [](int64_t bytes, double idle_seconds) {
    ServiceUse service = Service({WithMemory(Idle(0, kHour, {}), bytes)});
    service.idle_seconds = idle_seconds;
    return Recommend(Week(service));
  };
  const std::vector<Recommendation> all = make(int64_t{3} << 29, 0.9 * 604'800);
  ASSERT_EQ(Kinds(all), (Texts{"idle_model llama"}));
  EXPECT_EQ(all[0].title, "llama holds 1.5 GiB and is hardly used");
  EXPECT_EQ(
      all[0].evidence,
      (Texts{"It was idle for 6d 7h of 7d, 90 % of the time, with up to 1.5 GiB of memory."}));
  EXPECT_FALSE(all[0].saves_joules.has_value());
  EXPECT_EQ(Kinds(make((int64_t{1} << 30) - 1, 0.9 * 604'800)), Texts{});
  EXPECT_EQ(Kinds(make(int64_t{1} << 30, 0.8 * 604'800)), Texts{});
  EXPECT_EQ(Kinds(make(int64_t{1} << 30, 0.8 * 604'800 + 1)), (Texts{"idle_model llama"}));
}

TEST(RecommendTest, OfUnloadAndItsMemoryOneIsTold) {
  const ServiceUse service = Service({WithMemory(Idle(0, 6 * kDay, 1e6), int64_t{8} << 30)});
  EXPECT_EQ(Kinds(Recommend(Week(service))), (Texts{"unload llama"}));
}

TEST(RecommendTest, AlertsBecomeOneAdviceForEachRuleAndService) {
  IdleFacts facts = Week({});
  facts.services.clear();
  facts.alerts = {{"MemoryGrowth", "Leak", "llama", "llama grows by 1 MiB/h", "restart it", 1},
                  {"IdleServiceCpu", "MemoryGrowth", "a", "busy", "look", 1},
                  {"", "MemoryGrowth", "b", "a metric of the same name", "look", 1},
                  {"IdleBaseline", "IdleBaseline", "", "8 W", "look for what is new", 1},
                  {"MemoryGrowth", "MemoryGrowth", "chat", "chat grows", "restart it", 1},
                  {"SensorLost", "SensorLost", "", "rapl is gone", "look at the log", 1},
                  {"MemoryGrowth", "MemoryGrowth", "llama", "llama grows by 2 MiB/h",
                   "restart it at night", 2}};
  const std::vector<Recommendation> all = Recommend(facts);
  ASSERT_EQ(Kinds(all), (Texts{"leak chat", "leak llama", "sensor_lost ", "baseline "}));
  EXPECT_EQ(all[1].title, "llama: the memory grows without end");
  EXPECT_EQ(all[1].advice, "restart it at night");
  EXPECT_EQ(all[1].evidence, (Texts{"llama grows by 2 MiB/h", "The alert Leak fired 1 time in 7d.",
                                    "The alert MemoryGrowth fired 2 times in 7d."}));
  EXPECT_EQ(all[2].title, "a sensor gives no values any more");
  EXPECT_EQ(all[3].evidence.back(), "The alert IdleBaseline fired 1 time in 7d.");
}

TEST(RecommendTest, WhatTheModelSaysIsCalledEstimated) {
  ServiceUse service = Service({WithCpu(Idle(0, 6 * kDay, 1e6), 86'400)});
  service.components["cpu"].idle = 5e5;
  service.idle_seconds = 6 * 86'400;
  IdleFacts facts = Week(service);
  facts.alerts = {{"IdleBaseline", "IdleBaseline", "", "s", "a", 1},
                  {"MemoryGrowth", "MemoryGrowth", "llama", "s", "a", 1}};
  for (const auto& [meter, note] :
       {std::pair(MeterKind::kModel, "(estimated by the model)"),
        std::pair(MeterKind::kMixed, "(partly estimated by the model)")}) {
    facts.meter = meter;
    const std::vector<Recommendation> all = Recommend(facts);
    ASSERT_EQ(Kinds(all), (Texts{"unload llama", "busy_loop llama", "leak llama", "baseline "}));
    EXPECT_THAT(all[0].advice, HasSubstr(note));
    EXPECT_THAT(all[0].evidence[0], HasSubstr(note));
    EXPECT_THAT(all[1].evidence[1], HasSubstr(note));
    EXPECT_TRUE(all[0].estimated && all[1].estimated && all[3].estimated);
    EXPECT_FALSE(all[2].estimated) << "memory is measured";
  }
  facts.meter = MeterKind::kMeter;
  for (const Recommendation& one : Recommend(facts)) {
    EXPECT_FALSE(one.estimated);
    EXPECT_THAT(one.advice + one.title, Not(HasSubstr("estimated")));
    EXPECT_THAT(one.evidence, Not(Contains(HasSubstr("estimated"))));
  }
}

TEST(RecommendTest, TheMostJoulesComeFirstAndThoseWithoutLast) {
  IdleFacts facts = Week({});
  facts.services.clear();
  for (const auto& [name, joules] : {std::pair("small", 1e5), std::pair("large", 3e5)}) {
    ServiceUse service = Service({Idle(0, kDay, joules)});
    service.service = name;
    facts.services.push_back(service);
  }
  ServiceUse model = Service({WithMemory(Idle(0, 7 * kDay, {}), int64_t{2} << 30)});
  model.service = "model";
  facts.services.insert(facts.services.begin(), model);
  EXPECT_EQ(Kinds(Recommend(facts)), (Texts{"unload large", "unload small", "idle_model model"}));
}

TEST(RecommendTest, OfNothingNothingIsAdvised) {
  EXPECT_TRUE(Recommend({}).empty());
  EXPECT_TRUE(Recommend(Week(Service({}))).empty());
}

}  // namespace
}  // namespace idlewatt
