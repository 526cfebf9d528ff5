// idlewatt db …, as a user meets it.
#include "app/db_commands.h"

#include <gtest/gtest.h>

#include <fstream>

#include "storage/backfill.h"
#include "storage/data_dir.h"
#include "storage/sqlite.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

class DbCommandsTest : public ::testing::Test {
 protected:
  // What a command printed, and how it ended.
  struct Said {
    int code = 0;
    std::string out, err;
  };
  template <typename Command>
  static Said Run(Command command) {
    Said said;
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    said.code = command();
    said.out = ::testing::internal::GetCapturedStdout();
    said.err = ::testing::internal::GetCapturedStderr();
    return said;
  }
  static bool Has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  std::string db() const { return tree_.PathOf("data/history.db"); }
  void MakeHistory() {
    tree_.MakeDir("data");
    const std::unique_ptr<Backfill> backfill = std::move(*Backfill::Open(db()));
    const size_t series =
        backfill->AddSeries({"test_celsius", {{"sensor", "a"}}}, MetricKind::kGauge, "celsius");
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(backfill->Add(series, 1'700'000'000'000 + i * 5000, i % 7).ok());
    }
    ASSERT_TRUE(backfill->Finish().ok());
  }
  void Damage() {
    Database database = std::move(*Database::Open(db(), Database::Mode::kReadWrite));
    ASSERT_TRUE(
        database.Execute("UPDATE chunks SET body = x'00' WHERE id = (SELECT min(id) FROM chunks)")
            .ok());
  }

  FakeTree tree_;
};

TEST_F(DbCommandsTest, StatsSayWhatASampleCosts) {
  MakeHistory();
  const Said text = Run([this] { return DbStatsCommand(db(), false); });
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_TRUE(Has(text.out, "1000 of 1 series")) << text.out;
  EXPECT_TRUE(Has(text.out, "bytes a sample")) << text.out;
  EXPECT_TRUE(Has(text.out, "2023-11-14T22:13:20.000Z")) << text.out;
  const Said json = Run([this] { return DbStatsCommand(db(), true); });
  EXPECT_TRUE(Has(json.out, "\"samples\": 1000")) << json.out;
}

TEST_F(DbCommandsTest, CheckAndRepairGoHandInHand) {
  MakeHistory();
  const Said sound = Run([this] { return DbCheckCommand(db()); });
  EXPECT_EQ(sound.code, 0) << sound.err;
  EXPECT_TRUE(Has(sound.out, "is sound")) << sound.out;
  Damage();
  const Said damaged = Run([this] { return DbCheckCommand(db()); });
  EXPECT_EQ(damaged.code, 1);
  EXPECT_TRUE(Has(damaged.out, "chunks, row 1: ")) << damaged.out;
  EXPECT_TRUE(Has(damaged.err, "idlewatt db repair --db " + db())) << damaged.err;
  const Said repaired = Run([this] { return DbRepairCommand(db()); });
  EXPECT_EQ(repaired.code, 0) << repaired.err;
  EXPECT_TRUE(Has(repaired.out, "is sound again. The damaged file is now " + db() + ".damaged-"))
      << repaired.out;
  EXPECT_EQ(Run([this] { return DbCheckCommand(db()); }).code, 0);
  const Said again = Run([this] { return DbRepairCommand(db()); });
  EXPECT_TRUE(Has(again.out, "there is nothing to repair")) << again.out;
}

TEST_F(DbCommandsTest, ATruncatedFileIsDamagedAndCanBeRepaired) {
  MakeHistory();
  std::filesystem::resize_file(db(), std::filesystem::file_size(db()) - 4096);
  EXPECT_EQ(Run([this] { return DbCheckCommand(db()); }).code, 1);
  EXPECT_EQ(Run([this] { return DbRepairCommand(db()); }).code, 0);
  EXPECT_EQ(Run([this] { return DbCheckCommand(db()); }).code, 0);
}

TEST_F(DbCommandsTest, ARepairIsRefusedWhileADaemonUsesTheFolder) {
  MakeHistory();
  Damage();
  const DataDir folder = std::move(*DataDir::Lock(tree_.PathOf("data")));
  const Said refused = Run([this] { return DbRepairCommand(db()); });
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(Has(refused.err, "pid " + std::to_string(getpid()))) << refused.err;
}

TEST_F(DbCommandsTest, VacuumSaysWhatItGained) {
  MakeHistory();
  const Said said = Run([this] { return DbVacuumCommand(db()); });
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_TRUE(Has(said.out, " before, ")) << said.out;
}

TEST_F(DbCommandsTest, BackupMakesACopyOnceAndIsQuiet) {
  MakeHistory();
  const std::string copy = tree_.PathOf("copy.db");
  const Said made = Run([&] { return DbBackupCommand(db(), copy); });
  EXPECT_EQ(made.code, 0);
  EXPECT_EQ(made.err, "") << "a progress bar is for terminals";
  EXPECT_EQ(Run([&] { return DbCheckCommand(copy); }).code, 0);
  const Said again = Run([&] { return DbBackupCommand(db(), copy); });
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(Has(again.err, "exists already")) << again.err;
}

TEST_F(DbCommandsTest, AMissingFileIsASentence) {
  const Said said = Run([this] { return DbStatsCommand(tree_.PathOf("none.db"), false); });
  EXPECT_EQ(said.code, 1);
  EXPECT_TRUE(Has(said.err, "--db FILE")) << said.err;
}

}  // namespace
}  // namespace idlewatt
