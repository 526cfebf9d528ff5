#include "storage/sql_query.h"

#include <fstream>

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

class SqlQueryTest : public HistoryTest {
 protected:
  SqlQueryTest() {
    Open();
    for (int i = 0; i < 3; ++i) PushValue(kStartMs + i * 1000, 20.5 + i);
    EXPECT_TRUE(history_->Flush().ok());
    reader_.emplace(std::move(*HistoryReader::Open(db_path())));
  }

  // The error of a statement; empty when it could be started.
  std::string ErrorOf(const std::string& sql) {
    const auto query = SqlQuery::Start(*reader_, sql);
    return query.ok() ? "" : query.error().ToString();
  }

  std::optional<HistoryReader> reader_;
};

TEST_F(SqlQueryTest, GivesNamesAndValuesOfEveryKind) {
  const auto query = SqlQuery::Start(
      *reader_, "SELECT time_ms, value AS v, metric, x'00ff' AS b, NULL AS n FROM samples;");
  ASSERT_TRUE(query.ok()) << query.error().ToString();
  SqlQuery& rows = **query;
  EXPECT_EQ(rows.columns(), (std::vector<std::string>{"time_ms", "v", "metric", "b", "n"}));
  ASSERT_TRUE(*rows.Next());
  EXPECT_EQ(std::get<int64_t>(rows.Value(0)), kStartMs);
  EXPECT_EQ(std::get<double>(rows.Value(1)), 20.5);
  EXPECT_EQ(std::get<std::string_view>(rows.Value(2)), "test_celsius");
  EXPECT_EQ(std::get<SqlBlob>(rows.Value(3)).bytes, std::string_view("\0\xff", 2));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(rows.Value(4)));
  EXPECT_TRUE(*rows.Next());
  EXPECT_TRUE(*rows.Next());
  EXPECT_FALSE(*rows.Next());
  EXPECT_EQ(*rows.DamagedRows(), 0);
}

TEST_F(SqlQueryTest, OnlyReads) {
  for (const std::string sql : {"DELETE FROM series",
                                "DROP TABLE chunks",
                                "CREATE TABLE t(x)",
                                "CREATE TEMP TABLE t(x)",
                                "INSERT INTO event VALUES(1, 1, 'a', 'b', '{}')",
                                "UPDATE series SET unit = ''",
                                "ATTACH ':memory:' AS m",
                                "DETACH main",
                                "VACUUM",
                                "VACUUM INTO '/tmp/x'",
                                "BEGIN",
                                "BEGIN IMMEDIATE",
                                "SAVEPOINT s",
                                "REINDEX",
                                "ANALYZE",
                                "PRAGMA user_version = 9",
                                "PRAGMA journal_mode = DELETE",
                                "PRAGMA writable_schema = 1",
                                "PRAGMA wal_checkpoint",
                                "PRAGMA incremental_vacuum",
                                "PRAGMA query_only(0)",
                                "EXPLAIN DELETE FROM series",
                                "UPDATE sqlite_master SET sql = ''",
                                "DELETE FROM sqlite_master",
                                "CREATE VIRTUAL TABLE v USING samples",
                                "WITH x AS (SELECT 1) DELETE FROM series",
                                "SELECT load_extension('/tmp/x')"}) {
    const auto query = SqlQuery::Start(*reader_, sql);
    ASSERT_FALSE(query.ok()) << sql;
    EXPECT_EQ(query.error().code, ErrorCode::kInvalid) << query.error().ToString();
  }
  EXPECT_NE(ErrorOf("DELETE FROM series").find("the history is only read here"), std::string::npos);
  Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadOnly));
  EXPECT_EQ(*db.QueryInt("SELECT count(*) FROM series"), 1);
}

TEST_F(SqlQueryTest, WhatAsksIsAllowed) {
  for (const std::string sql :
       {"VALUES(1)", "EXPLAIN SELECT 1", "EXPLAIN QUERY PLAN SELECT * FROM samples",
        "PRAGMA table_info(rollup_1h)", "PRAGMA user_version", "SELECT * FROM rollup_1h",
        "SELECT name FROM pragma_table_info('event')", "SELECT * FROM sqlite_master",
        "SELECT key FROM json_each('{\"a\":1}')", "SELECT * FROM idle_interval, event",
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT i FROM n",
        "SELECT labels ->> 'sensor', json_extract(labels, '$.sensor') FROM series",
        "SELECT avg(value) OVER (ORDER BY time_ms ROWS 5 PRECEDING) FROM samples", " SELECT 1 ; ",
        "-- why\nSELECT 1 /* done */;; -- and no more"}) {
    EXPECT_EQ(ErrorOf(sql), "") << sql;
  }
}

TEST_F(SqlQueryTest, EveryQueryOfTheDocumentationRuns) {
  std::ifstream page(std::string(IDLEWATT_SOURCE_DIR) + "/docs/history.md");
  int queries = 0;
  std::string sql;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (inside && line == "```") {
      const auto query = SqlQuery::Start(*reader_, sql);
      ASSERT_TRUE(query.ok()) << query.error().ToString() << "\n" << sql;
      EXPECT_TRUE((*query)->Next().ok()) << sql;
      ++queries;
      inside = false;
    }
    if (inside) sql += line + "\n";
    if (line != "```sql") continue;
    inside = true;
    sql.clear();
  }
  EXPECT_GE(queries, 5);
}

TEST_F(SqlQueryTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(ErrorOf("SELECT nosuch FROM samples"), "SQL: no such column: nosuch at position 8");
  EXPECT_EQ(ErrorOf("SELEC 1"), "SQL: near \"SELEC\": syntax error at position 1");
  EXPECT_EQ(ErrorOf("SELECT 1 FROM"), "SQL: incomplete input");
  EXPECT_EQ(ErrorOf(""), "SQL: there is no statement");
  EXPECT_EQ(ErrorOf(" ;-- nothing"), "SQL: there is no statement");
  EXPECT_EQ(ErrorOf("SELECT 1; SELECT 2"), "SQL: there is more than one statement");
  EXPECT_EQ(ErrorOf("SELECT 1; DROP TABLE series"), "SQL: there is more than one statement");
  const auto query = SqlQuery::Start(*reader_, "SELECT abs(-9223372036854775807 - 1)");
  ASSERT_TRUE(query.ok());
  EXPECT_EQ((*query)->Next().error().ToString(), "SQL: integer overflow");
}

TEST_F(SqlQueryTest, TheReaderServesAgainAfterwards) {
  EXPECT_EQ(ErrorOf("SELECT 1"), "");
  EXPECT_EQ(ErrorOf("SELEC"), "SQL: near \"SELEC\": syntax error at position 1");
  const auto answer = QueryRange(Select("test_celsius"), Everything(), nullptr, &*reader_);
  ASSERT_TRUE(answer.ok()) << answer.error().ToString();
  EXPECT_EQ(answer->series.at(0).points.size(), 3u);
}

}  // namespace
}  // namespace idlewatt
