#include "supervisor/probe/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "tests/supervisor/loop_fixture.h"
#include "tests/supervisor/test_server.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ProbeTest : public LoopFixture {
 protected:
  Answer Ask(ProbeTarget target, std::chrono::milliseconds timeout = kLong) {
    std::optional<Answer> came;
    const Probe probe(loop(), std::move(target), timeout, [&](Answer answer) {
      EXPECT_FALSE(came);
      came = std::move(answer);
    });
    EXPECT_FALSE(came);
    EXPECT_TRUE(RunUntil([&] { return came.has_value(); }));
    return came.value_or(Answer{});
  }
  Answer AskHttp(std::string_view http_get, std::optional<uint16_t> port = {},
                 std::chrono::milliseconds timeout = kLong) {
    auto target = HttpTarget(http_get, port);
    if (!target) ADD_FAILURE() << target.error().ToString();
    return Ask(*target, timeout);
  }
  // A port that nobody listens on.
  static uint16_t FreePort() { return Listener().port(); }
};

TEST_F(ProbeTest, HttpStatusDecides) {
  TestServer server(loop());
  for (const int code : {200, 204, 302, 399}) {
    server.answer = TestServer::Status(code);
    const Answer answer = AskHttp("/health", server.port());
    EXPECT_TRUE(answer.good) << code;
    EXPECT_EQ(answer.text, "answered " + std::to_string(code));
  }
  for (const int code : {103, 199, 400, 404, 500, 503}) {
    server.answer = TestServer::Status(code);
    const Answer answer = AskHttp("/health", server.port());
    EXPECT_FALSE(answer.good) << code;
    EXPECT_EQ(answer.text, "answered " + std::to_string(code));
  }
  EXPECT_EQ(server.foreign_connections, 0);
}

TEST_F(ProbeTest, HttpRequestIsOneThatServersUnderstand) {
  TestServer server(loop());
  AskHttp("/v1/models?x=1", server.port());
  EXPECT_THAT(server.last_request, StartsWith("GET /v1/models?x=1 HTTP/1.1\r\n"));
  EXPECT_THAT(server.last_request,
              HasSubstr("\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
  EXPECT_THAT(server.last_request, HasSubstr("\r\nConnection: close\r\n"));
}

TEST_F(ProbeTest, PathOfAnyLengthIsSent) {
  TestServer server(loop());
  const std::string path = "/" + std::string(size_t{1} << 20, 'x');
  server.answer = TestServer::Status(414);
  EXPECT_EQ(AskHttp(path, server.port()).text, "answered 414");
  EXPECT_THAT(server.last_request.size(), testing::Gt(path.size()));
}

TEST_F(ProbeTest, WhatIsNoHttpIsNoAnswer) {
  TestServer server(loop());
  for (const char* garbage : {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 abc\r\n", "HTTP/1.1 2000 OK\r\n",
                              "{\"status\": 200}\n", "\n"}) {
    server.answer = garbage;
    const Answer answer = AskHttp("/", server.port());
    EXPECT_FALSE(answer.good);
    EXPECT_EQ(answer.text, "gave no HTTP answer") << garbage;
  }
}

TEST_F(ProbeTest, ServerThatClosesGaveNoAnswer) {
  TestServer server(loop());
  for (const bool reads : {true, false}) {
    server.reads = reads;
    for (const char* text : {"", "HTTP/1.1 200"}) {
      server.answer = text;
      EXPECT_EQ(AskHttp("/", server.port()).text, "closed the connection without an HTTP answer");
    }
  }
}

TEST_F(ProbeTest, ServerThatAnswersBeforeItReadsIsHeard) {
  TestServer server(loop());
  server.reads = false;
  server.answer = TestServer::Status(503);
  EXPECT_EQ(AskHttp("/", server.port()).text, "answered 503");
}

TEST_F(ProbeTest, AnswerMayComeInPieces) {
  const Listener listener;
  UniqueFd server;
  std::optional<Answer> came;
  const Probe probe(loop(), *HttpTarget("/", listener.port()), kLong,
                    [&](Answer answer) { came = std::move(answer); });
  ASSERT_TRUE(RunUntil([&] {
    server.reset(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    return static_cast<bool>(server);
  }));
  for (const char c : std::string("HTTP/1.0 204\n")) {
    EXPECT_FALSE(came);
    ASSERT_EQ(::send(server.get(), &c, 1, MSG_NOSIGNAL), 1);
    ASSERT_TRUE(RunUntil([turns = 0]() mutable { return ++turns > 1; }));
  }
  ASSERT_TRUE(came);
  EXPECT_EQ(came->text, "answered 204");
}

TEST_F(ProbeTest, ServerThatNeverAnswersIsGivenUp) {
  TestServer server(loop());
  server.answer.reset();
  const BootTime begin = loop().Now();
  EXPECT_EQ(AskHttp("/", server.port(), 30ms).text, "did not answer within 30ms");
  EXPECT_GE(loop().Now(), begin + 30ms);
}

// Its queue of connections is full: the kernel drops what asks for one.
TEST_F(ProbeTest, ServerThatDoesNotAcceptIsGivenUp) {
  const Listener listener;
  ASSERT_EQ(::listen(listener.fd(), 0), 0);
  EXPECT_TRUE(Ask(TcpTarget(listener.port())).good);
  EXPECT_EQ(AskHttp("/", listener.port(), 30ms).text, "did not answer within 30ms");
  EXPECT_EQ(Ask(TcpTarget(listener.port()), 30ms).text, "did not answer within 30ms");
}

TEST_F(ProbeTest, TcpIsContentWithAConnection) {
  TestServer server(loop());
  server.answer.reset();
  const Answer answer = Ask(TcpTarget(server.port()));
  EXPECT_TRUE(answer.good);
  EXPECT_EQ(answer.text, "found port " + std::to_string(server.port()) + " open");
  EXPECT_TRUE(RunUntil([&] { return server.connections == 1; }));
  EXPECT_EQ(server.foreign_connections, 0);
}

TEST_F(ProbeTest, NobodyOnThePortIsKnownAtOnce) {
  const uint16_t port = FreePort();
  const std::string text = "found nobody on port " + std::to_string(port);
  EXPECT_EQ(Ask(TcpTarget(port)).text, text);
  EXPECT_EQ(AskHttp("/", port).text, text);
  EXPECT_EQ(AskHttp("http://[::1]:" + std::to_string(port) + "/").text, text);
}

TEST_F(ProbeTest, ServerOfIpv6AloneIsFound) {
  TestServer server(loop(), AF_INET6);
  const std::string port = ":" + std::to_string(server.port()) + "/";
  EXPECT_TRUE(AskHttp("/", server.port()).good);
  EXPECT_TRUE(AskHttp("http://localhost" + port).good);
  EXPECT_TRUE(AskHttp("http://[::1]" + port).good);
  EXPECT_TRUE(Ask(TcpTarget(server.port())).good);
  EXPECT_FALSE(AskHttp("http://127.0.0.1" + port).good);
  EXPECT_TRUE(RunUntil([&] { return server.connections == 4; }));
  EXPECT_EQ(server.foreign_connections, 0);
}

// Our own end has a port of this range, and TCP would connect it with itself.
TEST_F(ProbeTest, OwnEndIsNotTakenForTheServer) {
  for (int i = 0; i < 2 * kOwnIpv6Ports; ++i) {
    EXPECT_FALSE(Ask(TcpTarget(kOwnIpv6FirstPort)).good);
  }
}

TEST_F(ProbeTest, MayEndAtAnyTime) {
  TestServer server(loop());
  const auto ignore = [](const Answer&) { ADD_FAILURE() << "it has ended"; };
  std::optional<Probe> probe;
  probe.emplace(loop(), *HttpTarget("/", server.port()), kLong, ignore);
  probe.reset();
  RunFor(2ms);
  probe.emplace(loop(), *HttpTarget("/", server.port()), kLong, ignore);
  ASSERT_TRUE(RunUntil([&] { return server.connections == 1; }));
  probe.reset();
  RunFor(2ms);
}

TEST_F(ProbeTest, MayEndInItsOwnCallback) {
  TestServer server(loop());
  for (const uint16_t port : {server.port(), FreePort()}) {
    std::unique_ptr<Probe> probe;
    const std::string text = "kept by the callback until it returns";
    std::string seen;
    probe = std::make_unique<Probe>(loop(), *HttpTarget("/", port), kLong,
                                    [&probe, &seen, text](const Answer&) {
                                      probe.reset();
                                      seen = text;
                                    });
    ASSERT_TRUE(RunUntil([&] { return !seen.empty(); }));
    EXPECT_EQ(seen, text);
  }
}

TEST(HttpTargetTest, PathIsAtThePortOfTheRun) {
  const auto target = HttpTarget("/health", 8001);
  ASSERT_TRUE(target);
  EXPECT_EQ(*target, (ProbeTarget{8001, "/health", "127.0.0.1:8001", true, true}));
}

TEST(HttpTargetTest, UrlNamesItsServer) {
  EXPECT_EQ(HttpTarget("http://127.0.0.1:9/a/b?c", 1).value(),
            (ProbeTarget{9, "/a/b?c", "127.0.0.1:9", true, false}));
  EXPECT_EQ(HttpTarget("http://localhost:9/", {}).value(),
            (ProbeTarget{9, "/", "localhost:9", true, true}));
  EXPECT_EQ(HttpTarget("http://[::1]:80/x", {}).value(),
            (ProbeTarget{80, "/x", "[::1]:80", false, true}));
}

TEST(HttpTargetTest, OtherThingsAreRefused) {
  EXPECT_FALSE(HttpTarget("/health", std::nullopt));
  for (const char* text :
       {"", "health", "/a b", "/\xC3\xA9", "/a\r\nX: y", "http://", "http://example.org/",
        "https://127.0.0.1/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/",
        "http://127.0.0.10:1/", "http://127.0.0.1:1/ ", "http://127.0.0.1:", "http://127.0.0.1/x",
        "http://127.0.0.1:80", "http://localhost.example.org/", "http://[::1]x/",
        "http://user@127.0.0.1/"}) {
    const auto target = HttpTarget(text, 8001);
    ASSERT_FALSE(target) << text;
    EXPECT_EQ(target.error().code, ErrorCode::kInvalid);
  }
}

TEST(HttpStatusTest, IsKnownAsSoonAsItCanBe) {
  using enum HttpStatus::State;
  EXPECT_EQ(ParseHttpStatus("").state, kIncomplete);
  EXPECT_EQ(ParseHttpStatus("HTTP/1.1 20").state, kIncomplete);
  EXPECT_EQ(ParseHttpStatus("HTTP/1.1 200").state, kIncomplete);
  EXPECT_EQ(ParseHttpStatus("HTTP/1.1 200 ").state, kKnown);
  EXPECT_EQ(ParseHttpStatus("HTTP/1.1 404\r").code, 404);
  EXPECT_EQ(ParseHttpStatus("HTTP/1.0 999\nabc").code, 999);
  EXPECT_EQ(ParseHttpStatus("HTTP/x").state, kNoHttp);
  EXPECT_EQ(ParseHttpStatus("http/1.1 200 ").state, kNoHttp);
  EXPECT_EQ(ParseHttpStatus("HTTP/1.1 200x").state, kNoHttp);
  EXPECT_EQ(ParseHttpStatus(std::string_view("H\0", 2)).state, kNoHttp);
}

}  // namespace
}  // namespace idlewatt
