#include "app/event_recorder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/fake_service_control.h"

namespace idlewatt {
namespace {

class EventRecorderTest : public testing::Test {
 protected:
  EventRecorderTest() { control_.Add("llama"); }
  std::vector<HistoryEvent> Record() {
    recorder_.Record(WallTime(std::chrono::milliseconds(77)));
    return std::exchange(pushed_, {});
  }

  FakeServiceControl control_;
  std::vector<HistoryEvent> pushed_;
  EventRecorder recorder_{control_, [this](HistoryEvent event) { pushed_.push_back(event); }};
};

TEST_F(EventRecorderTest, RecordsEachChangeOnceInOrder) {
  EXPECT_TRUE(Record().empty());
  control_.Change("llama", ServiceState::kStarting);
  control_.Change("llama", ServiceState::kReady, "log line");
  const std::vector<HistoryEvent> events = Record();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[1].time_ms, 0) << "the change's time, not that of the tick";
  EXPECT_EQ(events[1].kind, "service_state");
  EXPECT_EQ(events[1].service, "llama");
  EXPECT_EQ(nlohmann::json::parse(events[1].detail_json),
            nlohmann::json::parse(R"({"number":2,"at":"1970-01-01T00:00:00.000Z",
              "service":"llama","from":"starting","to":"ready","reason":"log line"})"));
  EXPECT_TRUE(Record().empty());
}

TEST_F(EventRecorderTest, SaysWhatItMissed) {
  for (size_t i = 0; i < FakeServiceControl::kMostChanges + 1; ++i) {
    control_.Change("llama", ServiceState::kReady);
  }
  const std::vector<HistoryEvent> events = Record();
  ASSERT_EQ(events.size(), FakeServiceControl::kMostChanges + 1);
  EXPECT_EQ(events[0].kind, "service_state_missed");
  EXPECT_EQ(events[0].time_ms, 77);
  EXPECT_EQ(events[0].service, "");
  EXPECT_EQ(events[0].detail_json, R"({"after":0})");
  EXPECT_EQ(events[1].kind, "service_state");
}

}  // namespace
}  // namespace idlewatt
