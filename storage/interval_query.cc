#include "storage/interval_query.h"

#include <optional>
#include <string>

namespace idlewatt {
namespace {

// Those that began before the window, by the index of service and start: first the services, each
// found by skipping to the next.
constexpr const char* kBefore = R"sql(
WITH RECURSIVE services(name) AS (
  SELECT min(service) FROM idle_interval WHERE service > ''
  UNION ALL
  SELECT (SELECT min(service) FROM idle_interval WHERE service > name)
  FROM services WHERE name IS NOT NULL),
spans(name, from_ms) AS MATERIALIZED (
  SELECT name, (SELECT min(start_ms) FROM (
    SELECT start_ms FROM idle_interval WHERE service = name AND start_ms < ?1
    ORDER BY start_ms DESC LIMIT 8))
  FROM services WHERE name IS NOT NULL)
SELECT service, start_ms, end_ms, joules, avg_watts, cpu_seconds, peak_rss_bytes, reason
FROM spans CROSS JOIN idle_interval INDEXED BY idle_interval_by_service
  ON service = name AND start_ms >= from_ms AND start_ms < ?1
WHERE end_ms > ?1 AND ?1 < ?2 ORDER BY start_ms, service
)sql";

// Those that began in it, by the index of time: in the order in which they stand in the table, of
// which then each page is read once.
constexpr const char* kWithin = R"sql(
SELECT service, start_ms, end_ms, joules, avg_watts, cpu_seconds, peak_rss_bytes, reason
FROM idle_interval INDEXED BY idle_interval_by_time
WHERE start_ms >= ?1 AND start_ms < ?2 AND end_ms > ?1 AND service <> '' ORDER BY start_ms, service
)sql";

std::optional<double> NumberOf(const Statement& row, int column) {
  return row.IsNull(column) ? std::nullopt : std::optional(row.Double(column));
}

void Read(const Statement& row, IdleInterval& interval) {
  interval.service = row.Bytes(0);
  interval.start_ms = row.Int(1);
  interval.end_ms = row.Int(2);
  interval.joules = NumberOf(row, 3);
  interval.avg_watts = NumberOf(row, 4);
  interval.cpu_seconds = NumberOf(row, 5);
  interval.peak_rss_bytes = row.IsNull(6) ? std::nullopt : std::optional(row.Int(6));
  interval.reason = row.Bytes(7);
}

}  // namespace

Result<void> VisitIntervals(HistoryReader& history, int64_t since_ms, int64_t until_ms,
                            const IntervalVisitor& visit) {
  IdleInterval interval;
  for (const char* sql : {kBefore, kWithin}) {
    ASSIGN_OR_RETURN(Statement row, history.db().Prepare(sql));
    row.Bind(1, since_ms);
    row.Bind(2, until_ms);
    for (;;) {
      ASSIGN_OR_RETURN(const bool is_row, row.Step());
      if (!is_row) break;
      Read(row, interval);
      visit(interval);
    }
  }
  return {};
}

}  // namespace idlewatt
