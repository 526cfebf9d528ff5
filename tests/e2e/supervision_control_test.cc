// Requests to the daemon while services run: signals, reload, profiles, swap, HTTP and commands.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <future>

#include "tests/e2e/supervision_fixture.h"

namespace idlewatt {
namespace {

class ControlTest : public SupervisionTest {
 protected:
  // Says "up", is ready then, and writes its name to `ended` when it is stopped.
  std::string Polite(const std::string& name, const std::string& more = "") const {
    return Shell(name,
                 "trap 'echo " + name + " >> " + folder_.PathOf("ended") +
                     "; exit 0' TERM; echo up; while :; do sleep 0.02; done",
                 "ready = { log_pattern = \"up\" }\n" + more);
  }
  static std::string Sleeper(const std::string& name, const std::string& more = "") {
    return Shell(name, "echo up; exec sleep 1000", more);
  }
  void WriteConfig(const std::string& config) { folder_.Write("idlewatt.toml", kFast + config); }

  client::HttpRequest Post(const std::string& path, const std::string& token) const {
    client::HttpRequest request{.method = "POST", .path = path};
    if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
    return request;
  }
  // 0 when there is no answer.
  int StatusOf(const client::HttpRequest& request) const {
    const auto answer = client::SendHttp(daemon_->port(), request);
    return answer ? answer->status : 0;
  }
};

TEST_F(ControlTest, SigtermStopsInTheReverseOrderOfDependencies) {
  Start(Polite("web", "depends_on = { app = \"ready\" }\n") +
        Polite("app", "depends_on = { db = \"ready\" }\n") + Polite("db"));
  ASSERT_TRUE(Reaches("web", "ready"));
  std::vector<pid_t> pids;
  for (const char* name : {"web", "app", "db"}) pids.push_back(PidOf(name));
  daemon_->process().Signal(SIGTERM);
  const auto status = daemon_->process().Wait(kPatience);
  ASSERT_TRUE(status) << daemon_->process().output();
  EXPECT_EQ(status->code, 0);
  EXPECT_EQ(folder_.Read("ended"), "web\napp\ndb\n");
  for (const pid_t pid : pids) EXPECT_FALSE(IsAlive(pid));
}

TEST_F(ControlTest, ASecondSigtermKillsAlsoThoseWhoseTurnHasNotCome) {
  const std::string deaf = "trap '' TERM; echo up; while :; do sleep 0.02; done";
  const std::string ready = "ready = { log_pattern = \"up\" }\nstop_timeout = \"1h\"\n";
  Start(Shell("db", deaf, ready) + Shell("app", deaf, ready + "depends_on = { db = \"ready\" }\n"));
  ASSERT_TRUE(Reaches("app", "ready"));
  const pid_t db = PidOf("db");
  const pid_t app = PidOf("app");
  daemon_->process().Signal(SIGTERM);
  ASSERT_TRUE(daemon_->process().WaitForLine("\"app\": ready -> stopping", kPatience));
  daemon_->process().Signal(SIGTERM);
  const auto status = daemon_->process().Wait(kPatience);
  ASSERT_TRUE(status) << daemon_->process().output();
  EXPECT_EQ(status->code, 0);
  EXPECT_FALSE(IsAlive(db));
  EXPECT_FALSE(IsAlive(app));
}

TEST_F(ControlTest, AReloadTouchesOnlyWhatChanged) {
  Start(Sleeper("stays") + Sleeper("changes") + Sleeper("goes"));
  for (const char* name : {"stays", "changes", "goes"}) ASSERT_TRUE(Reaches(name, "ready"));
  const pid_t stays = PidOf("stays");
  const pid_t changes = PidOf("changes");
  const pid_t goes = PidOf("goes");
  WriteConfig(Sleeper("stays", "stop_timeout = \"3s\"\n") +
              Sleeper("changes", "environment = { A = \"b\" }\n") + Sleeper("comes"));
  EXPECT_EQ(MustCli({"reload"}),
            "added: comes\nremoved: goes\nrestarted: changes\nupdated: stays\n");
  ASSERT_TRUE(Reaches("comes", "ready"));
  ASSERT_TRUE(Becomes(
      "changes", [&](const Json& row) { return row["ready"] == true && row["pid"] != changes; }));
  EXPECT_EQ(Row("changes")["restarts"], Json({{"reload", 1}}));
  EXPECT_EQ(PidOf("stays"), stays);
  EXPECT_TRUE(Ends(goes));
  EXPECT_FALSE(IsAlive(changes));
  EXPECT_TRUE(Row("goes").is_null());
  EXPECT_EQ(MustCli({"reload"}), "nothing changed\n");
}

TEST_F(ControlTest, SighupAndPostReloadAsTheCommandDoes) {
  Start(Sleeper("one"));
  ASSERT_TRUE(Reaches("one", "ready"));
  WriteConfig(Sleeper("one") + Sleeper("two"));
  daemon_->process().Signal(SIGHUP);
  ASSERT_TRUE(Eventually([&] { return !Row("two").is_null(); }, kPatience));
  EXPECT_TRUE(Reaches("two", "ready"));
  WriteConfig(Sleeper("one"));
  EXPECT_EQ(StatusOf(Post("/-/reload", "")), 401);
  const auto answer = client::SendHttp(daemon_->port(), Post("/-/reload", Token()));
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->status, 200);
  const Json outcome = Json::parse(answer->body, nullptr, false);
  EXPECT_EQ(outcome["removed"], Json::array({"two"})) << answer->body;
  EXPECT_TRUE(Row("two").is_null());
}

TEST_F(ControlTest, AFileWithAMistakeChangesNothingAndSaysWhere) {
  Start(Sleeper("one"));
  ASSERT_TRUE(Reaches("one", "ready"));
  const pid_t pid = PidOf("one");
  // kFast has four lines, so the mistake is in line 8.
  WriteConfig("[[service]]\nname = \"one\"\ncommand = [\"true\"]\nautostrat = false\n");
  const std::string where = folder_.PathOf("idlewatt.toml") + ":8: ";
  const Outcome reload = Cli({"reload"});
  EXPECT_EQ(reload.status->code, 1);
  EXPECT_NE(reload.output.find(where), std::string::npos) << reload.output;
  EXPECT_NE(reload.output.find("autostart"), std::string::npos) << reload.output;
  const auto answer = client::SendHttp(daemon_->port(), Post("/-/reload", Token()));
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->status, 400);
  EXPECT_NE(answer->body.find(where), std::string::npos) << answer->body;
  daemon_->process().Signal(SIGHUP);
  const auto line = daemon_->process().WaitForLine("nothing was reloaded", kPatience);
  ASSERT_TRUE(line) << daemon_->process().output();
  EXPECT_NE(line->find(where), std::string::npos) << *line;
  EXPECT_EQ(PidOf("one"), pid);
}

TEST_F(ControlTest, AProfileKeepsWhatBothHave) {
  Start("[daemon]\nprofile = \"fast\"\n" + Sleeper("common", "profiles = [\"fast\", \"slow\"]\n") +
        Sleeper("always") + Sleeper("quick", "profiles = [\"fast\"]\n") +
        Sleeper("large", "profiles = [\"slow\"]\n"));
  for (const char* name : {"common", "always", "quick"}) ASSERT_TRUE(Reaches(name, "ready"));
  EXPECT_EQ(StateOf("large"), "disabled");
  const pid_t common = PidOf("common");
  const pid_t always = PidOf("always");
  const pid_t quick = PidOf("quick");
  EXPECT_EQ(MustCli({"profile", "list"}),
            "PROFILE  ACTIVE  SERVICES\nfast     yes     common, quick\n"
            "slow     no      common, large\n");
  MustCli({"profile", "activate", "slow"});
  ASSERT_TRUE(Reaches("large", "ready"));
  ASSERT_TRUE(Reaches("quick", "disabled"));
  EXPECT_FALSE(IsAlive(quick));
  EXPECT_EQ(PidOf("common"), common);
  EXPECT_EQ(PidOf("always"), always);
  const Outcome wrong = Cli({"profile", "activate", "slaw"});
  EXPECT_EQ(wrong.status->code, 1);
  EXPECT_NE(wrong.output.find("slow"), std::string::npos) << wrong.output;
}

// A server that answers with its model, and does not come up with the model "broken".
constexpr const char* kModelServer =
    "[[service]]\nname = \"model\"\nport = \"auto\"\nmodel = \"first\"\nmemory = \"1MiB\"\n"
    "command = [\"python3\", \"-c\", '''\n"
    "import http.server, sys\n"
    "if sys.argv[1] == \"broken\": sys.exit(\"no such model: broken\")\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "  def do_GET(self):\n"
    "    self.send_response(200)\n"
    "    self.end_headers()\n"
    "    self.wfile.write(sys.argv[1].encode())\n"
    "http.server.HTTPServer((\"127.0.0.1\", int(sys.argv[2])), Handler).serve_forever()\n"
    "''', \"${MODEL}\", \"${PORT}\"]\nready = { http_get = \"/\" }\n";

TEST_F(ControlTest, ASwapServesTheNewModelAndABrokenOneChangesNothing) {
  Start(kModelServer);
  ASSERT_TRUE(Reaches("model", "ready"));
  const auto says = [&] {
    const auto answer = client::HttpGet(Row("model")["port"], "/");
    return answer ? answer->body : answer.error().ToString();
  };
  EXPECT_EQ(says(), "first");
  const pid_t first = PidOf("model");
  MustCli({"swap", "model", "--model", "second"});
  ASSERT_TRUE(Becomes(
      "model", [&](const Json& row) { return row["model"] == "second" && row["ready"] == true; }));
  EXPECT_EQ(says(), "second");
  EXPECT_TRUE(Ends(first));
  EXPECT_EQ(Row("model")["restarts"], Json({{"swap", 1}}));
  const pid_t second = PidOf("model");
  MustCli({"swap", "model", "--model", "broken"});
  ASSERT_TRUE(Becomes("model", [](const Json& row) {
    return TextOf(row, "failure").find("swap failed") != std::string::npos;
  }));
  EXPECT_EQ(PidOf("model"), second);
  EXPECT_EQ(says(), "second");
}

TEST_F(ControlTest, TheStreamBeginsWithASnapshotAndTellsEachStepInOrder) {
  Start(Sleeper("one", "autostart = false\n"));
  ASSERT_TRUE(Reaches("one", "stopped"));
  std::promise<void> opened;
  client::HttpRequest request{.path = "/api/v1/stream", .timeout = kPatience};
  request.until = [&, is_open = false](const std::string& body) mutable {
    if (!is_open && body.find("\n\n") != std::string::npos) {
      is_open = true;
      opened.set_value();
    }
    const size_t stopping = body.find("\"to\":\"stopping\"");
    const size_t stopped = body.find("\"to\":\"stopped\"", stopping);
    return stopping != std::string::npos && stopped != std::string::npos &&
           body.find("\n\n", stopped) != std::string::npos;
  };
  auto answer = std::async(std::launch::async, [port = daemon_->port(), request] {
    return client::SendHttp(port, request);
  });
  ASSERT_EQ(opened.get_future().wait_for(kPatience), std::future_status::ready);
  MustCli({"start", "one"});
  MustCli({"stop", "one"});
  const auto stream = answer.get();
  ASSERT_TRUE(stream) << stream.error().ToString();
  EXPECT_EQ(stream->headers.at("content-type"), "text/event-stream");
  std::vector<std::string> steps;
  std::vector<int64_t> numbers;
  std::string event;
  EXPECT_TRUE(stream->body.starts_with("event: snapshot\n")) << stream->body;
  for (const std::string_view line : Split(stream->body, '\n')) {
    if (line.starts_with("event: ")) event = line.substr(7);
    if (!line.starts_with("data: ")) continue;
    const Json data = Json::parse(line.substr(6), nullptr, false);
    ASSERT_TRUE(data.is_object()) << line;
    if (event == "snapshot") {
      EXPECT_EQ(data["services"][0]["name"], "one");
      EXPECT_EQ(data["services"][0]["state"], "stopped");
    } else if (event == "state") {
      steps.push_back(TextOf(data, "from") + " " + TextOf(data, "to"));
      numbers.push_back(data["number"]);
    }
  }
  const std::vector<std::string> all = {"stopped pending", "pending starting", "starting ready",
                                        "ready stopping", "stopping stopped"};
  EXPECT_EQ(steps, all);
  EXPECT_TRUE(std::ranges::adjacent_find(
                  numbers, [](int64_t a, int64_t b) { return b != a + 1; }) == numbers.end());
}

TEST_F(ControlTest, ControlNeedsTheTokenAndNobodyElseMayAsk) {
  Start(Sleeper("one"));
  ASSERT_TRUE(Reaches("one", "ready"));
  const pid_t pid = PidOf("one");
  const std::string stop = "/api/v1/services/one/stop";
  EXPECT_EQ(StatusOf(Post(stop, "")), 401);
  EXPECT_EQ(StatusOf(Post(stop, "wrong")), 401);
  EXPECT_EQ(StatusOf(Post("/api/v1/profiles/x/activate", "")), 401);
  for (const auto& [header, value] :
       {std::pair{"Host", "evil.example"}, std::pair{"Origin", "http://evil.example"}}) {
    client::HttpRequest get{.path = "/api/v1/services"};
    get.headers.emplace_back(header, value);
    EXPECT_EQ(StatusOf(get), 403) << header;
    client::HttpRequest post = Post(stop, Token());
    post.headers.emplace_back(header, value);
    EXPECT_EQ(StatusOf(post), 403) << header;
  }
  EXPECT_EQ(StatusOf({.path = "/api/v1/services"}), 200);
  EXPECT_EQ(StatusOf({.path = "/api/v1/services/one/logs"}), 200);
  EXPECT_EQ(PidOf("one"), pid) << "somebody was let in";
  struct stat status {};
  ASSERT_EQ(::stat(folder_.PathOf("data/control.token").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ(StatusOf(Post(stop, Token())), 200);
  EXPECT_TRUE(Reaches("one", "stopped"));
}

TEST_F(ControlTest, CommandsStartStopRestartAndTell) {
  Start(Sleeper("one", "autostart = false\nready = { log_pattern = \"up\" }\n"));
  EXPECT_EQ(MustCli({"start", "one"}), "one  ready: became ready: log line \"up\"\n");
  const pid_t pid = PidOf("one");
  EXPECT_TRUE(IsAlive(pid));
  EXPECT_EQ(MustCli({"start", "one"}), "one  ready already\n");
  MustCli({"restart", "one"});
  EXPECT_FALSE(IsAlive(pid));
  EXPECT_NE(PidOf("one"), pid);
  EXPECT_EQ(Row("one")["restarts"], Json({{"request", 1}}));
  const std::string status = MustCli({"status"});
  EXPECT_NE(status.find("one"), std::string::npos) << status;
  EXPECT_NE(status.find("ready"), std::string::npos) << status;
  MustCli({"stop", "one"});
  EXPECT_EQ(StateOf("one"), "stopped");
  const Outcome unknown = Cli({"stop", "onee"});
  EXPECT_EQ(unknown.status->code, 1);
  EXPECT_NE(unknown.output.find("did you mean \"one\"?"), std::string::npos) << unknown.output;
}

TEST_F(ControlTest, AStartThatFailsIsExitOneWithItsFailureAndLastLines) {
  Start(Shell("bad", "echo cannot load the model >&2; exit 3",
              "autostart = false\nrestart = \"no\"\n"
              "ready = { log_pattern = \"up\" }\n"));
  const Outcome start = Cli({"start", "bad"});
  EXPECT_EQ(start.status->code, 1);
  EXPECT_NE(start.output.find("exited with code 3"), std::string::npos) << start.output;
  EXPECT_NE(start.output.find("cannot load the model"), std::string::npos) << start.output;
}

TEST_F(ControlTest, LogsShowsTheLastLinesAndFollows) {
  Start(Shell("talks",
              "for i in 1 2 3 4; do echo line $i; done; trap 'echo more' USR1; echo up; "
              "while :; do sleep 0.02; done",
              "ready = { log_pattern = \"up\" }\n"));
  ASSERT_TRUE(Reaches("talks", "ready"));
  EXPECT_EQ(MustCli({"logs", "talks", "-n", "3"}), "line 3\nline 4\nup\n");
  ChildProcess follow(
      {BinaryPath("idlewatt"), "logs", "talks", "-f", "-n", "1", "--http", daemon_->address()});
  ASSERT_TRUE(follow.WaitForLine("up", kPatience)) << follow.output();
  ASSERT_EQ(::kill(PidOf("talks"), SIGUSR1), 0);
  EXPECT_TRUE(follow.WaitForLine("more", kPatience)) << follow.output();
  daemon_->process().Signal(SIGTERM);
  const auto ended = follow.Wait(kPatience);
  ASSERT_TRUE(ended) << "it does not end with the daemon";
  EXPECT_EQ(follow.output(), "up\nmore\n");
}

}  // namespace
}  // namespace idlewatt
