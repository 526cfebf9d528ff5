#include "storage/series_query.h"

#include "storage/backfill.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

class SeriesQueryTest : public HistoryTest {
 protected:
  SeriesQueryTest() { std::filesystem::create_directory(tree_.PathOf("data")); }

  SeriesAnswer Ask(const Selector* selector = nullptr) {
    HistoryReader reader = std::move(*HistoryReader::Open(path_));
    Result<SeriesAnswer> answer = QuerySeries(reader, selector);
    if (!answer.ok()) {
      ADD_FAILURE() << answer.error().ToString();
      return {};
    }
    return std::move(*answer);
  }

  // A joules series of a day in chunks.
  void MakeChunks() {
    auto fill = std::move(*Backfill::Open(path_));
    const size_t joules = fill->AddSeries({"test_joules_total", {{"domain", "x"}, {"source", "r"}}},
                                          MetricKind::kCounter, "joules");
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(fill->Add(joules, kStartMs - 86'400'000 + i * 5000, i).ok());
    }
    ASSERT_TRUE(fill->Finish().ok());
  }

  const std::string path_ = tree_.PathOf("data/history.db");
};

TEST_F(SeriesQueryTest, CountsChunksAndFrames) {
  MakeChunks();
  Open();
  const SeriesId joules = registry_.Intern(kTestCounter, {"r", "x"});
  history_->Push(FrameAt(kStartMs, {{GaugeId("b"), 1}, {joules, 2000}}));
  history_->Push(FrameAt(kStartMs + 1000, {{joules, 2000}}));
  history_->Push(FrameAt(kStartMs + 2000, {{GaugeId("b"), 2}}));
  ASSERT_TRUE(history_->Flush().ok());
  const SeriesAnswer answer = Ask();
  ASSERT_EQ(answer.series.size(), 2u);
  EXPECT_EQ(answer.damaged_rows, 0u);
  const SeriesSummary& gauge = answer.series[0];
  EXPECT_EQ(gauge.series.name.metric, "test_celsius");
  EXPECT_EQ(gauge.series.unit, "celsius");
  EXPECT_EQ(gauge.samples, 2);
  EXPECT_EQ(gauge.first_ms, kStartMs);
  EXPECT_EQ(gauge.last_ms, kStartMs + 2000);
  const SeriesSummary& counter = answer.series[1];
  EXPECT_EQ(counter.series.kind, MetricKind::kCounter);
  EXPECT_EQ(counter.samples, 1002);
  EXPECT_EQ(counter.first_ms, kStartMs - 86'400'000);
  EXPECT_EQ(counter.last_ms, kStartMs + 1000);
}

TEST_F(SeriesQueryTest, GivesWhatTheSelectorMeans) {
  MakeChunks();
  const Selector same = Select("test_joules_total{domain=\"x\"}");
  const Selector other = Select("test_joules_total{domain=\"y\"}");
  EXPECT_EQ(Ask(&same).series.size(), 1u);
  EXPECT_TRUE(Ask(&other).series.empty());
}

TEST_F(SeriesQueryTest, ASeriesWhoseSamplesWereDeletedIsThereWithoutTimes) {
  MakeChunks();
  Database db = std::move(*Database::Open(path_, Database::Mode::kReadWrite));
  ASSERT_TRUE(db.Execute("DELETE FROM chunks; INSERT INTO frames VALUES(1, x'00')").ok());
  const SeriesAnswer answer = Ask();
  ASSERT_EQ(answer.series.size(), 1u);
  EXPECT_EQ(answer.series[0].samples, 0);
  EXPECT_EQ(answer.series[0].first_ms, std::nullopt);
  EXPECT_EQ(answer.damaged_rows, 1u);
}

}  // namespace
}  // namespace idlewatt
