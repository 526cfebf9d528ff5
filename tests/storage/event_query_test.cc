#include "storage/event_query.h"

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

class EventQueryTest : public HistoryTest {
 protected:
  // "kind service" of the answer.
  std::vector<std::string> Query(int64_t since_ms, int64_t until_ms, size_t limit) const {
    std::vector<std::string> found;
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    if (!reader) return {reader.error().ToString()};
    const auto events = QueryEvents(*reader, since_ms, until_ms, limit);
    if (!events) return {events.error().ToString()};
    for (const HistoryEvent& event : *events) found.push_back(event.kind + " " + event.service);
    return found;
  }
};

TEST_F(EventQueryTest, GivesTheNewestOldestFirst) {
  Open();
  ASSERT_FALSE(error_) << error_->ToString();
  history_->PushEvent({3000, "late", "a", "{}"});
  history_->PushEvent({1000, "early", "", R"({"x":1})"});
  history_->PushEvent({2000, "first", "b", "{}"});
  history_->PushEvent({2000, "second", "b", "{}"});
  EXPECT_TRUE(Query(0, 9000, 9).empty()) << "not flushed yet";
  ASSERT_TRUE(history_->Flush());
  using Names = std::vector<std::string>;
  EXPECT_EQ(Query(0, 9000, 9), (Names{"early ", "first b", "second b", "late a"}));
  EXPECT_EQ(Query(0, 9000, 2), (Names{"second b", "late a"}));
  EXPECT_EQ(Query(1000, 2000, 9), (Names{"early ", "first b", "second b"}));
  EXPECT_EQ(Query(2001, 2999, 9), Names{});
  Result<HistoryReader> reader = HistoryReader::Open(db_path());
  ASSERT_TRUE(reader);
  EXPECT_EQ((*QueryEvents(*reader, 1000, 1000, 1))[0].detail_json, R"({"x":1})");
  const auto of_kind = QueryEvents(*reader, 0, 9000, 1, "first");
  ASSERT_TRUE(of_kind && of_kind->size() == 1) << "the limit counts those of the kind";
  EXPECT_EQ((*of_kind)[0].time_ms, 2000);
  EXPECT_TRUE(QueryEvents(*reader, 0, 9000, 9, "none")->empty());
}

}  // namespace
}  // namespace idlewatt
