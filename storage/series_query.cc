#include "storage/series_query.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "storage/flush_body.h"

namespace idlewatt {
namespace {

void Widen(SeriesSummary& summary, int64_t first_ms, int64_t last_ms) {
  summary.first_ms = std::min(summary.first_ms.value_or(first_ms), first_ms);
  summary.last_ms = std::max(summary.last_ms.value_or(last_ms), last_ms);
}

// One query, in one read transaction.
class SeriesRun {
 public:
  explicit SeriesRun(HistoryReader& history) : history_(history) {}
  Result<SeriesAnswer> Run(const Selector* selector);

 private:
  Result<void> AddChunks();
  Result<void> AddFrames();
  bool AddFrame(std::string_view body, const std::map<int64_t, SeriesSummary*>& by_id);

  HistoryReader& history_;
  SeriesAnswer answer_;
  FlushDecoder decoder_;
};

Result<SeriesAnswer> SeriesRun::Run(const Selector* selector) {
  ASSIGN_OR_RETURN(std::vector<StoredSeries> found, history_.FindSeries(selector));
  for (StoredSeries& series : found) answer_.series.push_back({std::move(series), 0, {}, {}});
  RETURN_IF_ERROR(AddChunks());
  RETURN_IF_ERROR(AddFrames());
  return std::move(answer_);
}

Result<void> SeriesRun::AddChunks() {
  ASSIGN_OR_RETURN(Statement rows,
                   history_.db().Prepare("SELECT min(start_ms), max(end_ms), sum(count) FROM chunks"
                                         " WHERE series_id = ?1"));
  for (SeriesSummary& summary : answer_.series) {
    rows.Bind(1, summary.series.id);
    const Result<bool> row = rows.Step();
    if (!row.ok() && !IsDamage(row.error())) return row.error();
    if (!row.ok()) {
      ++answer_.damaged_rows;
      continue;
    }
    if (*row && !rows.IsNull(0)) {
      Widen(summary, rows.Int(0), rows.Int(1));
      summary.samples = rows.Int(2);
    }
    rows.Reset();
  }
  return {};
}

Result<void> SeriesRun::AddFrames() {
  std::map<int64_t, SeriesSummary*> by_id;
  for (SeriesSummary& summary : answer_.series) by_id.emplace(summary.series.id, &summary);
  ASSIGN_OR_RETURN(Statement rows, history_.db().Prepare("SELECT body FROM frames"));
  for (;;) {
    const Result<bool> row = rows.Step();
    if (!row.ok() && !IsDamage(row.error())) return row.error();
    if (row.ok() && !*row) return {};
    if (!row.ok() || !AddFrame(rows.Bytes(0), by_id)) ++answer_.damaged_rows;
    if (!row.ok()) return {};
  }
}

// False when the body is damaged; what was read before the damage counts.
bool SeriesRun::AddFrame(std::string_view body, const std::map<int64_t, SeriesSummary*>& by_id) {
  const auto find = [&by_id](int64_t series_id) {
    const auto place = by_id.find(series_id);
    return place == by_id.end() ? nullptr : place->second;
  };
  const auto take = [this](SeriesSummary& summary, const std::vector<double>& values) {
    const std::vector<int64_t>& times = decoder_.times_ms();
    for (size_t i = 0; i < times.size(); ++i) {
      if (std::isnan(values[i])) continue;
      Widen(summary, times[i], times[i]);
      ++summary.samples;
    }
  };
  return decoder_.Read(body, find, take).ok();
}

}  // namespace

Result<SeriesAnswer> QuerySeries(HistoryReader& history, const Selector* selector) {
  // An hour that becomes chunks meanwhile must not be counted twice, or not at all.
  RETURN_IF_ERROR(history.db().Execute("BEGIN"));
  Result<SeriesAnswer> answer = SeriesRun(history).Run(selector);
  (void)history.db().Execute("ROLLBACK");
  return answer;
}

}  // namespace idlewatt
