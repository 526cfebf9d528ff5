#include "supervisor/probe/readiness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/supervisor/child_fixture.h"
#include "tests/supervisor/notify_sender.h"
#include "tests/supervisor/test_server.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ReadinessTest : public ChildFixture {
 protected:
  // What was called back.
  struct Outcome {
    std::vector<std::string> ready;
    std::vector<std::string> timeout;
    std::vector<std::string> status;
    bool ended() const { return !ready.empty() || !timeout.empty(); }
  };

  static ReadySpec Ways() {
    ReadySpec spec;
    spec.timeout = kLong;
    return spec;
  }

  std::unique_ptr<Readiness> Begin(const ReadySpec& ready, std::optional<uint16_t> port = {},
                                   std::chrono::nanoseconds age = {}) {
    ProbedRun run{.spec = Spec(),
                  .marks = {.data_dir = "/none", .run = "run", .notify_socket = kNotifyName},
                  .is_member = [this](int32_t pid) { return pid == member; }};
    run.spec.ready = ready;
    run.spec.port = port;
    Readiness::Callbacks callbacks;
    callbacks.on_ready = [this](std::string how) { outcome.ready.push_back(std::move(how)); };
    callbacks.on_timeout = [this](std::string why) { outcome.timeout.push_back(std::move(why)); };
    callbacks.on_status = [this](std::string text) { outcome.status.push_back(std::move(text)); };
    auto readiness = std::make_unique<Readiness>(loop(), children, proc, std::move(run),
                                                 loop().Now() - age, std::move(callbacks));
    EXPECT_FALSE(outcome.ended());
    return readiness;
  }
  // How it became ready; "" when it did not.
  std::string Ready() {
    EXPECT_TRUE(RunUntil([&] { return outcome.ended(); }));
    EXPECT_THAT(outcome.timeout, ElementsAre());
    return outcome.ready.empty() ? "" : outcome.ready.front();
  }
  // Why it did not.
  std::string TimedOut() {
    EXPECT_TRUE(RunUntil([&] { return outcome.ended(); }));
    EXPECT_THAT(outcome.ready, ElementsAre());
    return outcome.timeout.empty() ? "" : outcome.timeout.front();
  }

  inline static const std::string kNotifyName =
      NotifySocketName("readiness-test-" + std::to_string(::getpid()));
  Outcome outcome;
  int32_t member = ::getpid();  // the one process of the run
};

// --- Log lines ---

TEST_F(ReadinessTest, LogLineMakesReady) {
  ReadySpec ways = Ways();
  ways.log_patterns = UsualReadyPatterns();
  for (const std::vector<std::string>& writes :
       {std::vector<std::string>{"loading\nmain: server is listening on 8001\n"},
        {"INFO: HTTP server listen", "ing\n"},
        {"progress 10 %\rprogress 100 %\rServer started"},
        {std::string(size_t{1} << 20, 'x'), "\nlistening on 8001"}}) {
    outcome = {};
    const auto readiness = Begin(ways);
    for (const std::string& write : writes) {
      EXPECT_FALSE(outcome.ended());
      readiness->OnOutput(write);
    }
    ASSERT_TRUE(outcome.ended()) << writes.back();
    EXPECT_THAT(outcome.ready, ElementsAre(StartsWith("log line \"")));
    readiness->OnOutput("server is listening\n");
    EXPECT_EQ(outcome.ready.size(), 1);
  }
}

TEST_F(ReadinessTest, LogLineIsShown) {
  ReadySpec ways = Ways();
  ways.log_patterns = {"port [0-9]+"};
  const auto readiness = Begin(ways);
  readiness->OnOutput("  up at port 8001\n");
  EXPECT_EQ(Ready(), "log line \"up at port 8001\"");
}

TEST_F(ReadinessTest, PatternThatIsNoneIsToldAtTheEnd) {
  ReadySpec ways = Ways();
  ways.log_patterns = {"("};
  ways.timeout = 1ms;
  const auto readiness = Begin(ways);
  readiness->OnOutput("(\n");
  EXPECT_THAT(TimedOut(), HasSubstr("regular expression \"(\""));
}

// --- The port ---

TEST_F(ReadinessTest, HttpIsAskedUntilItIsWell) {
  TestServer server(loop());
  server.answer = TestServer::Status(503);
  ReadySpec ways = Ways();
  ways.http_get = "/health";
  const auto readiness = Begin(ways, server.port());
  ASSERT_TRUE(RunUntil([&] { return server.connections == 3; }));
  EXPECT_FALSE(outcome.ended());
  server.answer = TestServer::Status(200);
  EXPECT_EQ(Ready(), "http_get /health answered 200");
  EXPECT_EQ(server.foreign_connections, 0);
}

TEST_F(ReadinessTest, RedirectIsWell) {
  TestServer server(loop());
  server.answer = TestServer::Status(302);
  ReadySpec ways = Ways();
  ways.http_get = "/";
  const auto readiness = Begin(ways, server.port());
  EXPECT_EQ(Ready(), "http_get / answered 302");
}

TEST_F(ReadinessTest, PortMayOpenLate) {
  const uint16_t port = Listener().port();
  for (const bool http : {true, false}) {
    outcome = {};
    ReadySpec ways = Ways();
    ways.tcp_socket = !http;
    ways.http_get = http ? "/health" : "";
    const auto readiness = Begin(ways, port);
    RunFor(120ms);
    EXPECT_FALSE(outcome.ended());
    const TestServer server(loop(), http ? AF_INET : AF_INET6, port);
    EXPECT_THAT(Ready(), StartsWith(http ? "http_get" : "tcp_socket found port"));
  }
}

TEST_F(ReadinessTest, UrlNamesAnotherServer) {
  TestServer server(loop());
  member = -1;  // nor is it asked whose that is
  ReadySpec ways = Ways();
  ways.http_get = server.url() + "/up";
  const auto readiness = Begin(ways, Listener().port());
  EXPECT_EQ(Ready(), "http_get " + server.url() + "/up answered 200");
}

TEST_F(ReadinessTest, QuestionsBecomeRarer) {
  TestServer server(loop());
  server.answer = TestServer::Status(503);
  ReadySpec ways = Ways();
  ways.timeout = 1h;
  ways.http_get = "/";
  const auto asked_within = [&](std::chrono::nanoseconds age, std::chrono::nanoseconds time) {
    server.connections = 0;
    const auto readiness = Begin(ways, server.port(), age);
    RunFor(time);
    return server.connections;
  };
  // At once, and then every 50 ms, 250 ms, 1 s; a slow machine asks less.
  const int young = asked_within(0s, 300ms);
  EXPECT_GE(young, 3);
  EXPECT_LE(young, 6);
  const int older = asked_within(11s, 300ms);
  EXPECT_GE(older, 1);
  EXPECT_LE(older, 2);
  EXPECT_EQ(asked_within(61s, 300ms), 1);
}

TEST_F(ReadinessTest, AnswerOfAStrangerIsNotBelieved) {
  TestServer server(loop());
  member = -1;
  for (const bool http : {true, false}) {
    outcome = {};
    ReadySpec ways = Ways();
    ways.http_get = http ? "/health" : "";
    ways.tcp_socket = !http;
    ways.timeout = 300ms;
    const auto readiness = Begin(ways, server.port());
    EXPECT_EQ(TimedOut(),
              "not ready after 300ms: " + std::string(http ? "http_get /health" : "tcp_socket") +
                  ": port " + std::to_string(server.port()) + " is held by process " +
                  std::to_string(::getpid()) + " (" + std::string(Trim(*proc.Read("self/comm"))) +
                  "), which is not of this service");
  }
}

TEST_F(ReadinessTest, PortThatPassesFromAStrangerToTheRunMakesReady) {
  TestServer server(loop());
  member = -1;
  ReadySpec ways = Ways();
  ways.tcp_socket = true;
  const auto readiness = Begin(ways, server.port());
  ASSERT_TRUE(RunUntil([&] { return server.connections == 3; }));
  member = ::getpid();
  EXPECT_THAT(Ready(), HasSubstr("open"));
}

// --- Commands ---

TEST_F(ReadinessTest, CommandIsRunUntilItSucceeds) {
  FakeTree tree;
  ReadySpec ways = Ways();
  ways.exec = {"/bin/sh", "-c",
               "echo >> " + tree.PathOf("calls") + "; test -e " + tree.PathOf("up")};
  const auto readiness = Begin(ways);
  const auto calls = [&] {
    std::ifstream file(tree.PathOf("calls"));
    return std::string(std::istreambuf_iterator<char>(file), {}).size();
  };
  ASSERT_TRUE(RunUntil([&] { return calls() >= 2; }));
  EXPECT_FALSE(outcome.ended());
  tree.Write("up", "");
  EXPECT_EQ(Ready(), "exec succeeded");
}

TEST_F(ReadinessTest, CommandSeesTheMarksOfTheRun) {
  ReadySpec ways = Ways();
  ways.exec = {"/bin/sh", "-c", "test $IDLEWATT_SERVICE/$IDLEWATT_RUN = probed/run"};
  const auto readiness = Begin(ways);
  EXPECT_EQ(Ready(), "exec succeeded");
}

TEST_F(ReadinessTest, CommandThatHangsEndsWithTheRest) {
  ReadySpec ways = Ways();
  ways.exec = {"/bin/sh", "-c", "sleep 1000 & sleep 1000"};
  ways.log_patterns = {"up"};
  const auto readiness = Begin(ways);
  ASSERT_TRUE(RunUntil([] { return HasChildren(); }));
  readiness->OnOutput("up\n");
  EXPECT_THAT(Ready(), StartsWith("log line"));
}

TEST_F(ReadinessTest, CommandThatFailsIsToldAtTheEnd) {
  ReadySpec ways = Ways();
  ways.timeout = 300ms;
  ways.exec = {"/bin/sh", "-c", "echo no model; exit 7"};
  auto readiness = Begin(ways);
  EXPECT_EQ(TimedOut(), "not ready after 300ms: exec exited with code 7: no model");
  outcome = {};
  ways.exec = {"idlewatt-no-such-program"};
  readiness = Begin(ways);
  EXPECT_THAT(TimedOut(), HasSubstr("was not found in PATH"));
}

// --- sd_notify ---

TEST_F(ReadinessTest, NotifyOfAMemberMakesReady) {
  ReadySpec ways = Ways();
  ways.notify = true;
  const auto readiness = Begin(ways);
  SendNotify(kNotifyName, "STATUS=loading");
  ASSERT_TRUE(RunUntil([&] { return !outcome.status.empty(); }));
  EXPECT_FALSE(outcome.ended());
  SendNotify(kNotifyName, "READY=1\nSTATUS=serving");
  EXPECT_EQ(Ready(), "READY=1 of process " + std::to_string(::getpid()));
  EXPECT_THAT(outcome.status, ElementsAre("loading", "serving"));
}

TEST_F(ReadinessTest, NotifyOfAStrangerDoesNot) {
  member = -1;
  ReadySpec ways = Ways();
  ways.notify = true;
  ways.timeout = 50ms;
  const auto readiness = Begin(ways);
  SendNotify(kNotifyName, "READY=1\nSTATUS=I am a stranger");
  EXPECT_EQ(TimedOut(), "not ready after 50ms: READY=1 came from process " +
                            std::to_string(::getpid()) + " only, which is not of this service");
  EXPECT_THAT(outcome.status, ElementsAre());
}

TEST_F(ReadinessTest, NotifyExtendsTheTimeout) {
  ReadySpec ways = Ways();
  ways.notify = true;
  ways.timeout = 20ms;
  const auto readiness = Begin(ways);
  SendNotify(kNotifyName, "EXTEND_TIMEOUT_USEC=150000");
  const BootTime begin = loop().Now();
  EXPECT_THAT(TimedOut(), HasSubstr("no READY=1 came"));
  EXPECT_GE(loop().Now() - begin, 150ms);
}

TEST_F(ReadinessTest, SocketThatIsTakenIsToldAtTheEnd) {
  ReadySpec ways = Ways();
  ways.notify = true;
  ways.timeout = 1h;
  const auto first = Begin(ways);
  ways.timeout = 1ms;
  const auto second = Begin(ways);
  EXPECT_THAT(TimedOut(), HasSubstr("no socket for sd_notify"));
}

// --- Time ---

TEST_F(ReadinessTest, DelayMakesReady) {
  ReadySpec ways = Ways();
  ways.delay = 30ms;
  const BootTime begin = loop().Now();
  const auto readiness = Begin(ways);
  EXPECT_EQ(Ready(), "it ran for 30ms");
  EXPECT_GE(loop().Now() - begin, 30ms);
}

TEST_F(ReadinessTest, TimeBeforeTheAdoptionCounts) {
  ReadySpec ways = Ways();
  ways.delay = 1h;
  ways.timeout = 3h;
  const auto readiness = Begin(ways, {}, /*age=*/2h);
  EXPECT_EQ(Ready(), "it ran for 1h");
}

TEST_F(ReadinessTest, AdoptedRunIsAskedOnceEvenAfterItsTimeout) {
  TestServer server(loop());
  ReadySpec ways = Ways();
  ways.http_get = "/health";
  const auto readiness = Begin(ways, server.port(), /*age=*/2h);
  EXPECT_EQ(Ready(), "http_get /health answered 200");
}

TEST_F(ReadinessTest, TimeoutTellsTheLastAnswerOfEachWay) {
  TestServer server(loop());
  server.answer = TestServer::Status(503);
  ReadySpec ways = Ways();
  ways.http_get = "/health";
  ways.log_patterns = {"up"};
  ways.notify = true;
  ways.exec = {"sleep", "1000"};
  ways.delay = 1h;
  ways.timeout = 100ms;
  const auto readiness = Begin(ways, server.port());
  readiness->OnOutput("down\n");
  EXPECT_EQ(TimedOut(),
            "not ready after 100ms: http_get /health answered 503; exec has no answer yet; no log "
            "line matched; no READY=1 came; its delay of 1h is not over");
  const int asked = server.connections;
  RunFor(120ms);
  EXPECT_EQ(server.connections, asked);
  readiness->OnOutput("up\n");
  EXPECT_THAT(outcome.ready, ElementsAre());
}

TEST_F(ReadinessTest, SilentServerDoesNotHoldUpTheTimeout) {
  TestServer server(loop());
  server.answer.reset();
  ReadySpec ways = Ways();
  ways.http_get = "/health";
  ways.timeout = 100ms;
  const auto readiness = Begin(ways, server.port());
  EXPECT_EQ(TimedOut(), "not ready after 100ms: http_get /health has no answer yet");
}

TEST_F(ReadinessTest, OutputExtendsTheTimeoutWhereItMay) {
  ReadySpec ways = Ways();
  ways.log_patterns = {"up"};
  ways.timeout = 20ms;
  ways.stall_timeout = 60ms;
  const auto readiness = Begin(ways);
  const BootTime begin = loop().Now();
  EventLoop::Timer output(loop());
  int writes = 0;
  std::function<void()> write = [&] {
    readiness->OnOutput("tensor\n");
    if (++writes < 10) output.SetAfter(15ms, write);
  };
  write();
  EXPECT_THAT(TimedOut(), HasSubstr("no log line matched"));
  EXPECT_EQ(writes, 10);
  EXPECT_GE(loop().Now() - begin, 9 * 15ms + 60ms);
}

// --- Several ways, and the end ---

TEST_F(ReadinessTest, FirstWayWinsAndTheOthersEnd) {
  TestServer server(loop());
  server.answer.reset();
  ReadySpec ways = Ways();
  ways.http_get = "/health";
  ways.tcp_socket = false;
  ways.exec = {"sleep", "1000"};
  ways.notify = true;
  ways.log_patterns = {"up"};
  ways.delay = 1h;
  const auto before = Descriptors();
  const auto readiness = Begin(ways, server.port());
  ASSERT_TRUE(RunUntil([&] { return server.connections == 1 && HasChildren(); }));
  readiness->OnOutput("up");
  EXPECT_EQ(Ready(), "log line \"up\"");
  // The object is still there, its descriptors and processes are not.
  EXPECT_TRUE(RunUntil([&] { return !HasChildren() && Descriptors() == before; }));
  RunFor(60ms);
  EXPECT_EQ(server.connections, 1);
}

TEST_F(ReadinessTest, MayEndAtAnyTime) {
  TestServer server(loop());
  server.answer = TestServer::Status(503);
  ReadySpec ways = Ways();
  ways.http_get = "/health";
  ways.exec = {"sleep", "1000"};
  ways.notify = true;
  ways.log_patterns = {"up", "u[p]"};
  ways.delay = 1h;
  for (int turns = 0; turns < 15; ++turns) {
    auto readiness = Begin(ways, server.port());
    int turned = 0;
    ASSERT_TRUE(RunUntil([&] { return turned++ == turns; }));
    readiness.reset();
  }
  EXPECT_FALSE(outcome.ended());
}

TEST_F(ReadinessTest, MayEndInEachOfItsCallbacks) {
  TestServer server(loop());
  const std::string text = "kept by the callback until it returns";
  for (const std::string way : {"http", "log", "exec", "notify", "status", "delay", "timeout"}) {
    ReadySpec ways = Ways();
    if (way == "http") ways.http_get = "/";
    if (way == "exec") ways.exec = {"true"};
    if (way == "delay") ways.delay = 1ms;
    if (way == "timeout") ways.timeout = 1ms;
    ways.log_patterns = {"up"};
    ways.notify = true;
    ProbedRun run{.spec = Spec(),
                  .marks = {.data_dir = "/none", .run = "run", .notify_socket = kNotifyName},
                  .is_member = [](int32_t) { return true; }};
    run.spec.ready = ways;
    run.spec.port = server.port();
    std::unique_ptr<Readiness> readiness;
    std::vector<std::string> seen;
    const auto end = [&readiness, &seen, text](const std::string&) {
      readiness.reset();
      seen.push_back(text);
    };
    readiness = std::make_unique<Readiness>(loop(), children, proc, run, loop().Now(),
                                            Readiness::Callbacks{end, end, end});
    if (way == "log") readiness->OnOutput("up\nup\n");
    if (way == "notify") SendNotify(kNotifyName, "READY=1");
    if (way == "status") SendNotify(kNotifyName, "STATUS=x\nREADY=1");
    ASSERT_TRUE(RunUntil([&] { return !seen.empty(); })) << way;
    EXPECT_THAT(seen, ElementsAre(text)) << way;
  }
}

}  // namespace
}  // namespace idlewatt
