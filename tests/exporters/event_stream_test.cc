#include "exporters/event_stream.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/fake_service_control.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

struct SentEvent {
  std::string name;  // empty: a comment
  Json data;
};

SentEvent Parse(std::string_view text) {
  EXPECT_TRUE(text.ends_with("\n\n")) << text;
  if (text.starts_with(":")) return {};
  const size_t line = text.find('\n');
  EXPECT_TRUE(text.starts_with("event: ") && text.substr(line + 1).starts_with("data: ")) << text;
  const std::string_view data = text.substr(line + 7);
  EXPECT_EQ(data.find('\n'), data.size() - 2) << "data of several lines would be cut";
  return {std::string(text.substr(7, line - 7)), Json::parse(data)};
}

// Hands each event to the test, which closes it by false.
class ScriptedStream final : public HttpStream {
 public:
  explicit ScriptedStream(std::function<bool(const SentEvent&)> on_event)
      : on_event_(std::move(on_event)) {}
  bool Write(std::string_view data) override {
    events.push_back(Parse(data));
    if (events.size() > 1000 || !on_event_(events.back())) open_ = false;
    return open_;
  }
  bool IsOpen() override { return open_; }
  // Each as "name" or "state NAME TO".
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const SentEvent& event : events) {
      names.push_back(event.name == "state" ? "state " + event.data["service"].get<std::string>() +
                                                  " " + event.data["to"].get<std::string>()
                                            : event.name);
    }
    return names;
  }
  std::vector<SentEvent> events;

 private:
  const std::function<bool(const SentEvent&)> on_event_;
  bool open_ = true;
};

class EventStreamTest : public testing::Test {
 protected:
  EventStreamTest() {
    control_.Add("a", ServiceState::kStopped);
    control_.Add("b", ServiceState::kReady);
  }
  void Measure() { snapshot_.Publish(std::make_shared<const Snapshot>(maker_.Tick())); }
  void Run(HttpStream& stream, std::chrono::nanoseconds heartbeat = std::chrono::hours(1)) {
    StreamEvents(sources_, control_, stream, heartbeat);
  }

  FakeServiceControl control_;
  SnapshotMaker maker_;
  Slot<Snapshot> snapshot_;
  Slot<std::vector<AlertStatus>> alerts_;
  ManualClock clock_;
  const ApiSources sources_{.snapshot = snapshot_,
                            .alerts = alerts_,
                            .control = [this] { return &control_; },
                            .token = {},
                            .reload = {},
                            .range = {},
                            .series = {},
                            .events = {},
                            .idle = {},
                            .storage = {},
                            .clock = clock_};
};

TEST_F(EventStreamTest, BeginsWithASnapshot) {
  ScriptedStream stream([](const SentEvent&) { return false; });
  Run(stream);
  ASSERT_EQ(stream.Names(), (std::vector<std::string>{"snapshot"}));
  const Json& snapshot = stream.events[0].data;
  EXPECT_EQ(snapshot["services"].size(), 2U);
  EXPECT_EQ(snapshot["services"][1]["state"], "ready");
  EXPECT_EQ(snapshot["summary"]["services"]["total"], 2);
}

TEST_F(EventStreamTest, TellsEveryChangeInOrder) {
  control_.Change("b", ServiceState::kUnhealthy);  // in the snapshot already
  ScriptedStream stream([&](const SentEvent& event) {
    if (event.name == "snapshot") {
      control_.Change("a", ServiceState::kPending);
      control_.Change("a", ServiceState::kStarting);
    }
    if (event.name == "state" && event.data["to"] == "starting") {
      control_.Change("a", ServiceState::kReady, "log line \"up\"");
      control_.Change("b", ServiceState::kReady);
    }
    return event.name != "state" || event.data["service"] != "b";
  });
  Run(stream);
  EXPECT_EQ(stream.Names(),
            (std::vector<std::string>{"snapshot", "state a pending", "state a starting",
                                      "state a ready", "state b ready"}));
  EXPECT_EQ(stream.events[3].data,
            Json::parse(R"({"number":4,"at":"1970-01-01T00:00:00.000Z","service":"a",
                            "from":"starting","to":"ready","reason":"log line \"up\""})"));
}

TEST_F(EventStreamTest, AClientThatMissedChangesIsToldAndSeesHowThingsAre) {
  int snapshots = 0;
  ScriptedStream stream([&](const SentEvent& event) {
    if (event.name == "snapshot" && ++snapshots == 1) {
      for (size_t i = 0; i < FakeServiceControl::kMostChanges + 3; ++i) {
        control_.Change("a", i % 2 == 0 ? ServiceState::kReady : ServiceState::kStopped);
      }
    }
    return event.name != "state";
  });
  Run(stream);
  EXPECT_EQ(stream.Names(),
            (std::vector<std::string>{"snapshot", "missed", "snapshot", "state a stopped"}));
  EXPECT_EQ(stream.events[1].data["after"], 0);
  EXPECT_EQ(stream.events[2].data["services"][0]["state"], "ready");
  EXPECT_EQ(stream.events[3].data["number"], 4);
}

TEST_F(EventStreamTest, TicksWithEachMeasurement) {
  int ticks = 0;
  ScriptedStream stream([&](const SentEvent& event) {
    if (event.name == "tick" && ++ticks == 2) return false;
    Measure();
    return true;
  });
  Run(stream);
  EXPECT_EQ(stream.Names(), (std::vector<std::string>{"snapshot", "tick", "tick"}));
  EXPECT_LT(stream.events[1].data["time"], stream.events[2].data["time"]);
  EXPECT_TRUE(stream.events[1].data.contains("watts"));
}

TEST_F(EventStreamTest, ShowsThatItIsAliveWhileNothingHappens) {
  ScriptedStream stream([&](const SentEvent& event) {
    clock_.Advance(std::chrono::seconds(15));
    return !event.name.empty();
  });
  Run(stream, std::chrono::seconds(15));
  EXPECT_EQ(stream.Names(), (std::vector<std::string>{"snapshot", ""}));
}

}  // namespace
}  // namespace idlewatt
