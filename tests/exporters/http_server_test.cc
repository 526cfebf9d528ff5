#include "exporters/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <stdexcept>

#include "base/mutex.h"
#include "base/text.h"
#include "tests/support/http_client.h"

namespace idlewatt {
namespace {

// Something that happens once, for the threads of a test.
class Event {
 public:
  void Happen() {
    const MutexLock lock(mutex_);
    happened_ = true;
    changed_.NotifyAll();
  }
  // False when it did not happen in time.
  bool Wait(std::chrono::nanoseconds patience = std::chrono::seconds(20)) {
    const auto deadline = Time::clock::now() + patience;
    const MutexLock lock(mutex_);
    while (!happened_ && Time::clock::now() < deadline) {
      changed_.WaitFor(mutex_, deadline - Time::clock::now());
    }
    return happened_;
  }
  using Time = std::chrono::steady_clock::time_point;

 private:
  Mutex mutex_;
  CondVar changed_;
  bool happened_ GUARDED_BY(mutex_) = false;
};

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override { Start({}); }

  void Start(HttpServer::Options options) {
    server_.reset();
    options.listen = "127.0.0.1:0";
    HttpServer::Endpoints endpoints;
    endpoints["/echo"].get = [](const HttpRequest& request) {
      return HttpResponse{200, "text/plain",
                          request.path + " " + request.Query("name").value_or("-")};
    };
    endpoints["/large"].get = [](const HttpRequest&) {
      return HttpResponse{200, "text/plain", std::string(100'000, 'x')};
    };
    endpoints["/throws"].get = [](const HttpRequest&) -> HttpResponse {
      throw std::runtime_error("a library threw");
    };
    endpoints["/post"].post = [](const HttpRequest& request) {
      return HttpResponse{200, "text/plain",
                          request.authorization + "|" + std::to_string(request.body.size()) + "|" +
                              request.body.substr(0, 20)};
    };
    endpoints["/both"] = {endpoints["/echo"].get, endpoints["/post"].post};
    const auto add_stream = [&](const char* path, std::function<void(HttpStream&)> stream) {
      endpoints[path].get = [stream = std::move(stream)](const HttpRequest&) {
        HttpResponse response{200, "text/plain", ""};
        response.stream = stream;
        return response;
      };
    };
    add_stream("/count", [](HttpStream& stream) {
      for (const char* number : {"one", "", "two"}) EXPECT_TRUE(stream.Write(number));
    });
    add_stream("/throws/later", [](HttpStream& stream) {
      stream.Write("so far");
      throw std::runtime_error("a library threw");
    });
    add_stream("/endless", [this](HttpStream& stream) {
      stream.Write("begun");
      while (stream.IsOpen()) ::poll(nullptr, 0, 10);
      EXPECT_FALSE(stream.IsOpen());
      ended_.Happen();
    });
    add_stream("/flood", [this](HttpStream& stream) {
      stream.Write("begun");
      const std::string data(1 << 20, 'x');
      while (stream.Write(data)) {
      }
      EXPECT_FALSE(stream.IsOpen()) << "a stream that failed stays failed";
      ended_.Happen();
    });
    auto started = HttpServer::Start(options, std::move(endpoints));
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    port_ = *ParseNumber<uint16_t>(server_->address().substr(server_->address().rfind(':') + 1));
  }

  client::HttpResponse Send(const client::HttpRequest& request) const {
    auto response = client::SendHttp(port_, request);
    EXPECT_TRUE(response) << request.path << ": " << response.error().ToString();
    return response.value_or(client::HttpResponse());
  }

  UniqueFd Connect() const {
    auto socket = client::detail::ConnectLoopback(port_);
    EXPECT_TRUE(socket) << socket.error().ToString();
    return socket ? std::move(*socket) : UniqueFd();
  }

  // What comes after `text` was sent, up to `until` in it or to the end of the connection.
  static std::string Talk(const UniqueFd& socket, const std::string& text,
                          std::string_view until = "no such text") {
    (void)client::detail::SendAll(socket.get(), text);
    std::string got;
    std::array<char, 4096> buffer{};
    pollfd poll_fd{.fd = socket.get(), .events = POLLIN, .revents = 0};
    while (got.find(until) == std::string::npos && ::poll(&poll_fd, 1, 20'000) > 0) {
      const ssize_t count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) break;
      got.append(buffer.data(), static_cast<size_t>(count));
    }
    return got;
  }

  // A stream that has begun, and its connection.
  UniqueFd OpenStream(const std::string& path = "/endless") const {
    UniqueFd socket = Connect();
    const std::string got =
        Talk(socket, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "begun");
    EXPECT_NE(got.find("begun"), std::string::npos) << got;
    return socket;
  }

  Event ended_;
  std::unique_ptr<HttpServer> server_;
  uint16_t port_ = 0;
};

TEST_F(HttpServerTest, AnswersAtItsPathAndBelow) {
  EXPECT_EQ(Send({.path = "/echo"}).body, "/echo -");
  EXPECT_EQ(Send({.path = "/echo/llama?name=a%20b"}).body, "/echo/llama a b");
}

TEST_F(HttpServerTest, SaysNotFoundInJson) {
  const auto response = Send({.path = "/echoes"});
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body,
            "{\"error\":{\"code\":\"not_found\",\"message\":\"there is nothing at /echoes\"}}\n");
}

TEST_F(HttpServerTest, RefusesOtherMethodsAndNamesThoseThatItTakes) {
  const auto post = Send({.method = "POST", .path = "/echo", .body = "x"});
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(post.headers.at("allow"), "GET, HEAD");
  const auto get = Send({.path = "/post"});
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.headers.at("allow"), "POST");
  EXPECT_EQ(Send({.method = "PUT", .path = "/both"}).headers.at("allow"), "GET, HEAD, POST");
  EXPECT_EQ(Send({.method = "DELETE", .path = "/echo"}).status, 405);
}

TEST_F(HttpServerTest, APostBringsItsBodyAndAuthorization) {
  const auto response = Send({.method = "POST",
                              .path = "/post",
                              .headers = {{"Authorization", "Bearer abc"}},
                              .body = "hello"});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "Bearer abc|5|hello");
}

TEST_F(HttpServerTest, APostNeedsNoBody) {
  const std::string got =
      Talk(Connect(), "POST /post HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_NE(got.find("200 OK"), std::string::npos) << got;
  EXPECT_TRUE(got.ends_with("|0|")) << got;
}

TEST_F(HttpServerTest, ABodyMayComeInChunks) {
  const std::string got = Talk(Connect(),
                               "POST /post HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_TRUE(got.ends_with("|5|abcde")) << got;
}

TEST_F(HttpServerTest, ABodyHasAtMostOneMebibyte) {
  const std::string most(HttpRequest::kMostBody, 'x');
  EXPECT_EQ(Send({.method = "POST", .path = "/post", .body = most}).status, 200);
  const auto refused = Send({.method = "POST", .path = "/post", .body = most + "y"});
  EXPECT_EQ(refused.status, 413);
  EXPECT_NE(refused.body.find("too_large"), std::string::npos);
  // In chunks its size is known only when it is there.
  const std::string got = Talk(Connect(),
                               "POST /post HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n100001\r\n" +
                                   most + "y\r\n0\r\n\r\n");
  EXPECT_NE(got.find(" 413 "), std::string::npos) << got;
}

TEST_F(HttpServerTest, ABodyThatEndsEarlyIsRefused) {
  const UniqueFd socket = Connect();
  ASSERT_TRUE(client::detail::SendAll(
      socket.get(), "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"));
  ::shutdown(socket.get(), SHUT_WR);
  EXPECT_NE(Talk(socket, "").find(" 413 "), std::string::npos);
}

TEST_F(HttpServerTest, TurnsAnExceptionInto500) {
  const auto response = Send({.path = "/throws"});
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(response.body.find("a library threw"), std::string::npos);
}

// Of every kind of answer: a web page elsewhere must reach none of them.
const std::vector<client::HttpRequest>& EveryKind() {
  static const std::vector<client::HttpRequest> kinds = {
      {.path = "/echo"}, {.method = "POST", .path = "/post"}, {.path = "/count"}};
  return kinds;
}

TEST_F(HttpServerTest, RefusesAHostThatIsNotLoopback) {
  for (client::HttpRequest request : EveryKind()) {
    for (const char* host : {"evil.example:80", "127.evil.example", "127.0.0.1.evil.example:19288",
                             "localhost.evil.example", "128.0.0.1", "", "[::2]:80"}) {
      request.headers = {{"Host", host}};
      EXPECT_EQ(Send(request).status, 403) << request.path << " " << host;
    }
    for (const char* host :
         {"localhost", "localhost:1", "127.0.0.1", "127.1.2.3:80", "[::1]:80", "[::1]"}) {
      request.headers = {{"Host", host}};
      EXPECT_EQ(Send(request).status, 200) << request.path << " " << host;
    }
  }
}

TEST_F(HttpServerTest, RefusesAnOriginThatIsNotItself) {
  for (client::HttpRequest request : EveryKind()) {
    for (const char* origin : {"http://evil.example", "null", "http://127.0.0.1:1"}) {
      request.headers = {{"Origin", origin}};
      EXPECT_EQ(Send(request).status, 403) << request.path << " " << origin;
    }
    request.headers = {{"Origin", "http://127.0.0.1:" + std::to_string(port_)}};
    EXPECT_EQ(Send(request).status, 200) << request.path;
  }
}

TEST_F(HttpServerTest, RefusesWhatAPageElsewhereEmbeds) {
  for (client::HttpRequest request : EveryKind()) {
    for (const char* site : {"cross-site", "same-site"}) {
      request.headers = {{"Sec-Fetch-Site", site}, {"Sec-Fetch-Dest", "image"}};
      EXPECT_EQ(Send(request).status, 403) << request.path << " " << site;
    }
    request.headers = {{"Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Dest", "empty"}};
    EXPECT_EQ(Send(request).status, 200) << request.path;
  }
  const auto link =
      Send({.path = "/echo",
            .headers = {{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Dest", "document"}}});
  EXPECT_EQ(link.status, 200) << "somebody followed a link";
}

TEST_F(HttpServerTest, NoPreflightIsAllowed) {
  const auto response = Send(
      {.method = "OPTIONS",
       .path = "/post",
       .headers = {{"Origin", "http://evil.example"}, {"Access-Control-Request-Method", "POST"}}});
  EXPECT_EQ(response.status, 403);
  for (const auto& [name, value] : response.headers) {
    EXPECT_FALSE(name.starts_with("access-control-allow")) << name << ": " << value;
  }
}

TEST_F(HttpServerTest, AStreamSendsEachPieceAtOnceAndEndsWell) {
  const auto response = Send({.path = "/count"});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.chunks, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(response.headers.at("content-type"), "text/plain");
}

TEST_F(HttpServerTest, TheConnectionOfAStreamThatEndedGoesOn) {
  const UniqueFd socket = Connect();
  const std::string request = "GET /count HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_NE(Talk(socket, request, "\r\n0\r\n\r\n").find("two"), std::string::npos);
  EXPECT_NE(Talk(socket, request, "\r\n0\r\n\r\n").find("two"), std::string::npos);
}

TEST_F(HttpServerTest, HeadOfAStreamHasNoBody) {
  const std::string got =
      Talk(Connect(), "HEAD /endless HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_NE(got.find("200 OK"), std::string::npos) << got;
  EXPECT_TRUE(got.ends_with("\r\n\r\n")) << got;
}

TEST_F(HttpServerTest, AStreamThatThrowsDoesNotEndAsIfItWereWhole) {
  const std::string request = "GET /throws/later HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string got = Talk(Connect(), request + request);
  EXPECT_TRUE(got.ends_with("so far\r\n")) << got;
  EXPECT_EQ(got.rfind("HTTP/1.1"), 0U) << "what follows would be taken for the rest of it\n" << got;
}

TEST_F(HttpServerTest, OneStreamTooManyIsToldToComeBack) {
  std::vector<UniqueFd> streams;
  for (int i = 0; i < HttpServer::Options().streams; ++i) streams.push_back(OpenStream());
  const auto refused = Send({.path = "/endless"});
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "5");
  EXPECT_NE(refused.body.find("all 12 streams are in use"), std::string::npos) << refused.body;
  EXPECT_EQ(Send({.path = "/echo"}).status, 200) << "others are not held up";
  streams.pop_back();  // the client goes away, and its place is free
  ASSERT_TRUE(ended_.Wait());
  OpenStream();
}

TEST_F(HttpServerTest, AClientThatTakesNothingIsGivenUp) {
  Start({.stream_patience = std::chrono::milliseconds(200)});
  const UniqueFd socket = Connect();
  ASSERT_TRUE(
      client::detail::SendAll(socket.get(), "GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_EQ(Send({.path = "/echo"}).status, 200);
  EXPECT_TRUE(ended_.Wait());
}

TEST_F(HttpServerTest, StreamsEndWithTheServer) {
  const UniqueFd quiet = OpenStream();
  const UniqueFd stuck = OpenStream("/flood");
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took, std::chrono::milliseconds(500));
  EXPECT_TRUE(Talk(quiet, "").ends_with("0\r\n\r\n")) << "the client learns that all went well";
}

TEST_F(HttpServerTest, CompressesOnlyWhenAsked) {
  const auto plain = Send({.path = "/large"});
  EXPECT_EQ(plain.body.size(), 100'000);
  const auto zipped = Send({.path = "/large", .headers = {{"Accept-Encoding", "gzip, deflate"}}});
  EXPECT_EQ(zipped.headers.at("content-encoding"), "gzip");
  EXPECT_LT(zipped.body.size(), 2000U);
  EXPECT_EQ(zipped.body.substr(0, 2), "\x1f\x8b");
}

TEST_F(HttpServerTest, NamesWhoHoldsAPortInUse) {
  HttpServer::Options options;
  options.listen = server_->address();
  const auto second = HttpServer::Start(options, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kInvalid);
  const std::string text = second.error().ToString();
  EXPECT_NE(text.find("in use by process " + std::to_string(::getpid())), std::string::npos)
      << text;
}

TEST_F(HttpServerTest, AClientWithoutARequestDoesNotHoldUpTheEnd) {
  const UniqueFd silent = Connect();
  const UniqueFd kept = Connect();
  Talk(kept, "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", "/echo -");
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
}

TEST(CheckListenTest, RefusesOpenAddressesUnlessAllowed) {
  EXPECT_FALSE(CheckListen({.listen = "0.0.0.0:19288"}));
  EXPECT_FALSE(CheckListen({.listen = "192.0.2.1:19288"}));
  EXPECT_TRUE(CheckListen({.listen = "0.0.0.0:19288", .allow_unauthenticated = true}));
  EXPECT_TRUE(CheckListen({.listen = "127.0.0.2:0"}));
  EXPECT_TRUE(CheckListen({.listen = "localhost:19288"}));
}

TEST(CheckListenTest, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "19288", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                           "example.com:80", "[::1]:80", "127.0.0.1:80,0.0.0.0:81"}) {
    EXPECT_FALSE(CheckListen({.listen = text})) << text;
  }
}

}  // namespace
}  // namespace idlewatt
