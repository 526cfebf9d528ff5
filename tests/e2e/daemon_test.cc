// The real daemon, from outside.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <algorithm>

#include <filesystem>
#include <set>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

constexpr const char* kFast =
    "[collector]\ninterval = \"200ms\"\n[storage]\nflush_interval = \"1s\"\n";

bool Exists(int pid) { return ::kill(pid, 0) == 0; }

int PidOf(const nlohmann::json& row) { return row["pid"].is_number() ? row["pid"].get<int>() : 0; }

std::string AlertLine(const RunningDaemon& daemon, const std::string& service,
                      const std::string& severity) {
  const std::string name = "idlewatt_alert_state{alert=\"IdleServiceCpu\",service=\"" + service +
                           "\",severity=\"" + severity + "\"} ";
  const std::string metrics = daemon.Get("/metrics");
  const size_t at = metrics.find(name);
  return at == std::string::npos ? "" : metrics.substr(at + name.size(), 1);
}

TEST(DaemonTest, FindsTheServiceThatBurnsWhileNobodyUsesIt) {
  FakeTree folder;
  RunningDaemon daemon(
      folder,
      std::string(kFast) +
          "[collector.power]\nsources = []\n[collector.power.model]\nidle_watts = 5\nmax_watts = "
          "25\n"
          "[idle]\nafter = \"1s\"\n[[alert]]\nbuiltin = \"IdleServiceCpu\"\nfor = \"1s\"\n" +
          DemoService("honest", client::FreePort(), "") +
          DemoService("burner", client::FreePort(), ", \"--burn\", \"0.5\""));
  ASSERT_TRUE(daemon.process().WaitForLine("alert IdleServiceCpu (critical)", daemon.kPatience))
      << daemon.process().output();
  ASSERT_TRUE(Eventually([&] { return AlertLine(daemon, "burner", "warning") == "2"; }));
  EXPECT_EQ(AlertLine(daemon, "burner", "critical"), "2");
  EXPECT_EQ(AlertLine(daemon, "honest", "warning"), "0");
  const auto burner = daemon.Service("burner");
  const auto honest = daemon.Service("honest");
  EXPECT_EQ(burner["idle"], true);
  EXPECT_GT(burner["cpu_percent"], 20);
  EXPECT_GT(burner["watts"].get<double>(), honest["watts"].get<double>());
  const auto alerts = daemon.GetJson("/api/v1/alerts")["alerts"];
  // On a slow machine there are others, of what runs beside.
  EXPECT_TRUE(std::any_of(alerts.begin(), alerts.end(), [](const auto& alert) {
    return alert["service"] == "burner" && alert["state"] == "firing";
  })) << alerts.dump(1);
}

TEST(DaemonTest, AServiceThatIsUsedIsNotIdle) {
  FakeTree folder;
  const uint16_t port = client::FreePort();
  RunningDaemon daemon(folder, std::string(kFast) + "[idle]\nafter = \"2s\"\n" +
                                   DemoService("used", port, "") +
                                   DemoService("unused", client::FreePort(), ""));
  // A short request every now and then: seen as new connections, though each lasts milliseconds.
  EXPECT_TRUE(Eventually([&] {
    (void)client::HttpGet(port, "/health");
    return daemon.Service("unused")["idle"] == true;
  }));
  EXPECT_EQ(daemon.Service("used")["idle"], false);
}

TEST(DaemonTest, CtrlCStopsEveryServiceAndEndsWithZero) {
  FakeTree folder;
  RunningDaemon daemon(folder, std::string(kFast) + DemoService("one", client::FreePort(), "") +
                                   DemoService("two", client::FreePort(), ""));
  int one = 0;
  int two = 0;
  ASSERT_TRUE(Eventually([&] {
    one = PidOf(daemon.Service("one"));
    two = PidOf(daemon.Service("two"));
    return one > 0 && two > 0;
  }));
  ASSERT_TRUE(Exists(one) && Exists(two));
  daemon.process().Signal(SIGINT);
  const auto status = daemon.process().Wait(daemon.kPatience);
  ASSERT_TRUE(status) << daemon.process().output();
  EXPECT_EQ(status->code, 0);
  EXPECT_FALSE(Exists(one));
  EXPECT_FALSE(Exists(two));
}

TEST(DaemonTest, ASecondSignalKillsAServiceThatIgnoresTheFirst) {
  FakeTree folder;
  RunningDaemon daemon(folder, std::string(kFast) + DemoService("stubborn", client::FreePort(),
                                                                ", \"--ignore-sigterm\""));
  ASSERT_TRUE(Eventually([&] { return PidOf(daemon.Service("stubborn")) > 0; }));
  const int pid = PidOf(daemon.Service("stubborn"));
  daemon.process().Signal(SIGTERM);
  ASSERT_TRUE(daemon.process().WaitForLine("stopping", daemon.kPatience));
  daemon.process().Signal(SIGTERM);
  // Well below the stop_timeout of 10 s.
  const auto status = daemon.process().Wait(std::chrono::seconds(8));
  ASSERT_TRUE(status) << daemon.process().output();
  EXPECT_EQ(status->code, 0);
  EXPECT_FALSE(Exists(pid));
}

TEST(DaemonTest, AllButTheLastFlushSurvivesKillMinusNine) {
  FakeTree folder;
  int64_t points = 0;
  {
    RunningDaemon daemon(folder, kFast);
    const std::string query = "/api/v1/range?metric=process_open_fds&since=1h";
    const auto count = [&] {
      const auto series = daemon.GetJson(query)["series"];
      return series.empty() ? int64_t{0} : static_cast<int64_t>(series[0]["points"].size());
    };
    // Three flush intervals and more.
    ASSERT_TRUE(Eventually([&] { return (points = count()) >= 20; }));
    daemon.process().Signal(SIGKILL);
    ASSERT_TRUE(daemon.process().Wait());
  }
  const Outcome query =
      RunToEnd({BinaryPath("idlewatt"), "query", "range", "process_open_fds", "--since", "1h",
                "--format", "json", "--db", folder.PathOf("data/history.db")});
  ASSERT_EQ(query.status->code, 0) << query.output;
  const auto json = nlohmann::json::parse(query.output, nullptr, false);
  ASSERT_FALSE(json["series"].empty());
  const auto kept = static_cast<int64_t>(json["series"][0]["points"].size());
  // A flush each second holds five ticks; one flush may be lost, and the one under way.
  EXPECT_GE(kept, points - 11);
  RunningDaemon again(folder, kFast);
  EXPECT_TRUE(again.WaitReady());
}

TEST(DaemonTest, ADamagedDatabaseIsSetAsideAndRecordingGoesOn) {
  FakeTree folder;
  folder.Write("data/history.db", std::string(20'000, '\x5a'));
  RunningDaemon daemon(folder, kFast);
  ASSERT_TRUE(daemon.WaitReady());
  EXPECT_NE(daemon.process().output().find("history.db.damaged-"), std::string::npos)
      << daemon.process().output();
  int damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.PathOf("data"))) {
    if (entry.path().filename().string().starts_with("history.db.damaged-")) ++damaged;
  }
  EXPECT_EQ(damaged, 1);
  EXPECT_TRUE(Eventually([&] {
    return daemon.Get("/metrics").find("idlewatt_storage_rows_written_total 0\n") ==
           std::string::npos;
  }));
}

// One sentence on stderr and exit 1.
void ExpectRefused(const Outcome& outcome, const std::vector<std::string>& words) {
  ASSERT_TRUE(outcome.status);
  EXPECT_EQ(outcome.status->code, 1) << outcome.output;
  for (const std::string& word : words) {
    EXPECT_NE(outcome.output.find(word), std::string::npos) << word << " in:\n" << outcome.output;
  }
}

TEST(DaemonTest, StartsThatCannotBeAreOneSentence) {
  FakeTree folder;
  RunningDaemon daemon(folder, kFast);
  const std::string pid = std::to_string(daemon.process().pid());
  const auto run = [](const std::string& http, const std::string& data_dir) {
    return RunToEnd({BinaryPath("idlewatt"), "run", "--http", http, "--data-dir", data_dir});
  };
  ExpectRefused(run(daemon.address(), folder.PathOf("other")), {"is in use by process " + pid});
  EXPECT_FALSE(std::filesystem::exists(folder.PathOf("other"))) << "something was changed";
  ExpectRefused(run("127.0.0.1:0", folder.PathOf("data")), {"pid " + pid});
  folder.Write("file", "");
  ExpectRefused(run("127.0.0.1:0", folder.PathOf("file/data")), {"file/data"});
  ExpectRefused(run("0.0.0.0:0", folder.PathOf("other")), {"allow_unauthenticated"});
}

TEST(DaemonTest, AConfigurationWithAMistakeStartsNothing) {
  FakeTree folder;
  folder.Write("bad.toml", "[collector]\nintervall = \"5s\"\n");
  const std::string path = folder.PathOf("bad.toml");
  const std::vector<std::string> words{path + ":2: collector.intervall", "\"interval\""};
  ExpectRefused(RunToEnd({BinaryPath("idlewatt"), "check-config", path}), words);
  ExpectRefused(RunToEnd({BinaryPath("idlewatt"), "run", "--config", path, "--data-dir",
                          folder.PathOf("data")}),
                words);
  EXPECT_FALSE(std::filesystem::exists(folder.PathOf("data")));
}

TEST(DaemonTest, WrongUsageIsExitTwoAndHelpIsZero) {
  EXPECT_EQ(RunToEnd({BinaryPath("idlewatt")}).status->code, 2);
  EXPECT_EQ(RunToEnd({BinaryPath("idlewatt"), "fly"}).status->code, 2);
  EXPECT_EQ(RunToEnd({BinaryPath("idlewatt"), "run", "--wings"}).status->code, 2);
  const Outcome help = RunToEnd({BinaryPath("idlewatt"), "--help-all"});
  EXPECT_EQ(help.status->code, 0);
  for (const char* command : {"run", "check-config", "sensors", "status", "query", "version"}) {
    EXPECT_NE(help.output.find(command), std::string::npos) << command;
  }
}

TEST(DaemonTest, StatusAndQueryAskTheDaemon) {
  FakeTree folder;
  RunningDaemon daemon(folder, std::string(kFast) + DemoService("llama", client::FreePort(), ""));
  ASSERT_TRUE(daemon.WaitReady());
  const Outcome status = RunToEnd({BinaryPath("idlewatt"), "status", "--http", daemon.address()});
  EXPECT_EQ(status.status->code, 0) << status.output;
  EXPECT_NE(status.output.find("llama"), std::string::npos) << status.output;
  // At this interval not all series fit the ring: some are there from the first flush on.
  EXPECT_TRUE(Eventually([&daemon] {
    const Outcome query = RunToEnd({BinaryPath("idlewatt"), "query", "range",
                                    "idlewatt_service_state{state=\"ready\"}", "--since", "5m",
                                    "--http", daemon.address()});
    EXPECT_EQ(query.status->code, 0) << query.output;
    return query.output.find("service=\"llama\"") != std::string::npos;
  }));
  ExpectRefused(
      RunToEnd({BinaryPath("idlewatt"), "query", "range", "a{", "--http", daemon.address()}),
      {"idlewatt: "});
  ExpectRefused(RunToEnd({BinaryPath("idlewatt"), "status", "--http", "127.0.0.1:1"}),
                {"no idlewatt answers there"});
}

TEST(DaemonTest, TextFilesAreShownRecordedAndAnswered) {
  FakeTree folder;
  folder.Write("text/backup.prom",
               "# HELP backup_bytes_total Bytes \\\\ copied\n# TYPE backup_bytes_total counter\n"
               "backup_bytes_total{job=\"home\"} 1234\nbackup_bytes_total 5\n");
  // More than the memory of one hour can hold at this interval: the history has them all.
  std::string many;
  for (int i = 1000; i < 1400; ++i) many += "many{n=\"" + std::to_string(i) + "\"} 1\n";
  folder.Write("text/many.prom", many);
  folder.Write("text/wrong.prom", "wrong\n");
  RunningDaemon daemon(folder, std::string(kFast) + "[collector.textfile]\ndir = \"" +
                                   folder.PathOf("text") + "\"\n");
  ASSERT_TRUE(Eventually([&] {
    return daemon.Get("/metrics").find("backup_bytes_total{job=\"home\"} 1234\n") !=
           std::string::npos;
  }));
  const std::string metrics = daemon.Get("/metrics");
  for (const char* line :
       {"# HELP backup_bytes_total Bytes \\\\ copied\n", "# TYPE backup_bytes_total counter\n",
        "\nbackup_bytes_total 5\n", "# TYPE many untyped\n",
        "idlewatt_textfile_mtime_seconds{file=\"backup.prom\"} ",
        "idlewatt_source_available{source=\"textfile:wrong.prom\",reason=\"parse\"} 0\n"}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << line;
  }
  const auto points = [&](const std::string& selector, const std::string& since) {
    const auto series =
        daemon.GetJson("/api/v1/range?metric=" + selector + "&since=" + since)["series"];
    return series.size() == 1 ? series[0]["points"] : nlohmann::json::array();
  };
  const std::string home = "backup_bytes_total%7Bjob=%22home%22%7D";
  ASSERT_TRUE(Eventually([&] { return points(home, "5m").size() >= 20; }));
  EXPECT_EQ(points(home, "5m").back()[1], 1234);
  // Of a time that the memory reaches back to, so that it answers first.
  EXPECT_TRUE(Eventually([&] { return !points("many%7Bn=%221399%22%7D", "3s").empty(); }));
}

TEST(DaemonTest, SensorsSaysWhatIsMissingAndWhy) {
  FakeTree folder;
  folder.Write("sys/class/power_supply/BAT0/type", "Battery\n");
  folder.Write("sys/class/power_supply/BAT0/status", "Discharging\n");
  folder.Write("sys/class/power_supply/BAT0/power_now", "7500000\n");
  const Outcome outcome =
      RunToEnd({BinaryPath("idlewatt"), "sensors", "--json", "--sysfs", folder.PathOf("sys")});
  ASSERT_EQ(outcome.status->code, 0) << outcome.output;
  const auto json = nlohmann::json::parse(outcome.output, nullptr, false);
  std::set<std::string> available;
  std::set<std::string> missing;
  for (const auto& source : json["sources"]) {
    (source["available"] == true ? available : missing).insert(source["source"]);
    EXPECT_EQ(source["available"], source["message"].is_null());
  }
  EXPECT_TRUE(available.contains("battery:BAT0")) << outcome.output;
  EXPECT_TRUE(missing.contains("rapl")) << outcome.output;
}

}  // namespace
}  // namespace idlewatt
