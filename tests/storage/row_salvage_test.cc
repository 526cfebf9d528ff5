#include "storage/row_salvage.h"

#include <fstream>
#include <set>

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

// A table of 3,000 rows, some nine a page.
class RowSalvageTest : public ::testing::Test {
 protected:
  RowSalvageTest() { MakeTable(kStartMs, 15'000); }

  void MakeTable(int64_t first_key, int64_t key_step) {
    first_key_ = first_key;
    key_step_ = key_step;
    tree_.Remove("x.db");
    pages_.clear();
    Database db = std::move(*Database::Open(path(), Database::Mode::kCreate));
    EXPECT_TRUE(db.Execute("CREATE TABLE t(key INTEGER PRIMARY KEY, body BLOB);"
                           "WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)"
                           " INSERT INTO t SELECT " +
                           std::to_string(first_key) + " + i * " + std::to_string(key_step) +
                           ", zeroblob(400) FROM n")
                    .ok());
    Statement pages = std::move(
        *db.Prepare("SELECT pageno, ncell FROM dbstat WHERE name = 't' AND pagetype = 'leaf'"
                    " ORDER BY path"));
    while (pages.Step().value()) pages_.push_back({pages.Int(0), pages.Int(1)});
  }
  std::string path() const { return tree_.PathOf("x.db"); }

  // Damages these pages, in the order of the keys. Every row of all others must be found, once.
  void ExpectOthersSaved(const std::set<size_t>& damaged, uint64_t stretches) {
    std::set<int64_t> expected;
    int64_t key = first_key_;
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    for (size_t i = 0; i < pages_.size(); ++i) {
      for (int64_t row = 0; row < pages_[i].rows; ++row, key += key_step_) {
        if (!damaged.contains(i)) expected.insert(key);
      }
      if (!damaged.contains(i)) continue;
      file.seekp((pages_[i].number - 1) * 4096);
      file << std::string(4096, '\x55');
    }
    file.close();
    Database db = std::move(*Database::Open(path(), Database::Mode::kReadOnly));
    RowSalvage salvage = std::move(*RowSalvage::Create(db, "key, body", "t", "key"));
    std::set<int64_t> found;
    const Result<uint64_t> lost = salvage.Run([&found](const Statement& row) -> Result<void> {
      EXPECT_TRUE(found.insert(row.Int(0)).second) << "twice";
      return {};
    });
    EXPECT_EQ(lost.value(), stretches);
    EXPECT_EQ(found, expected);
  }

  struct Page {
    int64_t number, rows;
  };
  FakeTree tree_;
  int64_t first_key_ = 0, key_step_ = 0;
  std::vector<Page> pages_;
};

TEST_F(RowSalvageTest, OfASoundTableEveryRow) { ExpectOthersSaved({}, 0); }

TEST_F(RowSalvageTest, AroundOneDamagedPage) { ExpectOthersSaved({100}, 1); }

TEST_F(RowSalvageTest, BetweenManyDamagedPages) { ExpectOthersSaved({50, 51, 90, 200, 300}, 4); }

TEST_F(RowSalvageTest, AnIslandInAWideDamage) {
  std::set<size_t> damaged;
  for (size_t i = 60; i < 300; ++i) damaged.insert(i);
  damaged.erase(180);
  ExpectOthersSaved(damaged, 2);
}

TEST_F(RowSalvageTest, WhereBothEndsAreDamagedAndKeysBeginAtOne) {
  MakeTable(1, 1);
  ExpectOthersSaved({0, 1, pages_.size() - 2, pages_.size() - 1}, 2);
}

TEST_F(RowSalvageTest, WhereOneEndIsDamaged) {
  ExpectOthersSaved({0, 1}, 1);
  MakeTable(kStartMs, 15'000);
  ExpectOthersSaved({pages_.size() - 2, pages_.size() - 1}, 1);
}

TEST_F(RowSalvageTest, WhereNothingIsLeft) {
  std::set<size_t> damaged;
  for (size_t i = 0; i < pages_.size(); ++i) damaged.insert(i);
  ExpectOthersSaved(damaged, 1);
}

TEST_F(RowSalvageTest, AnErrorOfWhoTakesTheRowsEndsIt) {
  Database db = std::move(*Database::Open(path(), Database::Mode::kReadOnly));
  RowSalvage salvage = std::move(*RowSalvage::Create(db, "key, body", "t", "key"));
  int rows = 0;
  const Result<uint64_t> lost = salvage.Run([&rows](const Statement&) -> Result<void> {
    if (++rows < 10) return {};
    return Error{ErrorCode::kTransient, "disk", 0, "full"};
  });
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(rows, 10);
}

}  // namespace
}  // namespace idlewatt
