#include "storage/samples_table.h"

#include <sqlite3.h>

#include <cmath>
#include <limits>

#include "storage/backfill.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

constexpr int64_t kDay = 86'400'000;

class SamplesTableTest : public HistoryTest {
 protected:
  SamplesTableTest() { std::filesystem::create_directory(tree_.PathOf("data")); }

  // Chunks of two days and frames of 20 s after them, of three series.
  void MakeHistory() {
    {
      auto fill = std::move(*Backfill::Open(path_));
      const size_t a = fill->AddSeries({"test_celsius", {{"sensor", "a"}}}, kGauge, "celsius");
      const size_t b = fill->AddSeries({"test_celsius", {{"sensor", "b"}}}, kGauge, "celsius");
      const size_t j = fill->AddSeries({"test_joules_total", {{"domain", "x"}, {"source", "r"}}},
                                       MetricKind::kCounter, "joules");
      for (int i = 0; i < 400; ++i) {
        const int64_t time = kStartMs - 2 * kDay + i * 400'000;
        ASSERT_TRUE(fill->Add(a, time, 20 + i % 7).ok());
        if (i % 3 == 0) {
          ASSERT_TRUE(fill->Add(b, time + 1, 0.25 * i).ok());
        }
        ASSERT_TRUE(fill->Add(j, time, i).ok());
      }
      ASSERT_TRUE(fill->Finish().ok());
    }
    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
    const SeriesId joules = registry_.Intern(kTestCounter, {"r", "x"});
    for (int i = 0; i < 20; ++i) {
      history_->Push(FrameAt(kStartMs + i * 1000, {{GaugeId("a"), 1.0 * i}, {joules, 400.0 + i}}));
    }
    ASSERT_TRUE(history_->Flush().ok());
  }

  void Connect(Database::Mode mode = Database::Mode::kReadOnly) {
    db_.emplace(std::move(*Database::Open(path_, mode)));
    ASSERT_TRUE(AddSamplesTable(db_->handle()).ok());
  }
  void MakeAndConnect() {
    MakeHistory();
    Connect();
  }

  // Rows as text, columns with | between; an error is the only row.
  std::vector<std::string> Rows(const std::string& sql) {
    Result<Statement> statement = db_->Prepare(sql);
    if (!statement.ok()) return {statement.error().ToString()};
    std::vector<std::string> rows;
    for (;;) {
      const Result<bool> more = statement->Step();
      if (!more.ok()) return {more.error().ToString()};
      if (!*more) return rows;
      std::string& row = rows.emplace_back();
      const int columns = sqlite3_column_count(statement->handle());
      for (int i = 0; i < columns; ++i) {
        row += (i == 0 ? "" : "|") +
               (statement->IsNull(i) ? std::string("NULL") : std::string(statement->Bytes(i)));
      }
    }
  }
  int64_t Number(const std::string& sql) { return db_->QueryInt(sql).value_or(-1); }
  std::string PlanOf(const std::string& sql) {
    std::string plan;
    for (const std::string& row : Rows("EXPLAIN QUERY PLAN " + sql)) plan += row + "\n";
    return plan;
  }

  static constexpr MetricKind kGauge = MetricKind::kGauge;
  const std::string path_ = tree_.PathOf("data/history.db");
  std::optional<Database> db_;
};

TEST_F(SamplesTableTest, HoldsEverySampleOfChunksAndFramesByNameAndTime) {
  MakeAndConnect();
  ASSERT_GT(Number("SELECT count(*) FROM chunks"), 3);
  ASSERT_GT(Number("SELECT count(*) FROM frames"), 0);
  const std::vector<std::string> rows = Rows("SELECT * FROM samples");
  std::vector<std::string> expected;
  for (const char* metric : {"test_celsius", "test_joules_total"}) {
    for (const SeriesPoints& series : Read(metric).series) {
      for (const Point& point : series.points) {
        Statement format = std::move(*db_->Prepare("SELECT format('%s|%s|%d|', ?1, ?2, ?3) || ?4"));
        format.Bind(1, std::string_view(series.metric));
        format.Bind(2, std::string_view(LabelsToJson(series.labels)));
        format.Bind(3, point.time_ms);
        format.Bind(4, point.value);
        ASSERT_TRUE(*format.Step());
        expected.emplace_back(format.Bytes(0));
      }
    }
  }
  EXPECT_EQ(rows.size(), 400u + 134 + 400 + 2 * 20);
  EXPECT_EQ(rows, expected);
}

// Every condition must leave the same rows as it does of an ordinary table with the same content.
TEST_F(SamplesTableTest, AnswersAsAnOrdinaryTableWould) {
  MakeAndConnect();
  ASSERT_TRUE(db_->Execute("CREATE TEMP TABLE copy(metric TEXT, labels TEXT, time_ms INTEGER,"
                           " value REAL); INSERT INTO copy SELECT * FROM samples")
                  .ok());
  const std::string start = std::to_string(kStartMs);
  std::vector<std::string> on_time = {"1"};
  const std::string time = "time_ms ";
  for (const std::string op : {"=", "<", "<=", ">", ">=", "IS", "<>"}) {
    for (const std::string& bound :
         {start, start + ".0", start + ".5", "'" + start + "'", "'" + start + ".5'",
          std::string("NULL"), std::string("'abc'"), std::string("''"), std::string("x'00'"),
          std::string("9e999"), std::string("-9e999"), std::string("9223372036854775807"),
          std::string("-9223372036854775808"), std::string("9.3e18"), std::string("-9.3e18"),
          std::string("0")}) {
      on_time.push_back(time + op + " " + bound);
    }
  }
  on_time.push_back("time_ms > " + start + " AND time_ms <= " + start + " + 5000");
  on_time.push_back("time_ms BETWEEN " + start + " - 400000 AND " + start + " AND time_ms < 1e13");
  on_time.push_back("time_ms IN (" + start + ", " + start + " + 1000, NULL)");
  const std::vector<std::string> on_series = {
      "1",
      "metric = 'test_celsius'",
      "metric = 'TEST_celsius' COLLATE NOCASE",
      "metric = NULL",
      "metric = 5",
      "metric = x'746573745f63656c73697573'",
      "metric IN ('test_celsius', 'test_joules_total', 'none')",
      "metric LIKE 'TEST%'",
      "metric GLOB 'test_[j]*'",
      "metric GLOB NULL",
      "metric NOT LIKE '%joules%'",
      "metric > 'test_d'",
      "labels = '{\"sensor\":\"b\"}'",
      "labels LIKE '%\"b\"%' AND metric = 'test_celsius'",
      "labels GLOB '*\"r\"*'",
      "labels ->> 'sensor' = 'b'",
      "metric = 'test_celsius' AND labels = '{\"sensor\":\"a\"}' AND value > 23",
      "metric = 'test_celsius' OR labels GLOB '*x*'"};
  int not_empty = 0;
  for (const std::string& series : on_series) {
    for (const std::string& when : on_time) {
      const std::string where = " WHERE (" + series + ") AND (" + when + ")";
      const std::string order = " ORDER BY metric, labels, time_ms";
      const std::vector<std::string> rows = Rows("SELECT * FROM samples" + where + order);
      ASSERT_EQ(rows, Rows("SELECT * FROM copy" + where + order)) << where;
      not_empty += rows.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(not_empty, 500);
}

TEST_F(SamplesTableTest, SortsNothingThatIsInOrder) {
  MakeAndConnect();
  const std::string one = "metric = 'test_celsius' AND labels = '{\"sensor\":\"a\"}'";
  const std::pair<std::string, bool> cases[] = {
      {"ORDER BY metric, labels, time_ms", true},
      {"ORDER BY metric", true},
      {"ORDER BY time_ms", false},
      {"ORDER BY metric, time_ms", false},
      {"ORDER BY metric DESC", false},
      {"ORDER BY metric, labels, time_ms, value", false},
      {"ORDER BY metric COLLATE NOCASE", false},
      {"WHERE metric = 'test_celsius' ORDER BY labels, time_ms", true},
      {"WHERE metric = 'test_celsius' ORDER BY time_ms", false},
      {"WHERE metric LIKE 'test_celsius' ORDER BY labels", false},
      {"WHERE metric IN ('test_celsius', 'test_joules_total') ORDER BY labels, time_ms", false},
      {"WHERE " + one + " ORDER BY time_ms", true},
      {"WHERE " + one + " ORDER BY time_ms DESC", false},
  };
  for (const auto& [clauses, in_order] : cases) {
    const std::string plan = PlanOf("SELECT * FROM samples " + clauses);
    EXPECT_EQ(plan.find("USE TEMP B-TREE") == std::string::npos, in_order) << clauses << plan;
  }
}

TEST_F(SamplesTableTest, AJoinAsksForTheSeriesItNeeds) {
  MakeAndConnect();
  const std::string join =
      "SELECT sum(value) FROM samples JOIN series USING (metric, labels)"
      " WHERE unit = 'celsius'";
  const std::string plan = PlanOf(join);
  ASSERT_NE(plan.find("SCAN samples"), std::string::npos) << plan;
  EXPECT_LT(plan.find("series"), plan.find("SCAN samples")) << plan;
  EXPECT_EQ(Number(join), Number("SELECT sum(value) FROM samples WHERE metric = 'test_celsius'"));
}

TEST_F(SamplesTableTest, WhatIsNoNumberIsNull) {
  {
    auto fill = std::move(*Backfill::Open(path_));
    const size_t odd = fill->AddSeries({"odd", {}}, kGauge, "");
    const double values[] = {std::nan(""), std::numeric_limits<double>::infinity(), -0.0, 0.1};
    for (int64_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(fill->Add(odd, kStartMs + i, values[i]).ok());
    }
    ASSERT_TRUE(fill->Finish().ok());
  }
  Connect();
  EXPECT_EQ(Rows("SELECT labels, value FROM samples"),
            (std::vector<std::string>{"{}|NULL", "{}|Inf", "{}|0.0", "{}|0.1"}));
  EXPECT_EQ(Number("SELECT count(value) FROM samples"), 3);
}

// The wall clock may be set back onto a time that was there before.
TEST_F(SamplesTableTest, GivesAllValuesOfOneTime) {
  {
    auto fill = std::move(*Backfill::Open(path_));
    const size_t series = fill->AddSeries({"a", {}}, kGauge, "");
    for (const double value : {1.0, 2.0, std::nan("")}) {
      ASSERT_TRUE(fill->Add(series, kStartMs, value).ok());
    }
    ASSERT_TRUE(fill->Finish().ok());
  }
  Connect();
  // Walked twice, and every row once.
  EXPECT_EQ(Rows("SELECT value, nth FROM samples WHERE metric = 'a' OR labels = '{}'"),
            (std::vector<std::string>{"1.0|0", "2.0|1", "NULL|2"}));
  EXPECT_EQ(Number("SELECT count(*) FROM samples WHERE value IS NULL"), 1);
}

TEST_F(SamplesTableTest, SkipsAndCountsDamagedRows) {
  MakeHistory();
  Close();
  Connect(Database::Mode::kReadWrite);
  const int64_t all = Number("SELECT count(*) FROM samples");
  EXPECT_EQ(Number("SELECT idlewatt_damaged_rows()"), 0);
  const int64_t lost = Number("SELECT count FROM chunks ORDER BY id LIMIT 1");
  ASSERT_TRUE(
      db_->Execute("UPDATE chunks SET body = x'00' WHERE id = (SELECT min(id) FROM chunks)").ok());
  ASSERT_TRUE(db_->Execute("INSERT INTO frames VALUES(1, x'0102')").ok());
  EXPECT_EQ(Number("SELECT count(*) FROM samples"), all - lost);
  EXPECT_EQ(Number("SELECT idlewatt_damaged_rows()"), 2);
  EXPECT_EQ(Number("SELECT count(*) FROM samples WHERE time_ms >= " + std::to_string(kStartMs)),
            40);
  EXPECT_EQ(Number("SELECT idlewatt_damaged_rows()"), 2) << "what is not read is not counted";
}

TEST_F(SamplesTableTest, AStatementIsOfOneMoment) {
  Open();
  std::vector<Sample> samples;
  for (int i = 0; i < 300; ++i) samples.push_back({GaugeId(std::to_string(i)), 1});
  const auto record = [&](int64_t time_ms) {
    history_->Push(FrameAt(time_ms, samples));
    ASSERT_TRUE(history_->Flush().ok());
  };
  record(kStartMs);
  Connect();
  Statement rows = std::move(*db_->Prepare("SELECT time_ms FROM samples"));
  ASSERT_TRUE(*rows.Step());
  record(kStartMs + 1000);
  int seen = 1;
  while (*rows.Step()) ++seen;
  EXPECT_EQ(seen, 300) << "the second group of series is read after the frame came";
  ASSERT_TRUE(db_->Execute("BEGIN").ok());
  EXPECT_EQ(Number("SELECT count(*) FROM samples"), 600);
  record(kStartMs + 2000);
  EXPECT_EQ(Number("SELECT count(*) FROM samples"), 600) << "within the caller's transaction";
  ASSERT_TRUE(db_->Execute("COMMIT").ok());
  EXPECT_EQ(Number("SELECT count(*) FROM samples"), 900);
}

TEST_F(SamplesTableTest, ReadsMoreSeriesThanItHoldsAtOnce) {
  Open();
  std::vector<Sample> samples;
  for (int i = 0; i < 700; ++i) samples.push_back({GaugeId(std::to_string(i)), 1.0 * i});
  for (int t = 0; t < 3; ++t) history_->Push(FrameAt(kStartMs + t, samples));
  ASSERT_TRUE(history_->Flush().ok());
  Connect();
  EXPECT_EQ(Rows("SELECT count(*), count(DISTINCT labels), sum(value) FROM samples"),
            std::vector<std::string>{"2100|700|733950.0"});
  EXPECT_EQ(Number("SELECT value FROM samples WHERE labels = '{\"sensor\":\"512\"}' LIMIT 1"), 512);
  EXPECT_EQ(Number("SELECT count(*) FROM samples WHERE labels ->> 'sensor' <> value"), 0);
}

TEST_F(SamplesTableTest, TwoWalksDoNotDisturbEachOther) {
  MakeAndConnect();
  EXPECT_EQ(Number("SELECT count(*) FROM samples a JOIN samples b ON a.time_ms = b.time_ms"
                   " WHERE a.metric = 'test_joules_total' AND b.metric = 'test_celsius'"
                   " AND b.labels GLOB '*\"a\"*' AND a.time_ms >= " +
                   std::to_string(kStartMs)),
            20);
  EXPECT_EQ(Rows("SELECT metric FROM samples LIMIT 1"), std::vector<std::string>{"test_celsius"});
}

TEST_F(SamplesTableTest, IsReadOnlyAndRefusesOtherDatabases) {
  MakeAndConnect();
  EXPECT_EQ(Rows("DELETE FROM samples")[0].substr(path_.size()),
            ": table samples may not be modified");
  db_.emplace(std::move(*Database::Open(tree_.PathOf("other.db"), Database::Mode::kCreate)));
  ASSERT_TRUE(AddSamplesTable(db_->handle()).ok());
  EXPECT_NE(Rows("SELECT * FROM samples")[0].find("is a database of another program"),
            std::string::npos)
      << Rows("SELECT * FROM samples")[0];
}

TEST_F(SamplesTableTest, AnInterruptEndsAQuery) {
  MakeAndConnect();
  Statement rows = std::move(*db_->Prepare("SELECT * FROM samples a, samples b, samples c"));
  ASSERT_TRUE(*rows.Step());
  sqlite3_interrupt(db_->handle());
  const Result<bool> next = rows.Step();
  ASSERT_FALSE(next.ok());
  EXPECT_NE(next.error().text.find("interrupted"), std::string::npos);
}

}  // namespace
}  // namespace idlewatt
