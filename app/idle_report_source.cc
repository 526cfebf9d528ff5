#include "app/idle_report_source.h"

#include "app/database_path.h"
#include "app/http_client.h"
#include "base/duration.h"
#include "exporters/api_answers.h"
#include "exporters/idle_report.h"
#include "storage/history_reader.h"

namespace idlewatt {

Result<std::string> IdleReportFromDaemon(const std::string& address, const std::string& since,
                                         const std::string& until) {
  return HttpGet(address, "/api/v1/idle?since=" + UrlEncode(since) + "&until=" + UrlEncode(until));
}

Result<std::string> IdleReportFromFile(const std::string& db, const std::string& since,
                                       const std::string& until) {
  const WallTime now = RealClock().Now().wall;
  IdleWindow window{now, now, {}, now};
  ASSIGN_OR_RETURN(window.since, ParseTime(since, now));
  ASSIGN_OR_RETURN(window.until, ParseTime(until, now));
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(db));
  ASSIGN_OR_RETURN(const IdleReport report, QueryIdleReport(window, nullptr, reader));
  WarnOf(db, reader, report.damaged_rows);
  return DumpJson(IdleReportJson(report));
}

}  // namespace idlewatt
