#include "storage/event_query.h"

#include <algorithm>
#include <string>

namespace idlewatt {
namespace {

HistoryEvent EventOf(const Statement& row) {
  return {row.Int(0), std::string(row.Bytes(1)), std::string(row.Bytes(2)),
          std::string(row.Bytes(3))};
}

// Counted here, since there may be very many. What stands beside max() is of the same row.
constexpr const char* kFired = R"sql(
WITH alerts AS (
  SELECT id, service, iif(json_valid(detail_json), detail_json, '{}') AS detail
  FROM event WHERE kind = 'alert' AND time_ms BETWEEN ?1 AND ?2)
SELECT coalesce(json_extract(detail, '$.builtin'), json_extract(detail, '$.alert'), ''),
       coalesce(json_extract(detail, '$.alert'), ''), coalesce(service, ''),
       coalesce(json_extract(detail, '$.summary'), ''),
       coalesce(json_extract(detail, '$.advice'), ''),
       coalesce(nullif(count(*) FILTER (WHERE json_extract(detail, '$.severity') = 'warning'), 0),
                count(*)),
       max(id)
FROM alerts WHERE json_extract(detail, '$.state') = 'firing'
GROUP BY 1, 2, 3 ORDER BY max(id)
)sql";

}  // namespace

Result<std::vector<HistoryEvent>> QueryEvents(HistoryReader& history, int64_t since_ms,
                                              int64_t until_ms, size_t limit,
                                              std::string_view kind) {
  ASSIGN_OR_RETURN(Statement newest,
                   history.db().Prepare("SELECT time_ms, kind, service, detail_json FROM event"
                                        " WHERE time_ms BETWEEN ?1 AND ?2"
                                        " AND (?4 IS NULL OR kind = ?4)"
                                        " ORDER BY time_ms DESC, id DESC LIMIT ?3"));
  newest.Bind(1, since_ms);
  newest.Bind(2, until_ms);
  newest.Bind(3, static_cast<int64_t>(limit));
  if (kind.empty()) {
    newest.BindNull(4);
  } else {
    newest.Bind(4, kind);
  }
  std::vector<HistoryEvent> events;
  for (;;) {
    ASSIGN_OR_RETURN(const bool is_row, newest.Step());
    if (!is_row) break;
    events.push_back(EventOf(newest));
  }
  std::reverse(events.begin(), events.end());
  return events;
}

Result<std::vector<FiredAlert>> QueryFiredAlerts(HistoryReader& history, int64_t since_ms,
                                                 int64_t until_ms) {
  ASSIGN_OR_RETURN(Statement row, history.db().Prepare(kFired));
  row.Bind(1, since_ms);
  row.Bind(2, until_ms);
  std::vector<FiredAlert> alerts;
  for (;;) {
    ASSIGN_OR_RETURN(const bool is_row, row.Step());
    if (!is_row) break;
    alerts.push_back({std::string(row.Bytes(0)), std::string(row.Bytes(1)),
                      std::string(row.Bytes(2)), std::string(row.Bytes(3)),
                      std::string(row.Bytes(4)), row.Int(5)});
  }
  return alerts;
}

}  // namespace idlewatt
