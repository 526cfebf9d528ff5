#include "storage/row_check.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "collector/labels.h"
#include "storage/chunk_codec.h"

namespace idlewatt {
namespace {

constexpr int64_t kSeriesOfRollup = (int64_t{1} << 24) - 1;

}  // namespace

std::optional<std::string> RowCheck::Problem(const HistoryTable& table, const Statement& row) {
  if (table.name == "series") return ProblemOfSeries(row);
  if (table.name == "chunk_times") return ProblemOfTimes(row);
  if (table.name == "chunks") return ProblemOfChunk(row);
  if (table.name == "frames") return ProblemOfFrames(row);
  // service, start_ms, end_ms stand behind the key.
  if (table.name == "idle_interval" && row.Int(3) < row.Int(2)) return "it ends before it begins";
  if (table.name.starts_with("rollup_")) used_series_.insert(row.Int(0) & kSeriesOfRollup);
  return std::nullopt;
}

std::optional<std::string> RowCheck::ProblemOfSeries(const Statement& row) {
  const Result<Labels> labels = LabelsFromJson(row.Bytes(2));
  if (!labels.ok()) return "its labels can't be read";
  known_series_.insert(row.Int(0));
  return std::nullopt;
}

std::optional<std::string> RowCheck::ProblemOfTimes(const Statement& row) {
  if (const auto read = DecodeChunkTimes(row.Bytes(2), times_ms_); !read.ok()) {
    return read.error().text;
  }
  times_[row.Int(0)] = {times_ms_.size(), times_ms_.front(), times_ms_.back()};
  return std::nullopt;
}

std::optional<std::string> RowCheck::ProblemOfChunk(const Statement& row) {
  const auto times = times_.find(row.Int(5));
  if (times == times_.end()) return "its times are missing or damaged";
  if (const auto read = DecodeChunkValues(row.Bytes(6), values_); !read.ok()) {
    return read.error().text;
  }
  const auto count = static_cast<size_t>(row.Int(4));
  if (values_.size() != count || times->second.count != count) {
    return "it has " + std::to_string(values_.size()) + " values and " +
           std::to_string(times->second.count) + " times, and says " + std::to_string(count);
  }
  const Span span{row.Int(1), row.Int(2), row.Int(3), row.Int(0)};
  if (span.start_ms != times->second.first_ms || span.end_ms != times->second.last_ms) {
    return "its times begin or end elsewhere than it says";
  }
  spans_.push_back(span);
  used_series_.insert(span.series_id);
  ++uses_of_times_[row.Int(5)];
  return std::nullopt;
}

std::optional<std::string> RowCheck::ProblemOfFrames(const Statement& row) {
  std::vector<int64_t> series_ids;
  const auto every = [](int64_t series_id) { return std::optional(series_id); };
  const auto keep = [&series_ids](int64_t series_id, const std::vector<double>& /*values*/) {
    series_ids.push_back(series_id);
  };
  if (const auto read = decoder_.Read(row.Bytes(1), every, keep); !read.ok()) {
    return read.error().text;
  }
  used_series_.insert(series_ids.begin(), series_ids.end());
  return std::nullopt;
}

std::vector<int64_t> RowCheck::NamelessSeries() const {
  std::vector<int64_t> nameless;
  std::set_difference(used_series_.begin(), used_series_.end(), known_series_.begin(),
                      known_series_.end(), std::back_inserter(nameless));
  return nameless;
}

std::vector<int64_t> RowCheck::OverlappingChunks() {
  std::sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) {
    return std::tie(a.series_id, a.start_ms, a.chunk_id) <
           std::tie(b.series_id, b.start_ms, b.chunk_id);
  });
  std::vector<int64_t> overlapping;
  const Span* before = nullptr;
  for (const Span& span : spans_) {
    if (before != nullptr && span.series_id == before->series_id &&
        span.start_ms < before->end_ms) {
      overlapping.push_back(span.chunk_id);
      continue;
    }
    before = &span;
  }
  return overlapping;
}

}  // namespace idlewatt
