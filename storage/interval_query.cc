#include "storage/interval_query.h"

#include <optional>
#include <string>

namespace idlewatt {
namespace {

// By the index of service and start alone: first its services, each found by skipping to the next.
constexpr const char* kOverlapping = R"sql(
WITH RECURSIVE services(name) AS (
  SELECT min(service) FROM idle_interval
  UNION ALL
  SELECT (SELECT min(service) FROM idle_interval WHERE service > name)
  FROM services WHERE name IS NOT NULL),
spans(name, from_ms) AS MATERIALIZED (
  SELECT name, coalesce((SELECT min(start_ms) FROM (
    SELECT start_ms FROM idle_interval WHERE service = name AND start_ms < ?1
    ORDER BY start_ms DESC LIMIT 8)), ?1)
  FROM services WHERE name IS NOT NULL)
SELECT service, start_ms, end_ms, joules, avg_watts, cpu_seconds, peak_rss_bytes, reason
FROM spans CROSS JOIN idle_interval INDEXED BY idle_interval_by_service
  ON service = name AND start_ms >= from_ms AND start_ms < ?2
WHERE end_ms > ?1 ORDER BY start_ms, service
)sql";

std::optional<double> NumberOf(const Statement& row, int column) {
  return row.IsNull(column) ? std::nullopt : std::optional(row.Double(column));
}

}  // namespace

Result<std::vector<IdleInterval>> QueryIntervals(HistoryReader& history, int64_t since_ms,
                                                 int64_t until_ms) {
  ASSIGN_OR_RETURN(Statement row, history.db().Prepare(kOverlapping));
  row.Bind(1, since_ms);
  row.Bind(2, until_ms);
  std::vector<IdleInterval> intervals;
  for (;;) {
    ASSIGN_OR_RETURN(const bool is_row, row.Step());
    if (!is_row) return intervals;
    IdleInterval& one = intervals.emplace_back();
    one.service = row.Bytes(0);
    one.start_ms = row.Int(1);
    one.end_ms = row.Int(2);
    one.joules = NumberOf(row, 3);
    one.avg_watts = NumberOf(row, 4);
    one.cpu_seconds = NumberOf(row, 5);
    if (!row.IsNull(6)) one.peak_rss_bytes = row.Int(6);
    one.reason = row.Bytes(7);
  }
}

}  // namespace idlewatt
