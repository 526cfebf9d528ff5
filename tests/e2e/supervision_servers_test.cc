// Servers that others wrote, under the real daemon: nginx and redis-server of Debian, and Python's.
#include <gtest/gtest.h>

#include "tests/e2e/supervision_fixture.h"

namespace idlewatt {
namespace {

class ServersTest : public SupervisionTest {
 protected:
  ServersTest() {
    for (const char* program : {"nginx", "redis-server", "redis-cli", "python3"}) {
      const Outcome found = RunToEnd({"sh", "-c", "command -v " + std::string(program)});
      EXPECT_FALSE(found.output.empty())
          << program << " is not in PATH; tools/test fetches what tools/lib/packages names";
    }
    folder_.MakeDir("www");
    folder_.Write("www/index.html", "python");
  }

  // nginx that answers `text`.
  void WriteNginxConf(const std::string& text) {
    std::string conf = "daemon off;\nworker_processes 2;\n" +
                       std::string(::geteuid() == 0 ? "user root root;\n" : "") + "pid " +
                       folder_.PathOf("nginx.pid") +
                       ";\nerror_log stderr notice;\nevents {}\nhttp {\naccess_log off;\n";
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      conf += std::string(kind) + "_temp_path " + folder_.PathOf(kind) + ";\n";
    }
    folder_.Write("nginx.conf", conf + "server { listen 127.0.0.1:" + std::to_string(nginx_port_) +
                                    "; location / { return 200 \"" + text + "\"; } }\n}\n");
  }
  std::string NginxWords(const std::string& more = "") const {
    return "[\"nginx\", \"-p\", \"" + folder_.path() +
           "\", \"-c\", \"nginx.conf\", \"-e\", \"stderr\"" + more + "]";
  }
  std::string Nginx(const std::string& more = "") {
    WriteNginxConf("one");
    return "[[service]]\nname = \"nginx\"\nport = " + std::to_string(nginx_port_) +
           "\ncommand = " + NginxWords() +
           "\nready = { http_get = \"/\" }\nbackoff = { initial = \"100ms\" }\n" + more;
  }
  std::string Redis(const std::string& name, const std::string& ready) {
    return "[[service]]\nname = \"" + name +
           "\"\nport = \"auto\"\ncommand = [\"redis-server\", \"--port\", \"${PORT}\", \"--bind\", "
           "\"127.0.0.1\", \"--save\", \"\", \"--dir\", \"" +
           folder_.path() + "\"]\nready = { " + ready + " }\n";
  }
  std::string NginxSays() const {
    const auto answer = client::HttpGet(nginx_port_, "/");
    return answer ? answer->body : "";
  }
  // The master has two workers.
  std::vector<pid_t> WorkersOf(pid_t master) const {
    std::vector<pid_t> workers;
    EXPECT_TRUE(Eventually([&] { return (workers = ChildrenOf(master)).size() == 2; }, kPatience));
    return workers;
  }
  // What made the service ready, as the log of the daemon says.
  std::string ReadyBy(const std::string& name) {
    const std::string& output = daemon_->process().output();
    const size_t at = output.find("service \"" + name + "\": starting -> ready (became ready: ");
    return at == std::string::npos ? "" : output.substr(at, output.find('\n', at) - at);
  }

  const uint16_t nginx_port_ = client::FreePort();
};

TEST_F(ServersTest, EachGetsReadyInItsOwnWay) {
  Start(Nginx() + Redis("by-log", "log_pattern = \"Ready to accept connections\"") +
        Redis("by-exec", "exec = [\"redis-cli\", \"-p\", \"${PORT}\", \"ping\"]") +
        "[[service]]\nname = \"python\"\nport = \"auto\"\ncommand = [\"python3\", \"-m\", "
        "\"http.server\", \"--bind\", \"127.0.0.1\", \"--directory\", \"" +
        folder_.PathOf("www") + "\", \"${PORT}\"]\nready = { tcp_socket = true }\n");
  for (const char* name : {"nginx", "by-log", "by-exec", "python"}) {
    EXPECT_TRUE(Reaches(name, "ready"));
  }
  const auto python = client::HttpGet(Row("python")["port"], "/index.html");
  ASSERT_TRUE(python) << python.error().ToString();
  EXPECT_EQ(python->body, "python");
  EXPECT_EQ(NginxSays(), "one");
  // The last service to get ready was told of before the API showed it.
  daemon_->process().Signal(SIGTERM);
  ASSERT_TRUE(daemon_->process().Wait(kPatience));
  EXPECT_NE(ReadyBy("nginx").find("http_get"), std::string::npos) << ReadyBy("nginx");
  EXPECT_NE(ReadyBy("by-log").find("log"), std::string::npos) << ReadyBy("by-log");
  EXPECT_NE(ReadyBy("by-exec").find("exec"), std::string::npos) << ReadyBy("by-exec");
  EXPECT_NE(ReadyBy("python").find("tcp_socket"), std::string::npos) << ReadyBy("python");
}

TEST_F(ServersTest, WorkersCountToTheService) {
  Start(Nginx());
  ASSERT_TRUE(Reaches("nginx", "ready"));
  EXPECT_TRUE(Becomes("nginx", [](const Json& row) { return row["processes"] == 3; }));
}

TEST_F(ServersTest, AReloadByHandIsNoneOfOurBusiness) {
  Start(Nginx());
  ASSERT_TRUE(Reaches("nginx", "ready"));
  const pid_t pid = PidOf("nginx");
  const std::vector<pid_t> before = WorkersOf(pid);
  WriteNginxConf("two");
  ASSERT_EQ(::kill(pid, SIGHUP), 0);
  ASSERT_TRUE(Eventually([&] { return NginxSays() == "two"; }, kPatience));
  for (const pid_t worker : before) EXPECT_TRUE(Ends(worker));
  const Json row = Row("nginx");
  EXPECT_EQ(row["pid"], pid);
  EXPECT_EQ(row["state"], "ready");
  EXPECT_EQ(row["restarts"], Json::object());
  EXPECT_EQ(row["last_exit"], nullptr);
}

TEST_F(ServersTest, AMasterThatIsKilledTakesItsWorkersAlongAndIsRestarted) {
  Start(Nginx());
  ASSERT_TRUE(Reaches("nginx", "ready"));
  const pid_t pid = PidOf("nginx");
  const std::vector<pid_t> workers = WorkersOf(pid);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  // It could not listen again if a worker still did.
  ASSERT_TRUE(
      Becomes("nginx", [&](const Json& row) { return row["ready"] == true && row["pid"] != pid; }));
  for (const pid_t worker : workers) EXPECT_FALSE(IsAlive(worker));
  EXPECT_EQ(NginxSays(), "one");
  const Json row = Row("nginx");
  EXPECT_EQ(row["restarts"], Json({{"crash", 1}}));
  EXPECT_EQ(row["last_exit"]["signal"], SIGKILL);
  EXPECT_EQ(row["last_exit"]["out_of_memory"], false);
  EXPECT_TRUE(Eventually([&] {
    return Metric("idlewatt_service_restarts_total{service=\"nginx\",reason=\"crash\"} 1");
  }));
}

TEST_F(ServersTest, AStopIsAsTheServerWantsIt) {
  const std::string quit = "stop_command = " + NginxWords(", \"-s\", \"quit\"") + "\n";
  for (const std::string& how : {std::string("stop_signal = \"SIGQUIT\"\n"), quit}) {
    Start(Nginx(how));
    ASSERT_TRUE(Reaches("nginx", "ready"));
    const pid_t pid = PidOf("nginx");
    const std::vector<pid_t> workers = WorkersOf(pid);
    MustCli({"stop", "nginx"});
    EXPECT_FALSE(IsAlive(pid)) << how;
    for (const pid_t worker : workers) EXPECT_FALSE(IsAlive(worker)) << how;
    const Json row = Row("nginx");
    EXPECT_EQ(row["state"], "stopped");
    EXPECT_EQ(row["last_exit"]["code"], 0) << "it was not asked, but killed: " << row.dump();
    EXPECT_NE(Log("nginx").find("gracefully shutting down"), std::string::npos) << Log("nginx");
  }
}

TEST_F(ServersTest, ASecondDaemonTakesThemBackAsTheyAre) {
  const std::string config =
      Nginx() + Redis("redis", "exec = [\"redis-cli\", \"-p\", \"${PORT}\", \"ping\"]");
  Start(config);
  for (const char* name : {"nginx", "redis"}) ASSERT_TRUE(Reaches(name, "ready"));
  const Json nginx = Row("nginx");
  const Json redis = Row("redis");
  const std::string port = std::to_string(redis["port"].get<int>());
  EXPECT_EQ(RunToEnd({"redis-cli", "-p", port, "set", "key", "kept"}).output, "OK\n");
  for (int turn = 0; turn < 2; ++turn) {
    Kill();
    EXPECT_EQ(NginxSays(), "one") << "it does not serve without the daemon";
    EXPECT_EQ(RunToEnd({"redis-cli", "-p", port, "get", "key"}).output, "kept\n");
    Start(config);
    for (const Json& before : {nginx, redis}) {
      const Json now = Row(before["name"]);
      EXPECT_EQ(now["pid"], before["pid"]);
      EXPECT_EQ(now["port"], before["port"]);
      EXPECT_EQ(now["state"], "ready");
      EXPECT_EQ(now["adopted"], true);
      EXPECT_EQ(now["started_at"], before["started_at"]);
      EXPECT_EQ(now["restarts"], Json::object());
    }
    EXPECT_TRUE(Becomes("nginx", [](const Json& row) { return row["processes"] == 3; }));
    EXPECT_EQ(daemon_->process().output().find("is in use"), std::string::npos)
        << daemon_->process().output();
  }
  const std::vector<pid_t> workers = WorkersOf(nginx["pid"]);
  MustCli({"stop", "nginx", "redis"});
  EXPECT_FALSE(IsAlive(nginx["pid"]));
  EXPECT_FALSE(IsAlive(redis["pid"]));
  for (const pid_t worker : workers) EXPECT_FALSE(IsAlive(worker));
}

}  // namespace
}  // namespace idlewatt
