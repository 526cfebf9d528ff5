// Care of a history: what db stats, check, vacuum and backup do with it.
#include "storage/database_care.h"

#include "storage/row_check.h"
#include "tests/storage/damaged_history.h"

namespace idlewatt {
namespace {

class DatabaseCareTest : public DamagedHistoryTest {
 protected:
  // As a daemon has it that still runs.
  void RecordOn() {
    RecordDays();
    Open();
    ASSERT_TRUE(RecordFlush(10, kStep));
  }
  // What the check of a database with exactly this damage says.
  void ExpectProblem(const std::string& problem) const {
    const Result<DatabaseCheck> check = CheckDatabase(db_path());
    ASSERT_TRUE(check.ok()) << check.error().ToString();
    ASSERT_FALSE(check->sound());
    EXPECT_EQ(check->problems.front(), problem);
  }
};

TEST_F(DatabaseCareTest, StatsCountEverySample) {
  RecordOn();
  const DatabaseStats stats = ReadDatabaseStats(db_path()).value();
  int64_t samples = 0;
  for (const std::string& selector : Selectors()) {
    samples += static_cast<int64_t>(PointsOf(selector).size());
  }
  EXPECT_EQ(stats.samples(), samples);
  EXPECT_GT(stats.chunk_samples, 0);
  EXPECT_GT(stats.frame_samples, 0);
  EXPECT_EQ(stats.series, 1 + kCounters);
  EXPECT_EQ(stats.chunks, Query("SELECT count(*) FROM chunks"));
  EXPECT_EQ(stats.hourly_rollups, Query("SELECT count(*) FROM rollup_1h"));
  EXPECT_EQ(stats.oldest, At(kStartMs));
  EXPECT_EQ(stats.newest, At(next_ms_ - kStep));
  EXPECT_GT(stats.BytesPerSample(), 0);
  int64_t bytes = 0;
  for (const auto& [table, table_bytes] : stats.bytes_by_table) bytes += table_bytes;
  EXPECT_LE(bytes, stats.pages * stats.page_bytes);
}

TEST_F(DatabaseCareTest, StatsOfAnEmptyHistory) {
  Open();
  const DatabaseStats stats = ReadDatabaseStats(db_path()).value();
  EXPECT_EQ(stats.samples(), 0);
  EXPECT_FALSE(stats.oldest);
  EXPECT_FALSE(stats.BytesPerSample());
}

TEST_F(DatabaseCareTest, ASoundHistoryPassesTheCheckAlsoWhileItIsRecorded) {
  RecordOn();
  const DatabaseCheck check = CheckDatabase(db_path()).value();
  EXPECT_TRUE(check.sound()) << check.problems.front();
  EXPECT_GT(check.rows, 100u);
}

TEST_F(DatabaseCareTest, TheCheckKnowsEveryTableAndColumn) {
  Open();
  Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadOnly));
  Statement columns =
      std::move(*db.Prepare("SELECT t.name, group_concat(c.name, ', ') FROM pragma_table_list t,"
                            " pragma_table_xinfo(t.name) c WHERE t.schema = 'main' AND c.hidden = 0"
                            " AND t.name NOT LIKE 'sqlite%' GROUP BY t.name ORDER BY t.name"));
  std::map<std::string, std::string> found, known;
  while (columns.Step().value()) found[std::string(columns.Bytes(0))] = columns.Bytes(1);
  for (const HistoryTable& table : kHistoryTables) known[std::string(table.name)] = table.columns;
  EXPECT_EQ(found, known);
}

TEST_F(DatabaseCareTest, TheCheckNamesWhatIsDamaged) {
  RecordDays();
  const auto damage = [this](const std::string& sql, const std::string& problem) {
    const std::string before = tree_.Read("data/history.db");
    Execute(sql);
    ExpectProblem(problem);
    tree_.Write("data/history.db", before);
  };
  const std::string chunk = std::to_string(Query("SELECT min(id) FROM chunks"));
  const std::string at = " WHERE id = " + chunk;
  const std::string times = std::to_string(Query("SELECT times_id FROM chunks" + at));
  const std::string count = std::to_string(Query("SELECT count FROM chunks" + at));
  const std::string frame = std::to_string(Query("SELECT min(time_ms) FROM frames"));
  damage("UPDATE chunks SET count = 7" + at, "chunks, row " + chunk + ": it has " + count +
                                                 " values and " + count + " times, and says 7");
  damage("UPDATE chunks SET end_ms = end_ms + 1" + at,
         "chunks, row " + chunk + ": its times begin or end elsewhere than it says");
  damage("UPDATE chunks SET times_id = 999999" + at,
         "chunks, row " + chunk + ": its times are missing or damaged");
  damage("UPDATE chunk_times SET uses = 99 WHERE id = " + times,
         "chunk_times, row " + times + ": it counts 99 uses and has " +
             std::to_string(Query("SELECT count(*) FROM chunks WHERE times_id = " + times)));
  damage(
      "INSERT INTO chunks(series_id, start_ms, end_ms, count, times_id, body) SELECT series_id,"
      " start_ms, end_ms, count, times_id, body FROM chunks" +
          at,
      "chunks, row " + std::to_string(Query("SELECT max(id) + 1 FROM chunks")) +
          ": it begins before the one before it ends");
  damage("DELETE FROM series WHERE id = 1", "series, row 1: it is missing, but has samples");
  damage("UPDATE series SET labels = '[]' WHERE id = 1", "series, row 1: its labels can't be read");
  for (const std::string table : {"chunks", "chunk_times"}) {
    const std::string id = table == "chunks" ? chunk : times;
    const std::string before = tree_.Read("data/history.db");
    Execute("UPDATE " + table + " SET body = substr(body, 1, length(body) - 1) WHERE id = " + id);
    const DatabaseCheck check = CheckDatabase(db_path()).value();
    ASSERT_FALSE(check.sound());
    EXPECT_TRUE(check.problems.front().starts_with(table + ", row " + id + ": "))
        << check.problems.front();
    tree_.Write("data/history.db", before);
  }
  Execute("UPDATE frames SET body = x'01deadbeef' WHERE time_ms = " + frame);
  const DatabaseCheck check = CheckDatabase(db_path()).value();
  ASSERT_EQ(check.problems.size(), 1u);
  EXPECT_TRUE(check.problems.front().starts_with("frames, row " + frame + ": "));
}

TEST_F(DatabaseCareTest, ManyProblemsAreCounted) {
  RecordDays();
  Execute("UPDATE chunk_times SET body = x'00'");
  const DatabaseCheck check = CheckDatabase(db_path()).value();
  EXPECT_EQ(check.problems.size(), 100u);
  EXPECT_GT(check.more_problems, 0u);
}

TEST_F(DatabaseCareTest, AFileOfSomebodyElseIsRefused) {
  tree_.MakeDir("data");
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kCreate));
    ASSERT_TRUE(db.Execute("CREATE TABLE theirs(x)").ok());
  }
  EXPECT_EQ(ReadDatabaseStats(db_path()).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(CheckDatabase(db_path()).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(VacuumDatabase(db_path()).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(BackUpDatabase(db_path(), tree_.PathOf("copy"), {}).error().code, ErrorCode::kInvalid);
}

TEST_F(DatabaseCareTest, AVacuumMakesTheFileSmallerAndKeepsEverySample) {
  RecordOn();
  Execute(
      "CREATE TABLE filler(x); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <"
      " 500) INSERT INTO filler SELECT zeroblob(4000) FROM n; DROP TABLE filler");
  const VacuumOutcome outcome = VacuumDatabase(db_path()).value();
  EXPECT_LT(outcome.bytes_after, outcome.bytes_before);
  EXPECT_EQ(outcome.bytes_after, FileBytes(db_path()));
  EXPECT_EQ(Query("PRAGMA freelist_count"), 0);
  ExpectAllPromised(kStartMs);
  EXPECT_TRUE(RecordFlush(10, kStep)) << "the daemon goes on";
  ExpectAllPromised(kStartMs);
}

TEST_F(DatabaseCareTest, ABackupWhileTheDaemonRecordsIsWhole) {
  RecordOn();
  // Some 1,000 pages, so that the copy takes several steps.
  Execute(
      "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO"
      " event(time_ms, kind, detail_json) SELECT i, 'x', printf('%4000s', '{}') FROM n");
  const size_t before = PointsOf("test_celsius").size();
  // The daemon flushes between the steps of the copy.
  int64_t last_done = 0;
  int steps = 0;
  const auto progress = [&](int64_t done, int64_t all) {
    ++steps;
    EXPECT_GE(done, last_done) << "the copy began anew";
    EXPECT_LE(done, all);
    last_done = done;
    EXPECT_TRUE(RecordFlush(10, kStep));
  };
  const Result<void> copied = BackUpDatabase(db_path(), tree_.PathOf("copy/x.db"), progress);
  ASSERT_FALSE(copied.ok()) << "there is no such folder";
  tree_.MakeDir("copy");
  const size_t then = PointsOf("test_celsius").size();
  last_done = 0;
  const Result<void> again = BackUpDatabase(db_path(), tree_.PathOf("copy/x.db"), progress);
  ASSERT_TRUE(again.ok()) << again.error().ToString();
  EXPECT_GT(steps, 3);
  EXPECT_GT(PointsOf("test_celsius").size(), then) << "or the daemon did not record meanwhile";
  EXPECT_TRUE(CheckDatabase(tree_.PathOf("copy/x.db")).value().sound());
  EXPECT_EQ(ReadDatabaseStats(tree_.PathOf("copy/x.db")).value().newest,
            At(kStartMs + static_cast<int64_t>(then - 1) * kStep));
  EXPECT_GE(then, before);
  EXPECT_FALSE(std::filesystem::exists(tree_.PathOf("copy/x.db.new")));
}

TEST_F(DatabaseCareTest, ABackupOverwritesNothing) {
  RecordDays();
  for (const std::string name : {"copy.db", "copy.db.new"}) {
    tree_.Write(name, "precious");
    const Result<void> copied = BackUpDatabase(db_path(), tree_.PathOf("copy.db"), {});
    ASSERT_FALSE(copied.ok());
    EXPECT_EQ(copied.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(tree_.Read(name), "precious");
    tree_.Remove(name);
  }
  EXPECT_EQ(BackUpDatabase(db_path(), db_path(), {}).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace idlewatt
