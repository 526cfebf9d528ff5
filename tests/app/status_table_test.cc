#include "app/status_table.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "app/tables.h"
#include "base/text.h"
#include "exporters/json_views.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();
constexpr const char* kNoAlerts = R"({"alerts":[]})";

WallTime Second(int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

ServiceStatus Ready() {
  ServiceStatus status;
  status.name = "llama";
  status.state = ServiceState::kReady;
  status.ready = true;
  status.adopted = true;
  status.pid = 4711;
  status.port = 8001;
  status.model = "/models/qwen.gguf";
  status.uptime_seconds = 3725.6;
  status.restarts = {{"crash", 2}, {"swap", 1}};
  return status;
}

ServiceStatus InBackoff() {
  ServiceStatus status;
  status.name = "whisper";
  status.state = ServiceState::kBackoff;
  status.next_retry_at = Second(1004);
  status.failure = "exited with code 3 while it started";
  status.note = "waits for \x1b[31mdb\n";
  status.last_exit = LastExit{LastExit::Kind::kCode, 3, Second(900), "exited with code 3", {}};
  return status;
}

std::string Table(const std::vector<ServiceStatus>& services, size_t columns = kUnlimited,
                  const std::string& alerts = kNoAlerts) {
  SnapshotMaker maker;
  const std::string body = ServicesJson(maker.Tick(), services).dump();
  const auto table = StatusTable(body, alerts, Second(1000), columns);
  EXPECT_TRUE(table) << table.error().ToString();
  return table.value_or("");
}

TEST(StatusTableTest, TellsAllThatIsKnownOfAService) {
  EXPECT_EQ(
      Table({Ready(), InBackoff()}),
      "2 services, 1 ready, 1 running\n"
      "NAME     MODEL      PORT   PID  STATE            READY  UPTIME  RESTARTS  NEXT TRY  "
      "LAST EXIT\n"
      "llama    qwen.gguf  8001  4711  ready (adopted)  yes     1h 2m         3         -  -\n"
      "whisper  -             -     -  backoff          no          -         0     in 4s  "
      "exited with code 3, 1m 40s ago\n"
      "    exited with code 3 while it started\n"
      "    waits for [31mdb\n");
}

TEST(StatusTableTest, MeasuredServicesHaveTheirKind) {
  const std::string body = R"({"total":2,"ready":0,"running":1,"services":[
    {"name":"ollama","kind":"watched","state":null,"adopted":null,"pid":null,"port":null,
     "model":null,"ready":null,"uptime_seconds":null,"restarts":null,"next_retry_at":null,
     "last_exit":null,"failure":null,"note":null,"cpu_percent":12.34,"memory_bytes":1572864,
     "memory_percent":0.5,"watts":null,"processes":1,"idle":true,"idle_seconds":65.2},
    {"name":"gone","kind":"watched","state":null,"adopted":null,"pid":null,"port":null,
     "model":null,"ready":null,"uptime_seconds":null,"restarts":null,"next_retry_at":null,
     "last_exit":null,"failure":null,"note":null,"cpu_percent":null,"memory_bytes":null,
     "memory_percent":null,"watts":null,"processes":0,"idle":null,"idle_seconds":null}]})";
  EXPECT_EQ(*StatusTable(body, kNoAlerts, Second(0), kUnlimited),
            "2 services, 0 ready, 1 running\n"
            "NAME    STATE        CPU %  MEMORY MiB  MEM %  UNUSED\n"
            "ollama  watched       12.3         1.5    0.5   1m 5s\n"
            "gone    not running      -           -      -       -\n");
}

TEST(StatusTableTest, FitsATerminal) {
  ServiceStatus wide = Ready();
  wide.name = "a-service-with-a-rather-long-name-for-a-table";
  wide.model = "/models/a-model-with-a-name-that-is-far-too-long-for-any-terminal-q4_k_m.gguf";
  wide.failure = std::string(30, 'w') + " " + std::string(30, 'w') + " " + std::string(30, 'w');
  const std::string table =
      Table({wide, InBackoff()}, 100,
            R"({"alerts":[{"alert":"IdleServiceCpu","severity":"warning","state":"firing",
                "summary":"llama uses 40 % of a CPU and nobody asked it anything for ten minutes, and that is a long time"}]})");
  for (const std::string_view line : Split(table, '\n')) EXPECT_LE(WidthOf(line), 100U) << line;
  EXPECT_NE(table.find("a-serv"), std::string::npos);
  EXPECT_NE(table.find("4711"), std::string::npos) << "numbers are never cut";
}

TEST(StatusTableTest, WithoutServicesThereIsTheHead) {
  EXPECT_EQ(Table({}), "0 services, 0 ready, 0 running\nNAME\n");
}

TEST(StatusTableTest, AnAnswerOfAnotherProgramIsAnErrorNotACrash) {
  for (const char* body :
       {"", "[]", "{}", "<html>", R"({"services":5})", R"({"services":[{"idle":[]}]})",
        R"({"services":[7]})", R"({"total":1,"ready":1,"running":1,"services":[{"name":"a"}]})"}) {
    const auto table = StatusTable(body, kNoAlerts, Second(0), kUnlimited);
    ASSERT_FALSE(table) << body;
    EXPECT_EQ(table.error().code, ErrorCode::kParse) << body;
  }
}

}  // namespace
}  // namespace idlewatt
