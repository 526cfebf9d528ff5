#include "app/idle_report_source.h"

#include "app/database_path.h"
#include "app/http_client.h"
#include "base/duration.h"
#include "exporters/api_answers.h"
#include "exporters/idle_report.h"
#include "storage/history_reader.h"

namespace idlewatt {

Result<std::string> IdleReportFromDaemon(const std::string& address, const std::string& since,
                                         const std::string& until, const std::string& step) {
  std::string path = "/api/v1/idle?since=" + UrlEncode(since) + "&until=" + UrlEncode(until);
  if (!step.empty()) path += "&step=" + UrlEncode(step);
  return HttpGet(address, path);
}

Result<std::string> IdleReportFromFile(const std::string& db, const std::string& since,
                                       const std::string& until, const std::string& step) {
  const WallTime now = RealClock().Now().wall;
  TimeSpan span;
  ASSIGN_OR_RETURN(span.since, ParseTime(since, now));
  ASSIGN_OR_RETURN(span.until, ParseTime(until, now));
  ASSIGN_OR_RETURN(span, PastPart("window", span, now));
  IdleWindow window{span.since, span.until, {}, now};
  if (!step.empty()) {
    ASSIGN_OR_RETURN(window.step, ParseDuration(step));
  }
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(db));
  ASSIGN_OR_RETURN(const IdleReport report, QueryIdleReport(window, nullptr, reader));
  WarnOf(db, reader, report.damaged_rows);
  return DumpJson(IdleReportJson(report));
}

}  // namespace idlewatt
