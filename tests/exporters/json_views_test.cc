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

TEST(ServicesJsonTest, TellsHowAServiceEnded) {
  SnapshotMaker maker;
  ServiceStatus status;
  status.name = "llama";
  status.state = ServiceState::kFailed;
  status.failure = "llama was killed";
  LastExit exit;
  exit.kind = LastExit::Kind::kSignal;
  exit.value = 9;
  exit.text = "killed by SIGKILL";
  status.last_exit = exit;
  status.last_output = {"out of memory"};
  const Json json = ServicesJson(maker.Tick(), {status});
  const Json& row = json["services"][0];
  EXPECT_EQ(row["last_exit"]["signal"], 9);
  EXPECT_TRUE(row["last_exit"]["code"].is_null());
  EXPECT_EQ(row["last_exit"]["last_output"][0], "out of memory");
  EXPECT_EQ(row["failure"], "llama was killed");
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

TEST(PowerJsonTest, AddsPackagesAndMemoryButNotTheWholePlatformAgain) {
  SnapshotMaker maker;
  maker.Add(kPowerWatts, {"rapl", "package-0"}, 10)
      .Add(kPowerWatts, {"rapl", "core"}, 6)
      .Add(kPowerWatts, {"rapl", "dram"}, 2)
      .Add(kPowerWatts, {"rapl", "psys"}, 20)
      .Add(kPowerWatts, {"battery", "system"}, 25);
  const Json json = PowerJson(maker.Tick());
  EXPECT_DOUBLE_EQ(json["watts"].get<double>(), 12);
  EXPECT_EQ(json["source"], "rapl");
  EXPECT_EQ(json["domains"].size(), 5U);
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
