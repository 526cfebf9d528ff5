#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/probe/readiness.h"
#include "tests/supervisor/child_fixture.h"
#include "tests/supervisor/test_server.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class LivenessTest : public ChildFixture {
 protected:
  static LivenessSpec Way() {
    LivenessSpec spec;
    spec.period = 5ms;
    spec.timeout = kLong;
    return spec;
  }
  ProbedRun Run(const LivenessSpec& liveness, std::optional<uint16_t> port = {}) {
    ProbedRun run{.spec = Spec(),
                  .marks = {.data_dir = "/none", .run = "run", .notify_socket = {}},
                  .is_member = [this](int32_t pid) { return pid == member; }};
    run.spec.liveness = liveness;
    run.spec.port = port;
    return run;
  }
  Liveness Begin(const LivenessSpec& liveness, std::optional<uint16_t> port = {}) {
    return Liveness(loop(), children, proc, Run(liveness, port),
                    {[this](int failures, std::string why) {
                      changes.emplace_back(failures, std::move(why));
                    }});
  }
  [[nodiscard]] bool RunUntilChanges(size_t count) {
    return RunUntil([&] { return changes.size() == count; });
  }

  std::vector<std::pair<int, std::string>> changes;
  int32_t member = ::getpid();
};

TEST_F(LivenessTest, CountsFailuresAndRecovers) {
  TestServer server(loop());
  LivenessSpec way = Way();
  way.http_get = "/health";
  const Liveness liveness = Begin(way, server.port());
  ASSERT_TRUE(RunUntil([&] { return server.connections == 3; }));
  EXPECT_THAT(changes, ElementsAre());
  server.answer = TestServer::Status(500);
  ASSERT_TRUE(RunUntilChanges(3));
  server.answer = TestServer::Status(200);
  ASSERT_TRUE(RunUntilChanges(4));
  server.answer = "garbage, much of it\n";
  ASSERT_TRUE(RunUntilChanges(5));
  EXPECT_THAT(changes, ElementsAre(Pair(1, "http_get /health answered 500"),
                                   Pair(2, "http_get /health answered 500"),
                                   Pair(3, "http_get /health answered 500"), Pair(0, ""),
                                   Pair(1, "http_get /health gave no HTTP answer")));
  EXPECT_EQ(server.foreign_connections, 0);
}

TEST_F(LivenessTest, FirstQuestionComesAfterOnePeriod) {
  TestServer server(loop());
  LivenessSpec way = Way();
  way.tcp_socket = true;
  way.period = 100ms;
  const BootTime begin = loop().Now();
  const Liveness liveness = Begin(way, server.port());
  ASSERT_TRUE(RunUntil([&] { return server.connections == 2; }));
  EXPECT_GE(loop().Now() - begin, 200ms);
}

TEST_F(LivenessTest, ServerThatHangsFailsAfterTheTimeout) {
  TestServer server(loop());
  server.answer.reset();
  LivenessSpec way = Way();
  way.http_get = "/";
  way.timeout = 20ms;
  const Liveness liveness = Begin(way, server.port());
  ASSERT_TRUE(RunUntilChanges(2));
  EXPECT_THAT(changes.back(), Pair(2, "http_get / did not answer within 20ms"));
}

TEST_F(LivenessTest, CommandThatHangsFailsAfterTheTimeout) {
  LivenessSpec way = Way();
  way.exec = {"sleep", "1000"};
  way.timeout = 50ms;
  const Liveness liveness = Begin(way);
  ASSERT_TRUE(RunUntilChanges(2));
  EXPECT_THAT(changes.back(), Pair(2, "exec did not end within 50ms and was killed"));
}

TEST_F(LivenessTest, StrangerOnThePortIsAFailure) {
  const Listener listener;
  member = -1;
  LivenessSpec way = Way();
  way.tcp_socket = true;
  const Liveness liveness = Begin(way, listener.port());
  ASSERT_TRUE(RunUntilChanges(1));
  EXPECT_THAT(changes.back().second, testing::HasSubstr("is held by process"));
}

TEST_F(LivenessTest, MayEndAtAnyTime) {
  TestServer server(loop());
  server.answer = TestServer::Status(500);
  LivenessSpec way = Way();
  way.period = 0ms;
  way.http_get = "/";
  for (int turns = 0; turns < 15; ++turns) {
    auto liveness = std::make_unique<Liveness>(loop(), children, proc, Run(way, server.port()),
                                               Liveness::Callbacks{[](int, const std::string&) {}});
    int turned = 0;
    ASSERT_TRUE(RunUntil([&] { return turned++ == turns; }));
    liveness.reset();
  }
}

TEST_F(LivenessTest, MayEndInItsOwnCallback) {
  LivenessSpec way = Way();
  way.tcp_socket = true;
  std::unique_ptr<Liveness> liveness;
  const std::string text = "kept by the callback until it returns";
  std::vector<std::string> seen;
  liveness = std::make_unique<Liveness>(
      loop(), children, proc, Run(way, Listener().port()),
      Liveness::Callbacks{[&liveness, &seen, text](int, const std::string&) {
        liveness.reset();
        seen.push_back(text);
      }});
  ASSERT_TRUE(RunUntil([&] { return !seen.empty(); }));
  RunFor(20ms);
  EXPECT_THAT(seen, ElementsAre(text));
}

}  // namespace
}  // namespace idlewatt
