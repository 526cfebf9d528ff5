#include "storage/rollup_reader.h"

#include <algorithm>
#include <limits>

#include "storage/calendar.h"
#include "storage/rollup_writer.h"

namespace idlewatt {
namespace {

constexpr const char* kColumns = "SELECT count, min, max, avg, last, increase FROM ";

// The first column of the only row; nothing when it is NULL.
Result<std::optional<int64_t>> Number(Statement& statement) {
  ASSIGN_OR_RETURN(bool row, statement.Step());
  std::optional<int64_t> number;
  if (row && !statement.IsNull(0)) number = statement.Int(0);
  statement.Reset();
  return number;
}

int64_t HourOfKey(int64_t key) { return FloorTo(key, kMostSeriesRows) / kMostSeriesRows * kHourMs; }

}  // namespace

Result<RollupReader> RollupReader::Create(Database& db) {
  const std::string columns = kColumns;
  ASSIGN_OR_RETURN(Statement hour, db.Prepare(columns + "rollup_1h WHERE id = ?1"));
  ASSIGN_OR_RETURN(Statement day, db.Prepare(columns + "rollup_1d WHERE id = ?1"));
  ASSIGN_OR_RETURN(Statement hours, db.Prepare("SELECT (SELECT min(id) FROM rollup_1h),"
                                               " (SELECT max(id) FROM rollup_1h)"));
  ASSIGN_OR_RETURN(Statement frames, db.Prepare("SELECT min(time_ms) FROM frames"));
  ASSIGN_OR_RETURN(Statement chunks,
                   db.Prepare("SELECT min(start_ms) FROM chunks WHERE series_id = ?1"));
  return RollupReader(std::move(hour), std::move(day), std::move(hours), std::move(frames),
                      std::move(chunks));
}

Result<std::optional<RollupReader::Bounds>> RollupReader::HourBounds() {
  ASSIGN_OR_RETURN(bool row, hours_.Step());
  std::optional<Bounds> bounds;
  if (row && !hours_.IsNull(0)) {
    bounds = Bounds{HourOfKey(hours_.Int(0)), HourOfKey(hours_.Int(1)) + kHourMs};
  }
  hours_.Reset();
  ASSIGN_OR_RETURN(const std::optional<int64_t> frames, Number(frames_));
  if (bounds && frames) bounds->end_ms = std::min(bounds->end_ms, FloorTo(*frames, kHourMs));
  return bounds;
}

Result<int64_t> RollupReader::MeasuredFrom(int64_t series_id) {
  chunks_.Bind(1, series_id);
  ASSIGN_OR_RETURN(const std::optional<int64_t> first, Number(chunks_));
  return first.value_or(std::numeric_limits<int64_t>::max());
}

Result<bool> RollupReader::Read(int64_t series_id, int64_t start_ms, int64_t span_ms,
                                Rollup& rollup) {
  Statement& row = span_ms == kDayMs ? day_ : hour_;
  row.Bind(1, RollupKey(start_ms, span_ms, series_id));
  ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) return false;
  rollup.start_ms = start_ms;
  rollup.span_ms = span_ms;
  rollup.count = row.Int(0);
  rollup.min = row.Double(1);
  rollup.max = row.Double(2);
  rollup.avg = row.Double(3);
  rollup.last = row.Double(4);
  rollup.increase = row.Double(5);
  row.Reset();
  return true;
}

}  // namespace idlewatt
