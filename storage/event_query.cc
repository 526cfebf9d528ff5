#include "storage/event_query.h"

#include <algorithm>
#include <string>

namespace idlewatt {
namespace {

HistoryEvent EventOf(const Statement& row) {
  return {row.Int(0), std::string(row.Bytes(1)), std::string(row.Bytes(2)),
          std::string(row.Bytes(3))};
}

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

}  // namespace idlewatt
