#include "storage/rollup_writer.h"

#include <algorithm>
#include <cmath>

#include "storage/calendar.h"

namespace idlewatt {
namespace {

void BindNumber(Statement& statement, int parameter, std::optional<double> number) {
  if (number) {
    statement.Bind(parameter, *number);
  } else {
    statement.BindNull(parameter);
  }
}

}  // namespace

Result<RollupWriter> RollupWriter::Create(Database& db) {
  ASSIGN_OR_RETURN(Statement last, db.Prepare("SELECT last FROM rollup_1h WHERE id = ?1"));
  ASSIGN_OR_RETURN(Statement hour, db.Prepare("INSERT OR REPLACE INTO rollup_1h"
                                              "(id, count, min, max, avg, last, increase)"
                                              " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  // Hour by hour, the key is 2^24 further on.
  ASSIGN_OR_RETURN(
      Statement day,
      db.Prepare("WITH hours(n) AS (VALUES(0) UNION ALL SELECT n + 1 FROM hours WHERE n < 23),"
                 " parts AS (SELECT r.* FROM hours CROSS JOIN rollup_1h AS r"
                 "  ON r.id = ?2 + (n << 24))"
                 " INSERT OR REPLACE INTO rollup_1d(id, count, min, max, avg, last, increase)"
                 " SELECT ?1, sum(count), min(min), max(max), sum(avg * count) / sum(count),"
                 "  (SELECT last FROM parts ORDER BY id DESC LIMIT 1), sum(increase)"
                 " FROM parts HAVING count(*) > 0"));
  return RollupWriter(std::move(last), std::move(hour), std::move(day));
}

Result<std::optional<double>> RollupWriter::LastOf(int64_t series_id, int64_t hour_ms) {
  last_.Bind(1, RollupKey(hour_ms, kHourMs, series_id));
  ASSIGN_OR_RETURN(bool row, last_.Step());
  std::optional<double> last;
  if (row && !last_.IsNull(0)) last = last_.Double(0);
  last_.Reset();
  return last;
}

Result<bool> RollupWriter::HasHour(int64_t series_id, int64_t hour_ms) {
  ASSIGN_OR_RETURN(const std::optional<double> last, LastOf(series_id, hour_ms));
  return last.has_value();
}

Result<void> RollupWriter::WriteHour(int64_t series_id, MetricKind kind,
                                     std::span<const Point> points) {
  const int64_t hour_ms = FloorTo(points.front().time_ms, kHourMs);
  const bool counter = kind == MetricKind::kCounter;
  std::optional<double> previous;
  if (counter) {
    ASSIGN_OR_RETURN(previous, LastOf(series_id, hour_ms - kHourMs));
  }
  int64_t count = 0;
  double least = 0, most = 0, sum = 0, last = 0, increase = 0;
  for (const Point& point : points) {
    if (std::isnan(point.value)) continue;
    least = count == 0 ? point.value : std::min(least, point.value);
    most = count == 0 ? point.value : std::max(most, point.value);
    sum += point.value;
    if (previous) increase += CounterStep(*previous, point.value);
    last = point.value;
    if (counter) previous = last;
    ++count;
  }
  if (count == 0) return {};  // a series that is only NaN has no roll-up
  hour_.Bind(1, RollupKey(hour_ms, kHourMs, series_id));
  hour_.Bind(2, count);
  using Number = std::optional<double>;
  BindNumber(hour_, 3, counter ? Number() : Number(least));
  BindNumber(hour_, 4, counter ? Number() : Number(most));
  BindNumber(hour_, 5, counter ? Number() : Number(sum / static_cast<double>(count)));
  hour_.Bind(6, last);
  BindNumber(hour_, 7, counter ? Number(increase) : Number());
  return hour_.Run();
}

Result<void> RollupWriter::WriteDay(int64_t series_id, int64_t day_ms) {
  day_.Bind(1, RollupKey(day_ms, kDayMs, series_id));
  day_.Bind(2, RollupKey(day_ms, kHourMs, series_id));
  return day_.Run();
}

}  // namespace idlewatt
