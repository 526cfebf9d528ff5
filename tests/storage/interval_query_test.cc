#include "storage/interval_query.h"

#include <limits>
#include <set>

#include "storage/database_care.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

constexpr int64_t kMinute = 60'000;

class IntervalTest : public HistoryTest {
 protected:
  void OpenSound() {
    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
  }
  void Push(const std::string& service, int64_t start_ms, int64_t end_ms,
            const std::string& reason = "used") {
    history_->PushInterval({service, start_ms, end_ms, {}, {}, {}, {}, reason});
  }
  std::vector<IdleInterval> Query(int64_t since_ms = 0,
                                  int64_t until_ms = std::numeric_limits<int64_t>::max()) const {
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    if (!reader.ok()) {
      ADD_FAILURE() << reader.error().ToString();
      return {};
    }
    std::vector<IdleInterval> intervals;
    const auto keep = [&](const IdleInterval& one) { intervals.push_back(one); };
    const Result<void> visited = VisitIntervals(*reader, since_ms, until_ms, keep);
    EXPECT_TRUE(visited.ok()) << visited.error().ToString();
    return intervals;
  }
  // "service start end reason" of what Query gives, the times after kStartMs.
  std::vector<std::string> Texts(int64_t since_ms = 0,
                                 int64_t until_ms = std::numeric_limits<int64_t>::max()) const {
    std::vector<std::string> texts;
    for (const IdleInterval& one : Query(since_ms, until_ms)) {
      texts.push_back(one.service + " " + std::to_string(one.start_ms - kStartMs) + " " +
                      std::to_string(one.end_ms - kStartMs) + " " + one.reason);
    }
    return texts;
  }
  void Execute(const std::string& sql) const {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kCreate));
    const Result<void> done = db.Execute(sql);
    ASSERT_TRUE(done.ok()) << done.error().ToString();
  }
  using TextList = std::vector<std::string>;
};

TEST_F(IntervalTest, AnIntervalComesBackAsItWasPushed) {
  OpenSound();
  history_->PushInterval(
      {"llama", kStartMs, kStartMs + 1500, 12.125, 8.0625, 0.25, 1 << 30, "gap"});
  history_->PushInterval({"chat", kStartMs + 1, kStartMs + 2, {}, {}, {}, {}, "suspend"});
  EXPECT_TRUE(Query().empty()) << "not flushed yet";
  ASSERT_TRUE(history_->Flush().ok());
  const std::vector<IdleInterval> found = Query();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].service, "llama");
  EXPECT_EQ(found[0].start_ms, kStartMs);
  EXPECT_EQ(found[0].end_ms, kStartMs + 1500);
  EXPECT_EQ(found[0].joules, 12.125);
  EXPECT_EQ(found[0].avg_watts, 8.0625);
  EXPECT_EQ(found[0].cpu_seconds, 0.25);
  EXPECT_EQ(found[0].peak_rss_bytes, 1 << 30);
  EXPECT_EQ(found[0].reason, "gap");
  EXPECT_EQ(found[1].service, "chat");
  EXPECT_FALSE(found[1].joules || found[1].avg_watts || found[1].cpu_seconds ||
               found[1].peak_rss_bytes)
      << "what is not known stays so";
  EXPECT_EQ(history_->Stats().flushes, 1u) << "intervals alone are a reason to write";
}

TEST_F(IntervalTest, AnOpenIntervalIsOneRowThatGrows) {
  OpenSound();
  for (int minute = 1; minute <= 5; ++minute) {
    Push("llama", kStartMs, kStartMs + minute * kMinute, "open");
    if (minute % 2 == 0) {
      ASSERT_TRUE(history_->Flush().ok());
    }
  }
  Push("llama", kStartMs, kStartMs + 6 * kMinute, "used");  // takes the place of one in the queue
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"llama 0 360000 used"}));
}

TEST_F(IntervalTest, AClockThatWasSetBackGivesAnIntervalOfNoLength) {
  OpenSound();
  Push("a", kStartMs, kStartMs - 5);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"a 0 0 used"}));
  EXPECT_TRUE(CheckDatabase(db_path()).value().sound());
}

TEST_F(IntervalTest, AFailedFlushKeepsTheNewestOfEachInterval) {
  OpenSound();
  {
    Database other = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(other.Execute("BEGIN IMMEDIATE").ok());
    Push("a", kStartMs, kStartMs + 1, "open");
    Push("b", kStartMs, kStartMs + 1, "open");
    EXPECT_FALSE(history_->Flush().ok());
    Push("a", kStartMs, kStartMs + 2, "used");
    EXPECT_FALSE(history_->Flush().ok());
  }
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"a 0 2 used", "b 0 1 open"}));
}

TEST_F(IntervalTest, TheQueueKeepsTheNewestThousand) {
  OpenSound();
  for (int64_t i = 0; i < 1003; ++i) Push("a", kStartMs + i * 10, kStartMs + i * 10 + 5);
  ASSERT_TRUE(history_->Flush().ok());
  const std::vector<IdleInterval> found = Query();
  ASSERT_EQ(found.size(), 1000u);
  EXPECT_EQ(found.front().start_ms, kStartMs + 30);
}

TEST_F(IntervalTest, WhatAKilledDaemonLeftOpenIsLost) {
  OpenSound();
  Push("a", kStartMs, kStartMs + 1, "open");
  Push("b", kStartMs, kStartMs + 1, "used");
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"a 0 1 open", "b 0 1 used"}));
  OpenSound();
  EXPECT_EQ(Texts(), (TextList{"a 0 1 lost", "b 0 1 used"}));
  Push("a", kStartMs + 5, kStartMs + 6, "open");
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"a 0 1 lost", "b 0 1 used", "a 5 6 open"})) << "its own are open";
}

TEST_F(IntervalTest, LostIntervalsAreToldLaterWhenTheDatabaseWasBusyAtTheStart) {
  OpenSound();
  Push("a", kStartMs, kStartMs + 1, "open");
  ASSERT_TRUE(history_->Flush().ok());
  Close();
  {
    Database other = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(other.Execute("BEGIN IMMEDIATE").ok());
    OpenSound();
    EXPECT_EQ(Texts(), (TextList{"a 0 1 open"}));
  }
  PushValue(kStartMs, 1);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"a 0 1 lost"}));
}

TEST_F(IntervalTest, GivesAllOfServicesThatOverlapTheWindowByStart) {
  OpenSound();
  Push("b", kStartMs + 100, kStartMs + 200);
  Push("a", kStartMs + 150, kStartMs + 160);
  Push("a", kStartMs + 100, kStartMs + 150);
  Push("a", kStartMs + 300, kStartMs + 400);
  Push("long", kStartMs, kStartMs + 1000);
  Push("", kStartMs, kStartMs + 1000);        // of the machine,
  Push("", kStartMs + 120, kStartMs + 1000);  // which are never asked for
  ASSERT_TRUE(history_->Flush().ok());
  const std::string long_one = "long 0 1000 used";
  EXPECT_EQ(Texts(), (TextList{long_one, "a 100 150 used", "b 100 200 used", "a 150 160 used",
                               "a 300 400 used"}));
  const auto within = [this](int64_t from, int64_t to) {
    return Texts(kStartMs + from, kStartMs + to);
  };
  EXPECT_EQ(within(120, 130), (TextList{long_one, "a 100 150 used", "b 100 200 used"}));
  EXPECT_EQ(within(150, 151), (TextList{long_one, "b 100 200 used", "a 150 160 used"}));
  EXPECT_EQ(within(200, 300), (TextList{long_one})) << "what only touches has no time in common";
  EXPECT_EQ(within(399, 5000), (TextList{long_one, "a 300 400 used"}));
  EXPECT_EQ(within(1000, 5000), TextList{});
  EXPECT_EQ(within(-5000, 0), TextList{});
}

TEST_F(IntervalTest, ShowsOneAfterTheOtherAndKeepsNone) {
  OpenSound();
  Push("a", kStartMs, kStartMs + 1000, "used");
  for (int64_t i = 1; i < 100; ++i) Push("a", kStartMs + i * 10, kStartMs + i * 10 + 5);
  ASSERT_TRUE(history_->Flush().ok());
  Result<HistoryReader> reader = HistoryReader::Open(db_path());
  ASSERT_TRUE(reader.ok());
  std::set<const IdleInterval*> places;
  const auto note = [&](const IdleInterval& one) { places.insert(&one); };
  ASSERT_TRUE(VisitIntervals(*reader, kStartMs + 1, kStartMs + 5000, note).ok());
  EXPECT_EQ(places.size(), 1u);
}

TEST_F(IntervalTest, AnIntervalThatBeganLongBeforeTheWindowIsFoundThoughShorterOnesFollow) {
  OpenSound();
  Push("a", kStartMs, kStartMs + 10'000);  // then the clock was set back and forth
  for (int64_t i = 1; i <= 5; ++i) Push("a", kStartMs + i * 10, kStartMs + i * 10 + 5);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(kStartMs + 9000, kStartMs + 9001), (TextList{"a 0 10000 used"}));
}

TEST_F(IntervalTest, AnIntervalIsKeptUntilItsEndIsTooOld) {
  options_.store.retention.rollups = std::chrono::minutes(60);
  OpenSound();
  Push("short", kStartMs, kStartMs + kMinute);
  Push("long", kStartMs, kStartMs + 90 * kMinute);
  PushValue(kStartMs + 100 * kMinute, 1);
  ASSERT_TRUE(history_->Flush().ok());
  PushValue(kStartMs + 101 * kMinute, 1);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(Texts(), (TextList{"long 0 5400000 used"}));
}

TEST_F(IntervalTest, OfTwoThatStoodInOnePlaceTheUpgradeKeepsTheLonger) {
  OpenSound();
  Close();
  Execute(
      "DROP INDEX idle_interval_by_service; DROP INDEX idle_interval_open;"
      "DROP INDEX event_by_time; PRAGMA user_version = 2;"
      "INSERT INTO idle_interval(service, start_ms, end_ms, reason) VALUES"
      " ('a', 1, 5, 'short'), ('a', 1, 9, 'long'), ('a', 1, 7, 'middle'),"
      " ('b', 1, 5, 'first'), ('b', 1, 5, 'second'), ('a', 2, 3, 'other'), ('c', 1, 2, 'open')");
  OpenSound();
  const auto reasons = [this] {
    std::vector<std::string> found;
    for (const IdleInterval& one : Query()) found.push_back(one.service + " " + one.reason);
    return found;
  };
  EXPECT_EQ(reasons(), (TextList{"a long", "b second", "c lost", "a other"}));
  EXPECT_TRUE(CheckDatabase(db_path()).value().sound());
}

TEST_F(IntervalTest, TheCheckFindsAnIntervalThatEndsBeforeItBegins) {
  OpenSound();
  Close();
  Execute(
      "INSERT INTO idle_interval(id, service, start_ms, end_ms, reason)"
      " VALUES(7, 'a', 5, 4, 'used')");
  const DatabaseCheck check = CheckDatabase(db_path()).value();
  ASSERT_EQ(check.problems.size(), 1u);
  EXPECT_EQ(check.problems[0], "idle_interval, row 7: it ends before it begins");
}

}  // namespace
}  // namespace idlewatt
