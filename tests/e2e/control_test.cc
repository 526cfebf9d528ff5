// The daemon controlled from outside: by commands, over HTTP, and seen through the live stream.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <future>
#include <thread>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

constexpr const char* kFast =
    "[collector]\ninterval = \"200ms\"\n[storage]\nflush_interval = \"1s\"\n";

std::string Service(const std::string& name, const std::string& script,
                    const std::string& more = "") {
  return "[[service]]\nname = \"" + name + "\"\ncommand = [\"sh\", \"-c\", '" + script + "']\n" +
         more;
}

const std::string kSleeps = Service("sleeps", "echo up; exec sleep 1000");

class LiveControlTest : public testing::Test {
 protected:
  bool Start(const std::string& config) {
    daemon_ = std::make_unique<RunningDaemon>(folder_, kFast + config);
    return daemon_->port() != 0 && daemon_->WaitReady();
  }
  // A command of ours, told where the daemon is.
  Outcome Run(std::vector<std::string> words) const {
    words.insert(words.begin(), BinaryPath("idlewatt"));
    words.push_back("--http");
    words.push_back(daemon_->address());
    return RunToEnd(words);
  }
  std::string Token() const { return std::string(Trim(folder_.Read("data/control.token"))); }
  int Post(const std::string& path, const std::string& token) const {
    const auto response = client::SendHttp(
        daemon_->port(),
        {.method = "POST", .path = path, .headers = {{"Authorization", "Bearer " + token}}});
    return response ? response->status : 0;
  }
  std::string StateOf(const std::string& name) const { return daemon_->Service(name)["state"]; }

  FakeTree folder_;
  std::unique_ptr<RunningDaemon> daemon_;
};

TEST_F(LiveControlTest, OnlyWhoHasTheTokenControls) {
  ASSERT_TRUE(Start(kSleeps));
  struct stat status {};
  ASSERT_EQ(::stat(folder_.PathOf("data/control.token").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(Post("/api/v1/services/sleeps/stop", std::string(64, '0')), 401);
  EXPECT_EQ(Run({"start", "sleeps"}).status->code, 0) << "it was not stopped";
  EXPECT_EQ(Post("/api/v1/services/sleeps/stop", Token()), 200);
  EXPECT_TRUE(Eventually([&] { return StateOf("sleeps") == "stopped"; }));
  const std::string token = Token();
  daemon_.reset();
  ASSERT_TRUE(Start(kSleeps));
  EXPECT_EQ(Token(), token) << "who was told it once may use it further";
}

TEST_F(LiveControlTest, CommandsWaitAndTellWhatFailed) {
  ASSERT_TRUE(Start(kSleeps + Service("fails", "echo no model >&2; exit 3",
                                      "autostart = false\nrestart = \"no\"\n"
                                      "ready = { log_pattern = [\"up\"], timeout = \"20s\" }\n")));
  const Outcome stopped = Run({"stop", "--all"});
  EXPECT_EQ(stopped.status->code, 0) << stopped.output;
  EXPECT_EQ(StateOf("sleeps"), "stopped");
  const Outcome started = Run({"start", "fails", "nobody", "sleeps"});
  EXPECT_EQ(started.status->code, 1);
  EXPECT_NE(started.output.find("idlewatt: fails: is failed: "), std::string::npos)
      << started.output;
  EXPECT_NE(started.output.find("    | no model\n"), std::string::npos) << started.output;
  EXPECT_NE(started.output.find("idlewatt: nobody: "), std::string::npos) << started.output;
  EXPECT_EQ(StateOf("sleeps"), "ready");
  const int before = daemon_->Service("sleeps")["pid"];
  EXPECT_EQ(Run({"restart", "sleeps"}).status->code, 0);
  EXPECT_EQ(StateOf("sleeps"), "ready") << "it was waited for";
  EXPECT_NE(daemon_->Service("sleeps")["pid"], before);
  const Outcome shown = Run({"status"});
  EXPECT_NE(shown.output.find(" services, 1 ready, "), std::string::npos) << shown.output;
}

TEST_F(LiveControlTest, WrongUsageEndsWithTwo) {
  ASSERT_TRUE(Start(kSleeps));
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"start"},
                                             {"stop", "--all", "sleeps"},
                                             {"swap", "sleeps"},
                                             {"profile"},
                                             {"logs"},
                                             {"logs", "sleeps", "-n", "x"},
                                             {"profile", "activate"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.status->code, 2) << words[0] << "\n" << outcome.output;
  }
  const Outcome outcome = RunToEnd({BinaryPath("idlewatt"), "swap", "sleeps", "--command"});
  EXPECT_EQ(outcome.status->code, 2) << outcome.output;
}

TEST_F(LiveControlTest, SwapTakesAWholeCommand) {
  ASSERT_TRUE(Start(kSleeps));
  const Outcome swapped =
      RunToEnd({BinaryPath("idlewatt"), "swap", "sleeps", "--http", daemon_->address(), "--command",
                "sh", "-c", "echo the other; exec sleep 1000"});
  EXPECT_EQ(swapped.status->code, 0) << swapped.output;
  EXPECT_TRUE(Eventually([&] {
    return daemon_->Get("/api/v1/services/sleeps/logs").find("the other\n") != std::string::npos;
  }));
}

TEST_F(LiveControlTest, LogsFollowsUntilTheDaemonEnds) {
  ASSERT_TRUE(Start(kSleeps));
  ChildProcess follow(
      {BinaryPath("idlewatt"), "logs", "sleeps", "-f", "-n", "1", "--http", daemon_->address()});
  EXPECT_TRUE(follow.WaitForLine("up"));
  EXPECT_EQ(Run({"restart", "sleeps"}).status->code, 0);
  EXPECT_TRUE(follow.WaitForLine("up"));
  daemon_.reset();
  const auto status = follow.Wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0) << follow.output();
}

// Scenario 38 of the supervision: a snapshot, then every transition.
TEST_F(LiveControlTest, TheStreamAndTheHistoryTellEveryStep) {
  ASSERT_TRUE(Start(kSleeps));
  std::string text;
  {
    const std::jthread commands([&] {
      for (int round = 0; round < 3; ++round) {
        EXPECT_EQ(Run({"stop", "sleeps"}).status->code, 0);
        EXPECT_EQ(Run({"start", "sleeps"}).status->code, 0);
      }
      EXPECT_EQ(Post("/api/v1/services/sleeps/stop", Token()), 200);
    });
    size_t stops = 0;
    const auto response = client::SendHttp(
        daemon_->port(), {.path = "/api/v1/stream",
                          .timeout = std::chrono::seconds(60),
                          .until = [&](const std::string& body) {
                            stops = 0;
                            for (size_t at = 0;
                                 (at = body.find("\"to\":\"stopped\"", at)) != std::string::npos;
                                 ++at) {
                              ++stops;
                            }
                            const bool ticked = body.find("event: tick\n") != std::string::npos;
                            return stops == 4 && ticked && body.ends_with("\n\n");
                          }});
    ASSERT_TRUE(response) << response.error().ToString();
    text = response->body;
  }
  EXPECT_TRUE(text.starts_with("event: snapshot\ndata: {\"summary\":")) << text.substr(0, 200);
  EXPECT_NE(text.find("event: tick\n"), std::string::npos);
  EXPECT_EQ(text.find("event: missed\n"), std::string::npos);
  std::vector<nlohmann::json> steps;
  constexpr std::string_view kState = "event: state\ndata: ";
  for (size_t at = text.find(kState); at != std::string::npos; at = text.find(kState, at)) {
    at += kState.size();
    steps.push_back(nlohmann::json::parse(text.substr(at, text.find('\n', at) - at)));
  }
  ASSERT_GT(steps.size(), 12U);
  for (size_t i = 1; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i]["number"], steps[i - 1]["number"].get<int>() + 1);
    EXPECT_EQ(steps[i]["from"], steps[i - 1]["to"]);
  }
  std::vector<nlohmann::json> recorded;
  EXPECT_TRUE(Eventually([&] {
    recorded.clear();
    const nlohmann::json events = daemon_->GetJson("/api/v1/events")["events"];
    for (const auto& event : events) {
      if (event["detail"]["number"] >= steps[0]["number"]) recorded.push_back(event["detail"]);
    }
    return recorded.size() >= steps.size();
  }));
  EXPECT_EQ(recorded, steps);
}

TEST_F(LiveControlTest, AReloadAppliesTheFileAndABadFileChangesNothing) {
  ASSERT_TRUE(Start(kSleeps));
  const int before = daemon_->Service("sleeps")["pid"];
  folder_.Write("idlewatt.toml", kFast + kSleeps + Service("new", "exec sleep 1000"));
  const Outcome reloaded = Run({"reload"});
  EXPECT_EQ(reloaded.status->code, 0);
  EXPECT_EQ(reloaded.output, "added: new\n");
  EXPECT_TRUE(Eventually([&] { return StateOf("new") == "ready"; }));
  EXPECT_EQ(daemon_->Service("sleeps")["pid"], before);
  folder_.Write("idlewatt.toml", kFast + kSleeps + "comand = 1\n");
  const Outcome refused = Run({"reload"});
  EXPECT_EQ(refused.status->code, 1);
  EXPECT_NE(refused.output.find("idlewatt.toml:"), std::string::npos) << refused.output;
  EXPECT_EQ(StateOf("new"), "ready");
}

TEST_F(LiveControlTest, WhoListensDoesNotHoldUpTheEnd) {
  ASSERT_TRUE(Start(kSleeps));
  std::vector<std::jthread> listeners;
  for (const char* path : {"/api/v1/stream", "/api/v1/services/sleeps/logs?follow=1"}) {
    std::promise<void> begun;
    listeners.emplace_back([this, path, &begun] {
      bool told = false;
      const auto response = client::SendHttp(
          daemon_->port(),
          {.path = path, .timeout = std::chrono::seconds(60), .until = [&](const std::string&) {
             if (!std::exchange(told, true)) begun.set_value();
             return false;
           }});
      EXPECT_TRUE(response) << "it did not end well: " << response.error().ToString();
    });
    ASSERT_EQ(begun.get_future().wait_for(RunningDaemon::kPatience), std::future_status::ready);
  }
  const auto begin = std::chrono::steady_clock::now();
  daemon_->process().Signal(SIGTERM);
  ASSERT_TRUE(daemon_->process().Wait(RunningDaemon::kPatience));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1500));
}

}  // namespace
}  // namespace idlewatt
