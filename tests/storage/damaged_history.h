// A recording of two days in chunks, roll-ups and frames, and the means to damage its file.
#pragma once

#include <fstream>
#include <map>
#include <random>

#include "tests/storage/recorded_history.h"

namespace idlewatt {

class DamagedHistoryTest : public RecordedHistoryTest {
 protected:
  static constexpr int64_t kStep = 60'000;
  using Samples = std::map<std::string, std::vector<Point>>;

  // Two days and half an hour, closed.
  void RecordDays() {
    Open();
    for (int i = 0; i < 2 * 24 * 6 + 3; ++i) ASSERT_TRUE(RecordFlush(10, kStep));
    Close();
  }
  void Execute(const std::string& sql) const {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    const Result<void> done = db.Execute(sql);
    ASSERT_TRUE(done.ok()) << done.error().ToString();
  }
  // The first column.
  std::vector<int64_t> QueryAll(const std::string& sql) const {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadOnly));
    Statement rows = std::move(*db.Prepare(sql));
    std::vector<int64_t> values;
    while (rows.Step().value()) values.push_back(rows.Int(0));
    return values;
  }
  int64_t Query(const std::string& sql) const { return QueryAll(sql).at(0); }

  // Leaf pages of a table or index, in the order of its keys.
  std::vector<int64_t> PagesOf(const std::string& table) const {
    return QueryAll("SELECT pageno FROM dbstat WHERE name = '" + table +
                    "' AND pagetype = 'leaf' ORDER BY path");
  }
  void OverwritePage(int64_t page) const {
    std::fstream file(db_path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((page - 1) * 4096);
    file << std::string(4096, '\x55');
  }
  // Writes the database anew with noise in one to four pages, or parts of them. Never in the first,
  // which says what the file is.
  void WriteWithNoise(std::string database, std::mt19937& random) {
    const size_t pages = database.size() / 4096;
    const size_t stretches = 1 + random() % 4;
    for (size_t i = 0; i < stretches; ++i) {
      const size_t begin = 4096 * (1 + random() % (pages - 1)) + random() % 2 * (random() % 4000);
      const size_t end = std::min(database.size(), begin + 1 + random() % 4096);
      for (size_t at = begin; at < end; ++at) database[at] = static_cast<char>(random());
    }
    tree_.Write("data/history.db", database);
  }
  void RemoveAll() {
    for (const std::string& name : FilesNamed("history.db")) tree_.Remove("data/" + name);
  }

  // What a reader gives, of each series that it finds. `damaged`: rows that it skipped.
  Samples ReadAll(size_t* damaged = nullptr) const {
    Samples all;
    for (const std::string& selector : Selectors()) {
      const Result<size_t> skipped = ReadPoints(selector, all[selector]);
      EXPECT_TRUE(skipped.ok() || IsDamage(skipped.error())) << selector;
      if (damaged != nullptr) *damaged += skipped.value_or(1);
    }
    return all;
  }
  static size_t Count(const Samples& samples) {
    size_t count = 0;
    for (const auto& [selector, points] : samples) count += points.size();
    return count;
  }
  // Is every sample of `few` one of `many`, with the same value?
  static bool Contains(const Samples& many, const Samples& few) {
    for (const auto& [selector, points] : few) {
      std::map<int64_t, double> values;
      for (const Point& point : many.at(selector)) values[point.time_ms] = point.value;
      for (const Point& point : points) {
        const auto known = values.find(point.time_ms);
        if (known == values.end() || known->second != point.value) return false;
      }
    }
    return true;
  }
};

}  // namespace idlewatt
