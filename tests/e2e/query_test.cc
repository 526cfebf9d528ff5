// The query commands, beside a running daemon and on a file alone.
#include <gtest/gtest.h>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

constexpr const char* kConfig =
    "[collector]\ninterval = \"200ms\"\n[storage]\nflush_interval = \"1s\"\n";
constexpr const char* kCount =
    "SELECT count(*) AS n FROM samples WHERE metric = 'idlewatt_host_cpu_seconds_total'";

class QueryTest : public testing::Test {
 protected:
  Outcome Sql(const std::string& sql, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {BinaryPath("idlewatt"), "query", "sql", sql};
    command.insert(command.end(), more.begin(), more.end());
    return RunToEnd(command);
  }
  std::vector<std::string> OnFile(const std::string& format) const {
    return {"--db", folder_.PathOf("data/history.db"), "--format", format};
  }
  // Number of samples that SQL counts in the file; -1 when it can't.
  int64_t Count() const {
    const Outcome outcome = Sql(kCount, OnFile("json"));
    const auto json = nlohmann::json::parse(outcome.output, nullptr, false);
    return json.is_array() && json.size() == 1 ? json[0].value("n", int64_t{-1}) : -1;
  }

  FakeTree folder_;
};

TEST_F(QueryTest, SqlReadsBesideARunningDaemonAndAfterIt) {
  {
    RunningDaemon daemon(folder_, kConfig);
    ASSERT_TRUE(Eventually([&] { return Count() > 0; })) << Sql(kCount, OnFile("json")).output;
    const int64_t before = Count();
    ASSERT_TRUE(Eventually([&] { return Count() > before; })) << "it goes on recording";
  }
  const int64_t all = Count();
  EXPECT_EQ(Sql(kCount, OnFile("csv")).output, "n\n" + std::to_string(all) + "\n");
}

TEST_F(QueryTest, WithoutAFileItIsTheHistoryOfTheRunningDaemon) {
  RunningDaemon daemon(folder_, kConfig);
  ASSERT_TRUE(daemon.WaitReady());
  const Outcome stats = RunToEnd({"/usr/bin/env", "IDLEWATT_HTTP=" + daemon.address(),
                                  BinaryPath("idlewatt"), "db", "stats", "--json"});
  EXPECT_EQ(stats.status->code, 0) << stats.output;
  EXPECT_NE(stats.output.find(folder_.PathOf("data/history.db")), std::string::npos)
      << stats.output;
}

TEST_F(QueryTest, SqlRefusesWritesAndSaysWhatIsWrong) {
  { RunningDaemon daemon(folder_, kConfig); }
  const Outcome write = Sql("DELETE FROM series", OnFile("table"));
  EXPECT_EQ(write.status->code, 1);
  EXPECT_EQ(write.output,
            "idlewatt: SQL: the history is only read here: SELECT, VALUES, WITH, EXPLAIN and "
            "PRAGMAs that ask are allowed, nothing that writes, attaches or sets\n");
  EXPECT_EQ(Sql("SELECT valu FROM samples", OnFile("json")).output,
            "idlewatt: SQL: no such column: valu at position 8\n");
  EXPECT_EQ(Sql("SELECT 1", {"--db", folder_.PathOf("none.db")}).status->code, 1);
  EXPECT_EQ(Sql("SELECT 1", {"--format", "xml"}).status->code, 2);
}

TEST_F(QueryTest, SqlEndsAtOnceWhenItIsInterrupted) {
  { RunningDaemon daemon(folder_, kConfig); }
  ChildProcess endless({BinaryPath("idlewatt"), "query", "sql",
                        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n)"
                        " SELECT i FROM n",
                        "--db", folder_.PathOf("data/history.db"), "--format", "csv"});
  ASSERT_TRUE(endless.WaitForLine("100000"));
  endless.Signal(SIGINT);
  const auto end = endless.Wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->signal, SIGINT);
}

TEST_F(QueryTest, SeriesComeFromADaemonAndFromAFile) {
  {
    RunningDaemon daemon(folder_, kConfig);
    const auto from_daemon = [&](const std::string& selector) {
      const Outcome outcome = RunToEnd({BinaryPath("idlewatt"), "query", "series", selector,
                                        "--http", daemon.address(), "--format", "json"});
      const auto json = nlohmann::json::parse(outcome.output, nullptr, false);
      return json.is_object() ? json.value("series", nlohmann::json()) : nlohmann::json();
    };
    ASSERT_TRUE(Eventually([&] {
      const auto series = from_daemon("idlewatt_host_cpu_seconds_total{mode=\"idle\"}");
      return series.size() == 1 && series[0]["kind"] == "counter" &&
             series[0]["unit"] == "seconds" && series[0]["samples"] > 1;
    }));
  }
  const Outcome csv =
      RunToEnd({BinaryPath("idlewatt"), "query", "series", "idlewatt_host_cpu_seconds_total",
                "--db", folder_.PathOf("data/history.db"), "--format", "csv"});
  EXPECT_EQ(csv.status->code, 0);
  EXPECT_TRUE(csv.output.starts_with("series,kind,unit,first,last,samples\n")) << csv.output;
  EXPECT_NE(csv.output.find("{mode=\"\"idle\"\"}\",counter,seconds,2"), std::string::npos)
      << csv.output;
}

// Two hours of a machine, a sample a minute, and one before; in the second it draws 3 W less.
std::string TwoHoursOfPower(int64_t begin_seconds) {
  std::string power = "# TYPE idlewatt_host_power_watts gauge\n";
  std::string energy = "# TYPE idlewatt_host_energy_joules counter\n";
  std::string watched = "# TYPE idlewatt_host_activity_seconds counter\n";
  double joules = 0;
  for (int minute = -1; minute < 120; ++minute) {
    const double watts = (minute < 60 ? 14.0 : 11.0) + 0.1 * ((minute + 11) * 7 % 11 - 5);
    joules += 60 * watts;
    const std::string time = " " + std::to_string(begin_seconds + minute * 60) + "\n";
    power += "idlewatt_host_power_watts " + std::to_string(watts) + time;
    energy +=
        "idlewatt_host_energy_joules_total{state=\"active\"} " + std::to_string(joules) + time;
    watched += "idlewatt_host_activity_seconds_total{state=\"active\"} " +
               std::to_string(60 * (minute + 1)) + time;
  }
  return power + energy + watched + "# EOF\n";
}

TEST_F(QueryTest, CompareTellsWhatChangedFromAFile) {
  folder_.Write("power.om", TwoHoursOfPower(1'700'006'400));  // 2023-11-15T00:00:00Z
  const std::string db = folder_.PathOf("power.db");
  const Outcome import =
      RunToEnd({BinaryPath("idlewatt"), "import", folder_.PathOf("power.om"), "--db", db});
  ASSERT_EQ(import.status->code, 0) << import.output;
  const auto compare = [&](const std::string& before, const std::string& after,
                           const std::string& format) {
    return RunToEnd(
        {BinaryPath("idlewatt"), "compare", before, after, "--db", db, "--format", format});
  };
  const std::string first = "2023-11-15..2023-11-15T01:00:00Z";
  const std::string second = "2023-11-15T01:00:00Z..2023-11-15T02:00:00Z";
  const Outcome table = compare(first, second, "table");
  EXPECT_EQ(table.status->code, 0);
  EXPECT_TRUE(table.output.ends_with(
      "machine: 14.0 Wh measured before, 11.0 Wh after\n"
      "The machine drew 3.00 W less (95 % interval 2.92 to 3.08 W, -21 %).\n"))
      << table.output;
  const auto json = nlohmann::json::parse(compare(first, second, "json").output, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["rows"][0]["verdict"], "less");
  const Outcome wrong = compare(first, "2023-11-15", "table");
  EXPECT_EQ(wrong.status->code, 1);
  EXPECT_EQ(wrong.output,
            "idlewatt: after: \"2023-11-15\" is no window: write SINCE..UNTIL, as in "
            "\"48h..24h\"\n");
  EXPECT_EQ(compare(first, second, "csv").status->code, 2);
}

TEST_F(QueryTest, CompareAsksADaemon) {
  RunningDaemon daemon(folder_, kConfig);
  ASSERT_TRUE(daemon.WaitReady());
  const Outcome outcome = RunToEnd({BinaryPath("idlewatt"), "compare", "2h..1h", "1h..now",
                                    "--http", daemon.address(), "--service", "nobody"});
  EXPECT_EQ(outcome.status->code, 0);
  EXPECT_NE(outcome.output.find("Too little data to say whether nobody drew more or less"),
            std::string::npos)
      << outcome.output;
}

TEST_F(QueryTest, IdlePowerComesFromADaemonAndFromItsFile) {
  const auto idle_power = [](const std::vector<std::string>& more) {
    std::vector<std::string> command = {BinaryPath("idlewatt"), "query", "idle-power"};
    command.insert(command.end(), more.begin(), more.end());
    return RunToEnd(command);
  };
  const auto floor_of = [](const Outcome& outcome) {
    const auto report = nlohmann::json::parse(outcome.output, nullptr, false);
    if (!report.is_object() || report.value("meter", nlohmann::json()) != "model") return 0.0;
    const auto& joules = report["machine"]["floor_joules"];
    return joules.is_number() ? joules.get<double>() : 0.0;
  };
  folder_.MakeDir("sys");  // no meter, wherever this runs
  const std::string model = "[collector.power.model]\nidle_watts = 5\nmax_watts = 20\n";
  {
    RunningDaemon daemon(folder_, kConfig + model, {"--sysfs", folder_.PathOf("sys")});
    ASSERT_TRUE(Eventually([&] {
      return floor_of(idle_power({"--http", daemon.address(), "--format", "json"})) > 0;
    })) << daemon.Get("/api/v1/idle");
    const Outcome table = idle_power({"--http", daemon.address(), "--by", "hour"});
    EXPECT_EQ(table.status->code, 0);
    EXPECT_NE(table.output.find("MOST IDLE"), std::string::npos) << table.output;
    EXPECT_NE(table.output.find("estimated by the model"), std::string::npos) << table.output;
  }
  const std::string db = folder_.PathOf("data/history.db");
  EXPECT_GT(floor_of(idle_power({"--db", db, "--format", "json"})), 0);
  const Outcome csv = idle_power({"--db", db, "--format", "csv", "--by", "day"});
  EXPECT_EQ(csv.status->code, 0);
  EXPECT_TRUE(csv.output.starts_with("start,joules,mean_watts,idle_joules,")) << csv.output;
  const Outcome nothing =
      idle_power({"--db", db, "--since", "2020-01-01", "--until", "2020-01-02"});
  EXPECT_EQ(nothing.status->code, 0);
  EXPECT_EQ(nothing.output,
            "no energy and no idle time is recorded from 2020-01-01T00:00:00.000Z to "
            "2020-01-02T00:00:00.000Z\n");
  EXPECT_EQ(idle_power({"--db", db, "--by", "week"}).status->code, 2);
  EXPECT_EQ(idle_power({"--db", db, "--since", "yesterday"}).status->code, 1);
}

}  // namespace
}  // namespace idlewatt
