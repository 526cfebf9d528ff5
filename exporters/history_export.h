#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/stored_series.h"

namespace idlewatt {

enum class ExportFormat { kOpenMetrics, kCsv, kJsonLines };

// Writes series with their points as text.
// OpenMetrics 1.0 with timestamps, series after series; CSV (RFC 4180, lines end with a line feed)
// with the columns metric, labels as JSON, time, time_ms, value; or one JSON object a line. Every
// value reads back to the same bits, but for the payload of a NaN; times are milliseconds.
// Errors:  those of `write` alone.
// Threads: one.
// Owns:    the families, and a piece of text that is not written yet.
class HistoryExport {
 public:
  using Write = std::function<Result<void>(std::string_view)>;

  HistoryExport(ExportFormat format, const std::vector<MetricFamily>& families, Write write);

  // Puts the series of one family side by side, as OpenMetrics wants them. Add them in this order.
  void Sort(std::vector<StoredSeries>& series) const;
  // Any number of times for one series, one series after the other. Without points nothing is
  // written of it.
  Result<void> Add(const StoredSeries& series, std::span<const Point> points);
  // Writes the end. Must be called.
  Result<void> Finish();

 private:
  MetricFamily FamilyOf(const StoredSeries& series) const;
  void BeginSeries(const StoredSeries& series);
  void AppendFamily(const MetricFamily& family);
  void AppendPoint(const Point& point);

  const ExportFormat format_;
  const std::map<std::string, MetricFamily> families_;  // by name
  const Write write_;
  std::string text_;         // not written yet
  int64_t series_id_ = 0;    // of the series that was begun last
  std::string family_;       // that was begun last
  std::string series_text_;  // what stands before the time or value of each of its points
};

}  // namespace idlewatt
