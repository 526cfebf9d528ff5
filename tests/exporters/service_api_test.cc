#include "exporters/service_api.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "tests/support/fake_service_control.h"
#include "tests/support/http_client.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

const std::string kToken(64, 'a');

// The real server over a supervisor that is none.
class ServiceApiTest : public testing::Test {
 protected:
  void SetUp() override {
    control_.Add("llama", ServiceState::kReady);
    control_.Add("a.b_c-d");
    control_.profiles = {{"fast", true, {"llama"}}, {"small", false, {}}};
    HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    endpoints_ = MakeEndpoints({.snapshot = snapshot_,
                                .alerts = alerts_,
                                .control = [this] { return is_up_ ? &control_ : nullptr; },
                                .token = [] { return kToken; },
                                .reload = [this] { return reload_; },
                                .range = {},
                                .series = {},
                                .events = {},
                                .idle = {},
                                .storage = {},
                                .clock = clock_});
    auto started = HttpServer::Start(options, endpoints_);
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    port_ = *ParseNumber<uint16_t>(server_->address().substr(server_->address().rfind(':') + 1));
  }

  client::HttpResponse Send(const client::HttpRequest& request) const {
    auto response = client::SendHttp(port_, request);
    EXPECT_TRUE(response) << request.path << ": " << response.error().ToString();
    return response.value_or(client::HttpResponse());
  }
  client::HttpResponse Get(const std::string& path) const { return Send({.path = path}); }
  client::HttpResponse Post(const std::string& path, const std::string& body = "",
                            const std::string& authorization = "Bearer " + kToken) const {
    return Send({.method = "POST",
                 .path = path,
                 .headers = {{"Authorization", authorization}},
                 .body = body});
  }
  static std::string MessageOf(const client::HttpResponse& response) {
    return nlohmann::json::parse(response.body)["error"]["message"];
  }

  std::atomic<bool> is_up_ = true;
  FakeServiceControl control_;
  Slot<Snapshot> snapshot_;
  Slot<std::vector<AlertStatus>> alerts_;
  RealClock clock_;
  Result<ReloadOutcome> reload_;
  HttpServer::Endpoints endpoints_;
  std::unique_ptr<HttpServer> server_;
  uint16_t port_ = 0;
};

TEST_F(ServiceApiTest, WithoutTheTokenNothingIsControlled) {
  const std::string wrong = kToken.substr(1) + "b";
  for (const std::string& path :
       {std::string("/api/v1/services/llama/stop"), std::string("/api/v1/services/llama/no"),
        std::string("/api/v1/profiles/fast/activate"), std::string("/-/reload")}) {
    for (const std::string& authorization :
         {std::string(), std::string("Bearer"), std::string("Bearer "), "Bearer " + wrong,
          "Bearer " + kToken + "a", "Bearer " + kToken.substr(1), "Basic " + kToken, kToken}) {
      const auto response = Post(path, "", authorization);
      EXPECT_EQ(response.status, 401) << path << " " << authorization;
      EXPECT_EQ(response.headers.at("www-authenticate"), "Bearer");
      EXPECT_EQ(nlohmann::json::parse(response.body)["error"]["code"], "unauthorized");
      EXPECT_EQ(response.body.find(kToken), std::string::npos);
    }
  }
  EXPECT_TRUE(control_.TakeRequests().empty());
}

TEST_F(ServiceApiTest, TheTokenDoesNotOpenTheDoorForOtherSites) {
  for (const auto& header : std::vector<std::pair<std::string, std::string>>{
           {"Host", "evil.example"}, {"Origin", "http://evil.example"}}) {
    for (const char* path : {"/api/v1/services/llama/stop", "/-/reload"}) {
      EXPECT_EQ(Send({.method = "POST",
                      .path = path,
                      .headers = {{"Authorization", "Bearer " + kToken}, header}})
                    .status,
                403)
          << path << " " << header.first;
    }
    EXPECT_EQ(Send({.path = "/api/v1/stream", .headers = {header}}).status, 403) << header.first;
    EXPECT_EQ(Send({.path = "/api/v1/services/llama/logs?follow=1", .headers = {header}}).status,
              403);
  }
  EXPECT_TRUE(control_.TakeRequests().empty());
}

TEST_F(ServiceApiTest, RequestsReachTheSupervisorAndAreAnsweredWithTheService) {
  for (const char* action : {"start", "stop", "restart"}) {
    const auto response = Post("/api/v1/services/a.b_c-d/" + std::string(action));
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(nlohmann::json::parse(response.body)["name"], "a.b_c-d");
  }
  EXPECT_EQ(control_.TakeRequests(),
            (std::vector<std::string>{"start a.b_c-d", "stop a.b_c-d", "restart a.b_c-d"}));
  EXPECT_EQ(Post("/api/v1/services/llama/start", "", "bearer  " + kToken).status, 200)
      << "the case of the scheme and blanks do not matter";
}

TEST_F(ServiceApiTest, ControlNeedsAPost) {
  const auto response = Get("/-/reload");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers.at("allow"), "POST");
  EXPECT_EQ(Get("/api/v1/services/llama/stop").status, 404);
  EXPECT_TRUE(control_.TakeRequests().empty());
}

TEST_F(ServiceApiTest, WhatIsNotThereIsNotFound) {
  for (const char* path : {"/api/v1/services/nobody/start", "/api/v1/services/llama/fly",
                           "/api/v1/services/llama", "/api/v1/services", "/api/v1/profiles/fast",
                           "/api/v1/profiles/none/activate", "/-/reload/more"}) {
    EXPECT_EQ(Post(path).status, 404) << path;
  }
  for (const char* path : {"/api/v1/services/nobody", "/api/v1/services/nobody/logs",
                           "/api/v1/profiles/fast", "/api/v1/stream/more"}) {
    EXPECT_EQ(Get(path).status, 404) << path;
  }
  EXPECT_NE(MessageOf(Get("/api/v1/services/lama")).find("did you mean \"llama\"?"),
            std::string::npos);
}

TEST_F(ServiceApiTest, ARefusalKeepsItsReason) {
  control_.Refuse(Error{ErrorCode::kInvalid, "llama", 0, "is in no profile"});
  const auto invalid = Post("/api/v1/services/llama/start");
  EXPECT_EQ(invalid.status, 400);
  EXPECT_EQ(MessageOf(invalid), "llama: is in no profile");
  control_.Refuse(Error{ErrorCode::kTransient, "llama", 0, "no memory"});
  EXPECT_EQ(Post("/api/v1/services/llama/start").status, 503);
}

TEST_F(ServiceApiTest, ASwapNamesAModelOrACommand) {
  const std::string path = "/api/v1/services/llama/swap";
  EXPECT_EQ(Post(path, R"({"model":"q.gguf"})").status, 200);
  EXPECT_EQ(Post(path, R"({"command":["run","--x","a b"],"model":"m"})").status, 200);
  EXPECT_EQ(control_.TakeRequests(),
            (std::vector<std::string>{"swap model=q.gguf llama",
                                      "swap model=m [run] [--x] [a b] llama"}));
}

TEST_F(ServiceApiTest, AWrongBodyOfASwapChangesNothingAndSaysWhy) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"", "is no JSON object"},
      {"[]", "is no JSON object"},
      {"{\"model\":", "is no JSON object"},
      {std::string(HttpRequest::kMostBody, '['), "is no JSON object"},
      {"{}", "names neither model nor command"},
      {R"({"model":7})", "wrong type for \"model\""},
      {R"({"model":null})", "wrong type for \"model\""},
      {R"({"command":"run x"})", "wrong type for \"command\""},
      {R"({"command":[]})", "wrong type for \"command\""},
      {R"({"command":["a",1]})", "wrong type for \"command\""},
      {R"({"modell":"x"})", "unknown key \"modell\""}};
  for (const auto& [body, why] : wrong) {
    const auto response = Post("/api/v1/services/llama/swap", body);
    EXPECT_EQ(response.status, 400) << body.substr(0, 40);
    EXPECT_NE(MessageOf(response).find(why), std::string::npos) << MessageOf(response);
  }
  EXPECT_TRUE(control_.TakeRequests().empty());
}

TEST_F(ServiceApiTest, ProfilesAreListedAndActivated) {
  const auto profiles = nlohmann::json::parse(Get("/api/v1/profiles").body)["profiles"];
  EXPECT_EQ(profiles[0], nlohmann::json::parse(R"({"name":"fast","active":true,
                                                  "services":["llama"]})"));
  EXPECT_EQ(Post("/api/v1/profiles/small/activate").status, 200);
  EXPECT_EQ(control_.TakeRequests(), (std::vector<std::string>{"activate small"}));
}

TEST_F(ServiceApiTest, AReloadSaysWhatItChanged) {
  reload_ = ReloadOutcome{{"new"}, {"old"}, {"llama"}, {}, {"http"}};
  const auto response = Post("/-/reload");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(nlohmann::json::parse(response.body),
            nlohmann::json::parse(R"({"added":["new"],"removed":["old"],"restarted":["llama"],
                                      "updated":[],"not_applied":["http"]})"));
  reload_ = Error{ErrorCode::kInvalid, "idlewatt.toml:3", 0, "unknown key \"comand\""};
  const auto refused = Post("/-/reload");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(MessageOf(refused), "idlewatt.toml:3: unknown key \"comand\"");
}

TEST_F(ServiceApiTest, WhileTheDaemonStartsNothingIsControlled) {
  is_up_ = false;
  EXPECT_EQ(Post("/api/v1/services/llama/start").status, 503);
  EXPECT_EQ(Post("/-/reload").status, 503);
  EXPECT_EQ(Get("/api/v1/profiles").status, 503);
  EXPECT_EQ(Get("/api/v1/stream").status, 503);
  EXPECT_EQ(Get("/api/v1/services").status, 200);
}

TEST_F(ServiceApiTest, LogsGivesTheLastLines) {
  control_.LogOf("llama").Append("one\ntwo\nthree\n");
  const auto response = Get("/api/v1/services/llama/logs?lines=2");
  EXPECT_EQ(response.body, "two\nthree\n");
  EXPECT_EQ(response.headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(Get("/api/v1/services/llama/logs").body, "one\ntwo\nthree\n");
  EXPECT_EQ(Get("/api/v1/services/llama/logs?lines=0").body, "");
  for (const char* query : {"lines=x", "lines=-1", "follow=maybe"}) {
    EXPECT_EQ(Get("/api/v1/services/llama/logs?" + std::string(query)).status, 400) << query;
  }
}

TEST_F(ServiceApiTest, FollowSendsWhatComes) {
  control_.LogOf("llama").Append("before\nlast\n");
  int appended = 0;
  const auto response = Send({.path = "/api/v1/services/llama/logs?lines=1&follow=true",
                              .until = [&](const std::string& body) {
                                if (body == "last\n" && appended++ == 0) {
                                  control_.LogOf("llama").Append("no newline");
                                }
                                return body == "last\nno newline";
                              }});
  EXPECT_EQ(response.body, "last\nno newline");
}

TEST_F(ServiceApiTest, FollowEndsWhenTheServiceIsGone) {
  control_.LogOf("llama").Append("last\n");
  const auto response =
      Send({.path = "/api/v1/services/llama/logs?follow=1", .until = [&](const std::string& body) {
              if (!body.empty()) control_.Remove("llama");
              return false;
            }});
  EXPECT_EQ(response.body, "last\n");
}

// Before it takes the first piece, something happens; after the second it closes.
class SlowStream final : public HttpStream {
 public:
  explicit SlowStream(std::function<void()> happens) : happens_(std::move(happens)) {}
  bool Write(std::string_view data) override {
    if (writes_++ == 0) happens_();
    text += data;
    return IsOpen();
  }
  bool IsOpen() override { return writes_ < 2; }
  std::string text;

 private:
  const std::function<void()> happens_;
  int writes_ = 0;
};

TEST_F(ServiceApiTest, AFollowerThatIsTooSlowIsToldHowMuchItMissed) {
  HttpRequest request;
  request.path = "/api/v1/services/llama/logs";
  request.query = {{"follow", ""}, {"lines", "1"}};
  LogTail& log = control_.LogOf("llama");  // keeps 1,024 bytes
  for (const std::string first : {"no newline", "whole line\n"}) {
    log.Append(first);
    const HttpResponse response = endpoints_.at("/api/v1/services").get(request);
    SlowStream stream([&] { log.Append(std::string(1500, 'x') + "\nend\n"); });
    response.stream(stream);
    EXPECT_EQ(stream.text, first + (first.ends_with('\n') ? "" : "\n") +
                               "[idlewatt: 481 bytes skipped: this reader was too slow]\n" +
                               std::string(1019, 'x') + "\nend\n");
  }
}

}  // namespace
}  // namespace idlewatt
