#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "collector/metric.h"

namespace idlewatt {

// Dense number of a series within one run of the daemon; never given to a second series.
using SeriesId = uint32_t;

// A metric with values for its labels. Immutable.
struct Series {
  SeriesId id = 0;
  const Metric* metric = nullptr;       // static storage, or `owner`
  std::vector<std::string> labels;      // values, in the order of metric->labels
  std::shared_ptr<const Metric> owner;  // null for a metric with static storage

  // The value of a label, empty when the metric has no such label.
  std::string_view Label(std::string_view name) const;
  // name{label="value",…} as Prometheus writes it.
  std::string ToString() const;
  // Appends the same.
  void AppendTo(std::string& text) const;
};

// Gives every series its id. A metric is told from others by its address, not by its name: two
// of one name have series of their own.
// Threads: any; one mutex, held for a hash look-up.
class SeriesRegistry {
 public:
  // The id for `metric` with these label values; a new one when never seen or ended. The number
  // of values must be metric.labels.size().
  SeriesId Intern(const Metric& metric, std::initializer_list<std::string_view> labels) {
    return Intern(metric, std::span(labels.begin(), labels.size()));
  }
  SeriesId Intern(const Metric& metric, std::span<const std::string_view> labels);
  // The same for a metric of MakeMetric, which the series keeps alive. What gives such series is
  // not ours, and may give new ones at every tick, each kept for an hour: nothing when this one
  // would be new and there are `most` series already.
  std::optional<SeriesId> Intern(const std::shared_ptr<const Metric>& metric,
                                 std::span<const std::string_view> labels, size_t most);
  // Null when `id` was never given out or has ended.
  std::shared_ptr<const Series> Find(SeriesId id) const;
  // Forgets a series; its id is not used again.
  void End(SeriesId id);
  // Series that have not ended.
  size_t size() const;

 private:
  // A new series with next_id_.
  SeriesId AddSeries(const Metric& metric, std::span<const std::string_view> labels,
                     std::shared_ptr<const Metric> owner) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::unordered_map<std::string, SeriesId> ids_ GUARDED_BY(mutex_);
  std::unordered_map<SeriesId, std::shared_ptr<const Series>> series_ GUARDED_BY(mutex_);
  SeriesId next_id_ GUARDED_BY(mutex_) = 0;
  std::string key_ GUARDED_BY(mutex_);  // scratch
};

}  // namespace idlewatt
