#include "exporters/http_server.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/text.h"
#include "tests/support/http_client.h"

namespace idlewatt {
namespace {

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    std::map<std::string, HttpServer::Handler> handlers;
    handlers["/echo"] = [](const HttpRequest& request) {
      return HttpResponse{200, "text/plain",
                          request.path + " " + request.Query("name").value_or("-")};
    };
    handlers["/large"] = [](const HttpRequest&) {
      return HttpResponse{200, "text/plain", std::string(100'000, 'x')};
    };
    handlers["/throws"] = [](const HttpRequest&) -> HttpResponse {
      throw std::runtime_error("a library threw");
    };
    auto started = HttpServer::Start(options, std::move(handlers));
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    port_ = *ParseNumber<uint16_t>(server_->address().substr(server_->address().rfind(':') + 1));
  }

  client::HttpResponse Send(const client::HttpRequest& request) const {
    auto response = client::SendHttp(port_, request);
    EXPECT_TRUE(response) << response.error().ToString();
    return response.value_or(client::HttpResponse());
  }

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

TEST_F(HttpServerTest, RefusesOtherMethods) {
  EXPECT_EQ(Send({.method = "POST", .path = "/echo", .body = "x"}).status, 405);
  EXPECT_EQ(Send({.method = "DELETE", .path = "/echo"}).status, 405);
}

TEST_F(HttpServerTest, TurnsAnExceptionInto500) {
  const auto response = Send({.path = "/throws"});
  EXPECT_EQ(response.status, 500);
  EXPECT_NE(response.body.find("a library threw"), std::string::npos);
}

TEST_F(HttpServerTest, RefusesAHostThatIsNotLoopback) {
  EXPECT_EQ(Send({.path = "/echo", .headers = {{"Host", "evil.example:80"}}}).status, 403);
  EXPECT_EQ(Send({.path = "/echo", .headers = {{"Host", "localhost"}}}).status, 200);
}

TEST_F(HttpServerTest, RefusesAnOriginThatIsNotItself) {
  EXPECT_EQ(Send({.path = "/echo", .headers = {{"Origin", "http://evil.example"}}}).status, 403);
  const std::string own = "http://127.0.0.1:" + std::to_string(port_);
  EXPECT_EQ(Send({.path = "/echo", .headers = {{"Origin", own}}}).status, 200);
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
