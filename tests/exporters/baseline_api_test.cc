#include "exporters/baseline_api.h"

#include <gmock/gmock.h>

#include "analysis/metrics.h"
#include "base/text.h"
#include "tests/storage/storage_fixture.h"
#include "tests/support/fake_service_control.h"
#include "tests/support/http_client.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using testing::HasSubstr;

const std::string kToken(64, 'a');
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kBeginMs = kStartMs / kMinuteMs * kMinuteMs;

// The real server over a history of an hour, which ends now, and a baseline that is only kept.
class BaselineApiTest : public HistoryTest {
 protected:
  void SetUp() override {
    Open();
    clock_.SetWall(At(kBeginMs + 60 * kMinuteMs));
    const ApiSources sources{
        .snapshot = snapshot_,
        .alerts = alerts_,
        .control = [this] { return &control_; },
        .token = [] { return kToken; },
        .reload = {},
        .range = [this](const Selector& selector,
                        const RangeWindow& window) -> Result<RangeAnswer> {
          ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(db_path()));
          ASSIGN_OR_RETURN(RangeAnswer answer, QueryRange(selector, window, nullptr, &reader));
          answer.rolled_up = answer.rolled_up || rolled_up_;
          return answer;
        },
        .series = {},
        .events = {},
        .baseline = [this] { return baseline_; },
        .set_baseline = [this](std::optional<Baseline> b) { baseline_ = std::move(b); },
        .storage = {},
        .clock = clock_};
    AddBaselineEndpoints(sources, endpoints_);
    HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    auto started = HttpServer::Start(options, endpoints_);
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    port_ = *ParseNumber<uint16_t>(server_->address().substr(server_->address().rfind(':') + 1));
  }

  // A frame each 20 s; the machine is idle in all frames of a minute but, where it says so, one.
  void Record(int first_minute, int count, double watts, bool used_once = false) {
    for (int64_t i = 0; i < 3 * int64_t{count}; ++i) {
      const double idle = used_once && i % 3 == 1 ? 0 : 1;
      history_->Push(FrameAt(kBeginMs + first_minute * kMinuteMs + i * kMinuteMs / 3,
                             {{registry_.Intern(metrics::kHostIdle, {}), idle},
                              {registry_.Intern(metrics::kHostComputeWatts, {}), watts}}));
    }
    ASSERT_TRUE(history_->Flush());
  }

  client::HttpResponse Send(const client::HttpRequest& request) const {
    auto response = client::SendHttp(port_, request);
    EXPECT_TRUE(response) << request.path << ": " << response.error().ToString();
    return response.value_or(client::HttpResponse());
  }
  client::HttpResponse Post(const std::string& body, const std::string& path = "/api/v1/baseline",
                            const std::string& token = kToken) const {
    return Send({.method = "POST",
                 .path = path,
                 .headers = {{"Authorization", "Bearer " + token}},
                 .body = body});
  }
  std::string Get() const { return Send({.path = "/api/v1/baseline"}).body; }
  // The message of the refusal of `body`, which must leave the baseline as it is.
  std::string Refusal(const std::string& body) {
    baseline_ = Baseline{"kept", 3, 9, {}, {}};
    const auto response = Post(body);
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_TRUE(baseline_ && baseline_->name == "kept");
    const Json json = Json::parse(response.body, nullptr, false);
    return json.is_object() ? json["error"]["message"].get<std::string>() : response.body;
  }

  ManualClock clock_;
  FakeServiceControl control_;
  Slot<Snapshot> snapshot_;
  Slot<std::vector<AlertStatus>> alerts_;
  std::optional<Baseline> baseline_;
  bool rolled_up_ = false;  // roll-ups stand in for what was deleted
  HttpServer::Endpoints endpoints_;
  std::unique_ptr<HttpServer> server_;
  uint16_t port_ = 0;
};

TEST_F(BaselineApiTest, IsSetShownAndCleared) {
  EXPECT_EQ(Get(), "null\n");
  Record(0, 10, 8);
  Record(10, 10, 6);
  const auto set = Post(R"({"name":"good"})");
  EXPECT_EQ(set.status, 200) << set.body;
  ASSERT_TRUE(baseline_);
  EXPECT_EQ(baseline_->name, "good");
  EXPECT_DOUBLE_EQ(baseline_->watts, 7);
  EXPECT_EQ(baseline_->minutes, 20U);
  EXPECT_EQ(baseline_->since, At(kBeginMs));
  EXPECT_EQ(baseline_->until, At(kBeginMs + 60 * kMinuteMs));
  EXPECT_EQ(Get(), set.body);
  const auto cleared = Post("", "/api/v1/baseline/clear");
  EXPECT_EQ(cleared.status, 200);
  EXPECT_EQ(cleared.body, "null\n");
  EXPECT_FALSE(baseline_);
}

TEST_F(BaselineApiTest, OnlyMinutesThatWereIdleThroughoutCount) {
  Record(0, 6, 8);
  Record(6, 30, 90, /*used_once=*/true);
  ASSERT_EQ(Post(R"({"name":"good"})").status, 200);
  EXPECT_EQ(baseline_->minutes, 6U);
  EXPECT_DOUBLE_EQ(baseline_->watts, 8);
}

TEST_F(BaselineApiTest, TheTimeMayBeNamed) {
  Record(0, 20, 8);
  Record(20, 40, 30);
  const std::string until = FormatWallTime(At(kBeginMs + 20 * kMinuteMs - 1));
  ASSERT_EQ(Post(R"({"name":"good","since":"50m","until":")" + until + "\"}").status, 200);
  EXPECT_EQ(baseline_->minutes, 10U);
  EXPECT_DOUBLE_EQ(baseline_->watts, 8);
  EXPECT_EQ(baseline_->since, At(kBeginMs + 10 * kMinuteMs));
  EXPECT_EQ(baseline_->until, At(kBeginMs + 20 * kMinuteMs - 1));
}

TEST_F(BaselineApiTest, ATimeToComeEndsNow) {
  Record(0, 20, 8);
  ASSERT_EQ(Post(R"({"name":"good","until":"2999-01-01"})").status, 200);
  EXPECT_EQ(baseline_->until, clock_.Now().wall);
}

TEST_F(BaselineApiTest, FewerThanFiveIdleMinutesAreTooFew) {
  EXPECT_THAT(Refusal(R"({"name":"good"})"), HasSubstr("idle for 0 whole minutes"));
  Record(0, 4, 8);
  EXPECT_THAT(Refusal(R"({"name":"good"})"), HasSubstr("idle for 4 whole minutes"));
  Record(10, 1, 8);
  EXPECT_EQ(Post(R"({"name":"good"})").status, 200);
}

TEST_F(BaselineApiTest, IdleMinutesWithoutKnownPowerDoNotCount) {
  for (int64_t i = 0; i < 30; ++i) {
    history_->Push(
        FrameAt(kBeginMs + i * kMinuteMs, {{registry_.Intern(metrics::kHostIdle, {}), 1}}));
  }
  ASSERT_TRUE(history_->Flush());
  EXPECT_THAT(Refusal(R"({"name":"good"})"), HasSubstr("idle for 0 whole minutes with known"));
}

TEST_F(BaselineApiTest, HoursOfRollUpsAreNoMinutes) {
  Record(0, 20, 8);
  rolled_up_ = true;
  EXPECT_THAT(Refusal(R"({"name":"good","since":"30d"})"),
              HasSubstr("were deleted, and only its hours are known: name a later time"));
}

TEST_F(BaselineApiTest, WhatIsWrongIsToldAndChangesNothing) {
  Record(0, 20, 8);
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"", "is no JSON object"},
      {"[]", "is no JSON object"},
      {"{\"name\":", "is no JSON object"},
      {"{}", "1 to 64 bytes"},
      {R"({"name":""})", "1 to 64 bytes"},
      {R"({"name":")" + std::string(65, 'x') + "\"}", "1 to 64 bytes"},
      {R"({"name":7})", "wrong type for \"name\""},
      {R"({"name":"a","since":5})", "wrong type for \"since\""},
      {R"({"name":"a","untill":"1h"})", "unknown key \"untill\""},
      {R"({"name":"a","since":"yesterday"})", "yesterday"},
      {R"({"name":"a","until":""})", ""},
      {R"({"name":"a","since":"10m","until":"20m"})", "before since"}};
  for (const auto& [body, why] : wrong) EXPECT_THAT(Refusal(body), HasSubstr(why)) << body;
}

TEST_F(BaselineApiTest, ANameOf64BytesIsShortEnough) {
  Record(0, 20, 8);
  EXPECT_EQ(Post(R"({"name":")" + std::string(64, 'x') + "\"}").status, 200);
}

TEST_F(BaselineApiTest, WithoutTheTokenNothingIsSetOrCleared) {
  Record(0, 20, 8);
  baseline_ = Baseline{"kept", 3, 9, {}, {}};
  EXPECT_EQ(Post(R"({"name":"good"})", "/api/v1/baseline", "wrong").status, 401);
  EXPECT_EQ(Post("", "/api/v1/baseline/clear", "wrong").status, 401);
  ASSERT_TRUE(baseline_);
  EXPECT_EQ(baseline_->name, "kept");
  EXPECT_THAT(Get(), HasSubstr("kept")) << "to see it no token is needed";
}

TEST_F(BaselineApiTest, BelowItThereIsNothingElse) {
  EXPECT_EQ(Post("", "/api/v1/baseline/set").status, 404);
  EXPECT_EQ(Send({.path = "/api/v1/baseline/clear"}).status, 404);
}

TEST(BaselineJsonTest, IsReadBack) {
  const Baseline baseline{"a \"b\"", 7.25, 42, At(kBeginMs), At(kBeginMs + 17)};
  const auto back = BaselineFromJson(BaselineJson(baseline).dump());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->name, baseline.name);
  EXPECT_EQ(back->watts, baseline.watts);
  EXPECT_EQ(back->minutes, baseline.minutes);
  EXPECT_EQ(back->since, baseline.since);
  EXPECT_EQ(back->until, baseline.until);
}

TEST(BaselineJsonTest, AnythingElseIsNone) {
  for (const char* text : {"", "null", "{", "[]", "{}", "7", R"({"name":"a","watts":1})",
                           R"({"name":7,"watts":1,"minutes":9,"since":"2026-01-01",
                               "until":"2026-01-02"})",
                           R"({"name":"a","watts":1,"minutes":9,"since":"x",
                               "until":"2026-01-02"})"}) {
    EXPECT_FALSE(BaselineFromJson(text)) << text;
  }
}

}  // namespace
}  // namespace idlewatt
