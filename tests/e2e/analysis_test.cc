// What the analysis remembers when its daemon is killed.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

using Json = nlohmann::json;

class AnalysisTest : public testing::Test {
 protected:
  void Start(const std::string& config) {
    daemon_ = std::make_unique<RunningDaemon>(folder_, config);
  }
  // The warning of this name of the burner; null when it is not told of.
  Json Alert(const std::string& name) const {
    const Json all = daemon_->GetJson("/api/v1/alerts");
    for (const Json& alert : all.at("alerts")) {
      if (alert["alert"] == name && alert["service"] == "burner" && alert["severity"] == "warning")
        return alert;
    }
    return nullptr;
  }
  bool Fires(const std::string& name) const {
    const Json alert = Alert(name);
    return alert.is_object() && alert["state"] == "firing";
  }
  // How often the history says that it began, or ended.
  size_t EventsOf(const std::string& name, const std::string& state) const {
    size_t count = 0;
    const Json all = daemon_->GetJson("/api/v1/events");
    for (const Json& event : all.at("events")) {
      const Json& detail = event["detail"];
      count += event["kind"] == "alert" && event["service"] == "burner" &&
               detail["alert"] == name && detail["severity"] == "warning" &&
               detail["state"] == state;
    }
    return count;
  }
  double IdleSeconds() const { return daemon_->Service("burner")["idle_seconds"]; }
  // The idle intervals of the burner, from the file.
  Json Intervals() const {
    const Outcome outcome =
        RunToEnd({BinaryPath("idlewatt"), "query", "sql",
                  "SELECT start_ms, end_ms, reason FROM idle_interval WHERE service = 'burner'",
                  "--db", folder_.PathOf("data/history.db"), "--format", "json"});
    return Json::parse(outcome.output, nullptr, false);
  }

  // A burner that nobody uses, with a rule whose warning `name` fires when it is idle. The daemon
  // is killed while it does; what the next one says must be as if nothing had happened.
  void KillWhileItFires(const std::string& name, const std::string& rule) {
    // idle.after is also how long the daemon may be away.
    const std::string config =
        "[collector]\ninterval = \"500ms\"\n"
        "[storage]\nflush_interval = \"1s\"\nsynchronous = \"off\"\n"
        "[idle]\nafter = \"15s\"\n" +
        rule + DemoService("burner", client::FreePort(), ", \"--burn\", \"1\"");
    Start(config);
    ASSERT_TRUE(Eventually([&] { return EventsOf(name, "firing") == 1; }))
        << daemon_->process().output();
    const Json before = Alert(name);
    const double idle_before = IdleSeconds();
    ASSERT_GE(idle_before, 15);
    const int64_t killed_ms = NowMs();
    daemon_->KillMinusNine();
    const int64_t started_ms = NowMs();

    Start(config);
    ASSERT_TRUE(daemon_->WaitReady());
    EXPECT_TRUE(Fires(name)) << "with the first measurement";
    EXPECT_GT(IdleSeconds(), idle_before);
    ASSERT_TRUE(Eventually([&] { return IdleSeconds() > idle_before + 5; })) << IdleSeconds();
    EXPECT_TRUE(Fires(name)) << Alert(name);
    EXPECT_EQ(Alert(name)["since"], before["since"]);
    EXPECT_EQ(EventsOf(name, "firing"), 1U)
        << "somebody is told twice: " << daemon_->Get("/api/v1/events");
    EXPECT_EQ(EventsOf(name, "resolved"), 0U);

    daemon_.reset();
    ExpectNoIntervalSpans(killed_ms, started_ms);
  }
  void ExpectNoIntervalSpans(int64_t killed_ms, int64_t started_ms) const {
    const Json intervals = Intervals();
    ASSERT_TRUE(intervals.is_array());
    ASSERT_FALSE(intervals.empty());
    for (const Json& interval : intervals) {
      const bool before_gap = interval["end_ms"] <= started_ms;
      EXPECT_TRUE(before_gap || interval["start_ms"] >= killed_ms) << interval << " spans the gap";
      const bool is_lost = interval["reason"] == "lost";
      EXPECT_EQ(is_lost, before_gap) << interval;
    }
  }
  static int64_t NowMs() { return RealClock().Now().wall.time_since_epoch().count(); }

  FakeTree folder_;
  std::unique_ptr<RunningDaemon> daemon_;
};

// Of time alone, so that it fires however busy the machine is.
TEST_F(AnalysisTest, AKilledDaemonChangesNoJudgement) {
  KillWhileItFires("LeftAlone",
                   "[[alert]]\nname = \"LeftAlone\"\nmetric = \"idlewatt_service_idle_seconds\"\n"
                   "warning = 15\nfor = \"0s\"\n");
}

// The burner wants a whole CPU, so that a machine that is busy leaves it more than the limit.
TEST_F(AnalysisTest, TheAlertOfABurnerGoesOnWhenTheDaemonIsKilled) {
  KillWhileItFires("IdleServiceCpu",
                   "[[alert]]\nbuiltin = \"IdleServiceCpu\"\nwarning = 1\nfor = \"1s\"\n");
}

}  // namespace
}  // namespace idlewatt
