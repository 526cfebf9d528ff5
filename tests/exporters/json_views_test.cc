#include "exporters/json_views.h"

#include <gtest/gtest.h>

#include "analysis/metrics.h"
#include "collector/metrics.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

using namespace metrics;  // NOLINT: the names under test

constexpr Metric kMemory{"idlewatt_host_memory_bytes", MetricKind::kGauge, "bytes", {{"kind"}}, ""};
constexpr Metric kTemperature{"idlewatt_temperature_celsius",
                              MetricKind::kGauge,
                              "celsius",
                              {{"chip", "sensor", "label"}},
                              ""};
constexpr Metric kLimit{"idlewatt_temperature_limit_celsius",
                        MetricKind::kGauge,
                        "celsius",
                        {{"chip", "sensor", "label", "limit"}},
                        ""};

void AddService(SnapshotMaker& maker, const char* name, const char* kind, double cpu_seconds) {
  maker.Add(kServiceCpuSeconds, {name, kind, "user"}, cpu_seconds)
      .Add(kServiceCpuSeconds, {name, kind, "system"}, 0)
      .Add(kServiceMemoryBytes, {name, kind}, 512)
      .Add(kServiceProcesses, {name, kind}, 2);
}

TEST(ServicesJsonTest, GivesNullForWhatIsNotKnown) {
  SnapshotMaker maker;
  AddService(maker, "llama", "supervised", 1);
  maker.Add(kServicePowerWatts, {"llama", "cpu"}, 0);  // at its first sight it has no share
  ServiceStatus status;
  status.name = "llama";
  status.state = ServiceState::kReady;
  status.ready = true;
  status.pid = 42;
  const Json json = ServicesJson(maker.Tick(), {status});
  const Json& row = json["services"][0];
  EXPECT_EQ(row["pid"], 42);
  EXPECT_EQ(row["state"], "ready");
  EXPECT_EQ(row["memory_bytes"], 512.0);
  for (const char* unknown : {"cpu_percent", "memory_percent", "watts", "idle", "idle_seconds",
                              "port", "model", "last_exit", "next_retry_at", "started_at"}) {
    EXPECT_TRUE(row[unknown].is_null()) << unknown << " is " << row[unknown];
  }
}

TEST(ServicesJsonTest, GivesPercentOfOneCpuAndShareOfMemory) {
  SnapshotMaker maker;
  AddService(maker, "ollama", "watched", 1);
  maker.Tick();
  AddService(maker, "ollama", "watched", 3);
  maker.Add(kMemory, {"total"}, 2048)
      .Add(kServicePowerWatts, {"ollama", "cpu"}, 4)
      .Add(kServicePowerWatts, {"ollama", "dram"}, 0.5)
      .Add(kServiceIdle, {"ollama"}, 1)
      .Add(kServiceIdleSeconds, {"ollama"}, 70);
  const Json json = ServicesJson(maker.Tick(std::chrono::seconds(4)), {});
  const Json& row = json["services"][0];
  EXPECT_DOUBLE_EQ(row["cpu_percent"].get<double>(), 50);
  EXPECT_DOUBLE_EQ(row["memory_percent"].get<double>(), 25);
  EXPECT_DOUBLE_EQ(row["watts"].get<double>(), 4.5);
  EXPECT_EQ(row["idle"], true);
  EXPECT_EQ(row["idle_seconds"], 70.0);
  EXPECT_TRUE(row["state"].is_null());
}

TEST(ServicesJsonTest, CountsAndOrdersSupervisedThenWatchedThenDiscovered) {
  SnapshotMaker maker;
  AddService(maker, "a-discovered", "discovered", 1);
  AddService(maker, "z-watched", "watched", 1);
  maker.Add(kServiceProcesses, {"gone", "discovered"}, 0);
  ServiceStatus stopped;
  stopped.name = "stopped";
  ServiceStatus ready;
  ready.name = "ready";
  ready.ready = true;
  ready.pid = 7;
  const Json json = ServicesJson(maker.Tick(), {stopped, ready});
  EXPECT_EQ(json["total"], 4);
  EXPECT_EQ(json["ready"], 1);
  EXPECT_EQ(json["running"], 3);
  std::vector<std::string> names;
  for (const Json& row : json["services"]) names.push_back(row["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"stopped", "ready", "z-watched", "a-discovered"}));
}

TEST(ServicesJsonTest, ASupervisedServiceThatIsNoLongerConfiguredIsNotListed) {
  SnapshotMaker maker;
  AddService(maker, "removed", "supervised", 1);
  const Json json = ServicesJson(maker.Tick(), {});
  EXPECT_EQ(json["services"], Json::array());
  EXPECT_EQ(json["total"], 0);
}

TEST(ServicesJsonTest, TellsHowAServiceEnded) {
  SnapshotMaker maker;
  ServiceStatus status;
  status.name = "llama";
  status.state = ServiceState::kFailed;
  status.failure = "llama was killed";
  const auto exit_of = [&](LastExit::Kind kind, int value) {
    status.last_exit = LastExit{kind, value, WallTime(), "the text", {"out of memory"}};
    return ServicesJson(maker.Tick(), {status})["services"][0]["last_exit"];
  };
  const Json by_signal = exit_of(LastExit::Kind::kSignal, 11);
  EXPECT_EQ(by_signal["signal"], 11);
  EXPECT_TRUE(by_signal["code"].is_null());
  EXPECT_EQ(by_signal["out_of_memory"], false);
  EXPECT_EQ(by_signal["text"], "the text");
  EXPECT_EQ(by_signal["lines"][0], "out of memory");
  const Json by_code = exit_of(LastExit::Kind::kCode, 3);
  EXPECT_EQ(by_code["code"], 3);
  EXPECT_TRUE(by_code["signal"].is_null());
  const Json by_kernel = exit_of(LastExit::Kind::kOutOfMemory, 9);
  EXPECT_EQ(by_kernel["signal"], 9);
  EXPECT_EQ(by_kernel["out_of_memory"], true);
  const Json unknown = exit_of(LastExit::Kind::kUnknown, 0);
  for (const char* field : {"code", "signal", "out_of_memory"}) {
    EXPECT_TRUE(unknown[field].is_null()) << field;
  }
}

TEST(ServicesJsonTest, TellsOfRetriesAndAdoption) {
  SnapshotMaker maker;
  ServiceStatus status;
  status.name = "llama";
  const Json fresh = *ServiceJson(maker.Tick(), {status}, "llama");
  EXPECT_EQ(fresh["restarts"], Json::object());
  for (const char* field : {"next_retry_at", "backoff_seconds", "failure", "note", "last_exit"}) {
    EXPECT_TRUE(fresh.at(field).is_null()) << field;
  }
  status.adopted = true;
  status.restart_attempts = 2;
  status.next_retry_at = WallTime(std::chrono::milliseconds(1500));
  status.backoff_seconds = 4.5;
  status.restarts = {{"crash", 2}, {"swap", 1}};
  status.failure = "it crashed";
  status.note = "loading 40 %";
  status.profiles = {"fast"};
  const Json row = *ServiceJson(maker.Tick(), {status}, "llama");
  EXPECT_EQ(row["adopted"], true);
  EXPECT_EQ(row["restart_attempts"], 2);
  EXPECT_EQ(row["next_retry_at"], "1970-01-01T00:00:01.500Z");
  EXPECT_EQ(row["backoff_seconds"], 4.5);
  EXPECT_EQ(row["restarts"], Json::parse(R"({"crash":2,"swap":1})"));
  EXPECT_EQ(row["failure"], "it crashed");
  EXPECT_EQ(row["note"], "loading 40 %");
  EXPECT_EQ(row["profiles"], Json::array({"fast"}));
  EXPECT_FALSE(ServiceJson(maker.Tick(), {status}, "other"));
}

TEST(ProcessesJsonTest, ListsTheBusiestFirstAndAtMostLimit) {
  SnapshotMaker maker;
  ProcessRow quiet;
  quiet.name = "quiet";
  quiet.cpu_ratio = 0.1;
  ProcessRow busy;
  busy.name = "busy";
  busy.cpu_ratio = 0.9;
  ProcessRow fresh;  // no second reading yet
  fresh.name = "new";
  for (ProcessRow* row : {&quiet, &busy, &fresh}) {
    row->service = std::make_shared<const std::string>("web");
  }
  maker.processes = {quiet, busy, fresh};
  const Json json = ProcessesJson(maker.Tick(), 2);
  EXPECT_EQ(json["total"], 3);
  ASSERT_EQ(json["processes"].size(), 2U);
  EXPECT_EQ(json["processes"][0]["name"], "busy");
  EXPECT_EQ(json["processes"][0]["cpu_percent"], 90.0);
  EXPECT_EQ(json["processes"][1]["name"], "quiet");
}

TEST(PowerJsonTest, TheWholeMachineIsToldOnceAndThePlatformNotAtAll) {
  SnapshotMaker maker;
  maker.Add(kPowerWatts, {"rapl", "package-0"}, 10)
      .Add(kPowerWatts, {"rapl", "core"}, 6)
      .Add(kPowerWatts, {"rapl", "dram"}, 2)
      .Add(kPowerWatts, {"rapl", "psys"}, 20)
      .Add(kPowerWatts, {"battery", "system"}, 25);
  const Json json = PowerJson(maker.Tick());
  EXPECT_DOUBLE_EQ(json["watts"].get<double>(), 25);
  EXPECT_EQ(json["source"], "battery");
  EXPECT_EQ(json["domains"].size(), 5U);
  maker.Add(kPowerWatts, {"rapl", "package-0"}, 10).Add(kPowerWatts, {"rapl", "dram"}, 2);
  const Json plugged_in = PowerJson(maker.Add(kPowerWatts, {"rapl", "psys"}, 20).Tick());
  EXPECT_DOUBLE_EQ(plugged_in["watts"].get<double>(), 12);
  EXPECT_EQ(plugged_in["source"], "rapl");
}

TEST(PowerJsonTest, SaysNullWhereNothingMeasures) {
  SnapshotMaker maker;
  const Json json = PowerJson(maker.Tick());
  EXPECT_TRUE(json["watts"].is_null());
  EXPECT_TRUE(json["source"].is_null());
}

TEST(ThermalJsonTest, PutsLimitsOnTheirSensor) {
  SnapshotMaker maker;
  maker.Add(kTemperature, {"coretemp-isa-0000", "temp2", "Core 0"}, 55)
      .Add(kTemperature, {"coretemp-isa-0000", "temp3", "Core 1"}, 56)
      .Add(kLimit, {"coretemp-isa-0000", "temp2", "Core 0", "max"}, 100);
  const Json json = ThermalJson(maker.Tick());
  EXPECT_EQ(json["temperatures"][0]["limits"]["max"], 100.0);
  EXPECT_TRUE(json["temperatures"][1]["limits"].empty());
}

TEST(AlertJsonTest, AnAlertNamesItsConditionBesideItsName) {
  AlertStatus alert;
  alert.alert = "Leak";
  alert.builtin = "MemoryGrowth";
  const Json json = AlertJson(alert);
  EXPECT_EQ(json["alert"], "Leak");
  EXPECT_EQ(json["builtin"], "MemoryGrowth");
}

TEST(SummaryJsonTest, CountsAlertsByState) {
  SnapshotMaker maker;
  std::vector<AlertStatus> alerts(3);
  alerts[0].state = AlertState::kFiring;
  alerts[1].state = AlertState::kPending;
  alerts[2].state = AlertState::kResolved;
  const Json json = SummaryJson(maker.Tick(), {}, alerts);
  EXPECT_EQ(json["alerts"]["firing"], 1);
  EXPECT_EQ(json["alerts"]["pending"], 1);
  EXPECT_TRUE(json["cpu_percent"].is_null());
}

}  // namespace
}  // namespace idlewatt
