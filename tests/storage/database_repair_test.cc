// What db repair saves of a damaged history.
#include "storage/database_repair.h"

#include "storage/database_care.h"
#include "tests/storage/damaged_history.h"

namespace idlewatt {
namespace {

class DatabaseRepairTest : public DamagedHistoryTest {
 protected:
  // Repairs, and checks what must hold whatever was damaged.
  RepairOutcome Repair() {
    const std::string damaged = tree_.Read("data/history.db");
    Result<RepairOutcome> outcome = RepairDatabase(folder(), db_path());
    if (!outcome.ok()) {
      ADD_FAILURE() << outcome.error().ToString();
      return {};
    }
    EXPECT_TRUE(outcome->set_aside.starts_with(db_path() + ".damaged-2")) << outcome->set_aside;
    std::ifstream aside(outcome->set_aside, std::ios::binary);
    EXPECT_TRUE(damaged == std::string(std::istreambuf_iterator<char>(aside), {}))
        << "nothing may be deleted";
    const Result<DatabaseCheck> check = CheckDatabase(db_path());
    EXPECT_TRUE(check.ok() && check->sound());
    EXPECT_TRUE(FilesNamed("history.db.repaired").empty());
    return std::move(*outcome);
  }
  static const RepairOutcome::Table& Of(const RepairOutcome& outcome, std::string_view table) {
    return *std::find_if(outcome.tables.begin(), outcome.tables.end(),
                         [table](const auto& row) { return row.name == table; });
  }
  const DataDir& folder() const { return *folder_; }
};

TEST_F(DatabaseRepairTest, ASoundHistoryStaysAsItIs) {
  RecordDays();
  const std::string before = tree_.Read("data/history.db");
  const RepairOutcome outcome = RepairDatabase(folder(), db_path()).value();
  EXPECT_TRUE(outcome.set_aside.empty());
  EXPECT_EQ(tree_.Read("data/history.db"), before);
  EXPECT_TRUE(FilesNamed("history.db.").empty());
}

TEST_F(DatabaseRepairTest, RowsWithDamagedBodiesAreLeftOutAndCounted) {
  RecordDays();
  const Samples before = ReadAll();
  Execute("UPDATE chunks SET body = x'00' WHERE id = (SELECT min(id) FROM chunks)");
  Execute("UPDATE frames SET body = x'0100' WHERE time_ms = (SELECT min(time_ms) FROM frames)");
  Execute("UPDATE series SET labels = 'x' WHERE id = 2");
  const Samples damaged = ReadAll();
  const RepairOutcome outcome = Repair();
  EXPECT_EQ(Of(outcome, "chunks").damaged, 1u);
  EXPECT_EQ(Of(outcome, "frames").damaged, 1u);
  EXPECT_EQ(Of(outcome, "series").damaged, 1u);
  EXPECT_EQ(outcome.nameless_series, std::vector<int64_t>{2});
  EXPECT_EQ(Count(ReadAll()), Count(damaged)) << "all that could be read before";
  EXPECT_TRUE(Contains(before, ReadAll()));
  std::vector<Point> lost_name;
  ASSERT_TRUE(ReadPoints("idlewatt_lost_series{id=\"2\"}", lost_name).ok());
  EXPECT_GT(lost_name.size(), 1000u) << "samples without a name are still there";
}

TEST_F(DatabaseRepairTest, DamagedPagesCostOnlyTheirRows) {
  RecordDays();
  const Samples before = ReadAll();
  const std::vector<int64_t> pages = PagesOf("chunks");
  ASSERT_GT(pages.size(), 8u);
  const size_t chunks = static_cast<size_t>(Query("SELECT count(*) FROM chunks"));
  // Two stretches with sound pages before, between and behind them.
  for (const size_t page : {pages.size() / 4, pages.size() / 4 + 1, pages.size() / 2}) {
    OverwritePage(pages[page]);
  }
  const RepairOutcome outcome = Repair();
  const RepairOutcome::Table& saved = Of(outcome, "chunks");
  EXPECT_EQ(saved.unreadable, 2u);
  EXPECT_GT(saved.kept, chunks * (pages.size() - 4) / pages.size() * 8 / 10);
  EXPECT_LT(saved.kept, chunks);
  EXPECT_TRUE(Contains(before, ReadAll()));
}

TEST_F(DatabaseRepairTest, TheEndsOfATableMayBeDamaged) {
  RecordDays();
  const std::vector<int64_t> pages = PagesOf("chunks");
  OverwritePage(pages.front());
  OverwritePage(pages.back());
  const RepairOutcome outcome = Repair();
  EXPECT_GT(Of(outcome, "chunks").kept, 3 * pages.size()) << "what stands between";
}

TEST_F(DatabaseRepairTest, NamesOfSeriesAreFoundInTheIndexToo) {
  RecordDays();
  const Samples before = ReadAll();
  const std::vector<int64_t> pages = PagesOf("series");
  ASSERT_EQ(pages.size(), 1u);
  OverwritePage(pages.front());
  const RepairOutcome outcome = Repair();
  EXPECT_EQ(Of(outcome, "series").kept, static_cast<uint64_t>(1 + kCounters));
  EXPECT_TRUE(outcome.nameless_series.empty());
  EXPECT_EQ(Count(ReadAll()), Count(before));
}

TEST_F(DatabaseRepairTest, ATruncatedFileGivesWhatIsLeft) {
  RecordDays();
  const Samples before = ReadAll();
  std::filesystem::resize_file(db_path(), std::filesystem::file_size(db_path()) / 2);
  Repair();
  EXPECT_TRUE(Contains(before, ReadAll()));
  EXPECT_GT(Count(ReadAll()), 0u);
}

TEST_F(DatabaseRepairTest, OfOverlappingChunksTheFirstIsKept) {
  RecordDays();
  const Samples before = ReadAll();
  Execute(
      "INSERT INTO chunks(series_id, start_ms, end_ms, count, times_id, body) SELECT series_id,"
      " start_ms, end_ms, count, times_id, body FROM chunks LIMIT 1");
  const RepairOutcome outcome = Repair();
  EXPECT_EQ(Of(outcome, "chunks").damaged, 1u);
  EXPECT_EQ(Count(ReadAll()), Count(before));
}

TEST_F(DatabaseRepairTest, AnyDamagedPagesGiveASoundHistoryOfTrueSamples) {
  RecordDays();
  const Samples before = ReadAll();
  const std::string sound = tree_.Read("data/history.db");
  std::mt19937 random(9);
  for (int round = 0; round < 25 && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    WriteWithNoise(sound, random);
    const Result<DatabaseCheck> check = CheckDatabase(db_path());
    ASSERT_TRUE(check.ok()) << check.error().ToString();
    if (check->sound()) continue;  // a free page
    Repair();
    EXPECT_TRUE(Contains(before, ReadAll()));
    RemoveAll();
  }
}

TEST_F(DatabaseRepairTest, WithoutItsFirstPageItSaysSoAndChangesNothing) {
  RecordDays();
  OverwritePage(1);
  const std::string before = tree_.Read("data/history.db");
  const Result<RepairOutcome> outcome = RepairDatabase(folder(), db_path());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kParse);
  EXPECT_EQ(tree_.Read("data/history.db"), before);
  EXPECT_EQ(FilesNamed("history.db"), std::vector<std::string>{"history.db"});
}

TEST_F(DatabaseRepairTest, WhatARepairLeftThatWasCutShortIsNotOverwritten) {
  RecordDays();
  Execute("UPDATE chunk_times SET body = x'00'");
  tree_.Write("data/history.db.repaired", "precious");
  const Result<RepairOutcome> outcome = RepairDatabase(folder(), db_path());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(tree_.Read("data/history.db.repaired"), "precious");
}

TEST_F(DatabaseRepairTest, TheDaemonRecordsToTheRepairedOne) {
  RecordDays();
  OverwritePage(PagesOf("chunks").front());
  Repair();
  Open();
  ASSERT_NE(history_, nullptr) << error_->ToString();
  EXPECT_TRUE(history_->Stats().set_aside.empty());
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(RecordFlush(10, kStep));
  EXPECT_TRUE(CheckDatabase(db_path()).value().sound());
}

}  // namespace
}  // namespace idlewatt
