#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "storage/flush_body.h"
#include "storage/sqlite.h"

namespace idlewatt {

// A table of a history: what a row of it holds, the key first.
struct HistoryTable {
  std::string_view name;
  std::string_view columns;  // without those that SQLite computes
};

// All tables, those that others refer to first.
inline constexpr std::array<HistoryTable, 9> kHistoryTables = {{
    {"series", "id, metric, labels, kind, unit"},
    {"metric_family", "name, type, unit, help"},
    {"chunk_times", "id, uses, body"},
    {"chunks", "id, series_id, start_ms, end_ms, count, times_id, body"},
    {"frames", "time_ms, body"},
    {"rollup_1h", "id, count, min, max, avg, last, increase"},
    {"rollup_1d", "id, count, min, max, avg, last, increase"},
    {"idle_interval",
     "id, service, start_ms, end_ms, joules, avg_watts, cpu_seconds, peak_rss_bytes, reason"},
    {"event", "id, time_ms, kind, service, detail_json"},
}};

// Says of the rows of a history whether they hold what docs/storage-format.md says. It is given all
// rows, table by table in the order of kHistoryTables.
// Threads: one.
// Owns:    about 50 bytes for each chunk that it was shown.
class RowCheck {
 public:
  // The columns that `row` gives must be those of `table`. Nothing when the row is sound, else what
  // is wrong with it; then it counts as not there.
  std::optional<std::string> Problem(const HistoryTable& table, const Statement& row);

  // Series that rows belong to but that no row of `series` names; ascending.
  std::vector<int64_t> NamelessSeries() const;
  // Chunks that begin before the one before them, of the same series, ends; by their keys.
  std::vector<int64_t> OverlappingChunks();
  // How many chunks use each row of `chunk_times`.
  const std::map<int64_t, int64_t>& uses_of_times() const { return uses_of_times_; }

 private:
  struct Times {
    size_t count;
    int64_t first_ms, last_ms;
  };
  struct Span {
    int64_t series_id, start_ms, end_ms, chunk_id;
  };

  std::optional<std::string> ProblemOfSeries(const Statement& row);
  std::optional<std::string> ProblemOfTimes(const Statement& row);
  std::optional<std::string> ProblemOfChunk(const Statement& row);
  std::optional<std::string> ProblemOfFrames(const Statement& row);

  std::set<int64_t> known_series_, used_series_;
  std::unordered_map<int64_t, Times> times_;
  std::vector<Span> spans_;
  std::map<int64_t, int64_t> uses_of_times_;
  FlushDecoder decoder_;
  std::vector<double> values_;     // scratch
  std::vector<int64_t> times_ms_;  // scratch
};

}  // namespace idlewatt
