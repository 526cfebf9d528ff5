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

}  // namespace
}  // namespace idlewatt
