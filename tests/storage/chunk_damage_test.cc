// What readers and the daemon make of damage in the tables of chunks.
#include <spdlog/spdlog.h>

#include "tests/storage/damaged_history.h"

namespace idlewatt {
namespace {

class ChunkDamageTest : public DamagedHistoryTest {
 protected:
  ChunkDamageTest() { spdlog::set_level(spdlog::level::off); }
};

TEST_F(ChunkDamageTest, DamagedPagesOfChunksAreSkippedAndCounted) {
  RecordDays();
  const Samples before = ReadAll();
  const std::vector<int64_t> pages = PagesOf("chunks");
  ASSERT_GT(pages.size(), 8u);
  OverwritePage(pages[pages.size() / 2]);
  size_t damaged = 0;
  const Samples after = ReadAll(&damaged);
  EXPECT_GT(damaged, 0u);
  EXPECT_TRUE(Contains(before, after));
  EXPECT_GT(Count(after), Count(before) / 4);
  EXPECT_LT(Count(after), Count(before));
}

TEST_F(ChunkDamageTest, DamagedTimesHideTheChunksThatUseThemAndNoOthers) {
  RecordDays();
  const Samples before = ReadAll();
  const std::string times = std::to_string(Query("SELECT max(id) FROM chunk_times"));
  const std::string users = " FROM chunks WHERE times_id = " + times;
  const auto hidden = static_cast<size_t>(Query("SELECT sum(count)" + users));
  const auto chunks = static_cast<size_t>(Query("SELECT count(*)" + users));
  Execute("UPDATE chunk_times SET body = x'00' WHERE id = " + times);
  size_t damaged = 0;
  const Samples after = ReadAll(&damaged);
  EXPECT_EQ(damaged, chunks);
  EXPECT_EQ(Count(after), Count(before) - hidden);
}

TEST_F(ChunkDamageTest, AnyDamagedPagesGiveTrueSamplesOrAnErrorAndRecordingGoesOn) {
  RecordDays();
  const Samples before = ReadAll();
  const std::string sound = tree_.Read("data/history.db");
  std::mt19937 random(4);
  size_t set_aside = 0;
  for (int round = 0; round < 30 && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    WriteWithNoise(sound, random);
    EXPECT_TRUE(Contains(before, ReadAll()));
    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
    const int64_t begin = next_ms_;
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(RecordFlush(10, kStep));
    std::vector<Point> points;
    ASSERT_TRUE(ReadPoints("test_celsius", points).ok());
    std::erase_if(points, [begin](const Point& point) { return point.time_ms < begin; });
    EXPECT_EQ(points.size(), 100u) << "the new frames are there, in whichever database";
    const std::vector<std::string> names = history_->Stats().set_aside;
    for (const std::string& name : names) EXPECT_TRUE(std::filesystem::exists(name)) << name;
    set_aside += names.size();
    Close();
    RemoveAll();
  }
  EXPECT_GT(set_aside, 10u);
}

}  // namespace
}  // namespace idlewatt
