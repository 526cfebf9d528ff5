#include "storage/event_query.h"

#include <algorithm>
#include <string>

namespace idlewatt {

Result<std::vector<HistoryEvent>> QueryEvents(HistoryReader& history, int64_t since_ms,
                                              int64_t until_ms, size_t limit) {
  ASSIGN_OR_RETURN(Statement newest,
                   history.db().Prepare("SELECT time_ms, kind, service, detail_json FROM event"
                                        " WHERE time_ms BETWEEN ?1 AND ?2"
                                        " ORDER BY time_ms DESC, id DESC LIMIT ?3"));
  newest.Bind(1, since_ms);
  newest.Bind(2, until_ms);
  newest.Bind(3, static_cast<int64_t>(limit));
  std::vector<HistoryEvent> events;
  for (;;) {
    ASSIGN_OR_RETURN(const bool is_row, newest.Step());
    if (!is_row) break;
    events.push_back({newest.Int(0), std::string(newest.Bytes(1)), std::string(newest.Bytes(2)),
                      std::string(newest.Bytes(3))});
  }
  std::reverse(events.begin(), events.end());
  return events;
}

}  // namespace idlewatt
