#include "storage/range_query.h"

namespace idlewatt {

Result<RangeAnswer> QueryRange(const Selector& selector, const RangeWindow& window,
                               const Ring* ring, HistoryReader* history) {
  if (window.until < window.since) {
    return Error{ErrorCode::kInvalid, "range", 0, "ends before it begins"};
  }
  if (window.step.count() < 0) return Error{ErrorCode::kInvalid, "step", 0, "is negative"};
  RangeCollector collector(window);
  RangeAnswer answer;
  // The ring first: a frame that is flushed in between is then found twice rather than never.
  if (ring != nullptr) ring->Read(selector, collector);
  collector.IgnoreKnownTimes();
  if (history != nullptr) {
    ASSIGN_OR_RETURN(answer.damaged_rows, history->Read(selector, collector));
  }
  ASSIGN_OR_RETURN(answer.series, collector.Finish());
  return answer;
}

}  // namespace idlewatt
