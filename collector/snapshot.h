#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "collector/frame.h"

namespace idlewatt {

// The last value of a series and the one before it, so that every reader can make a rate.
struct SnapshotValue {
  std::shared_ptr<const Series> series;
  double value = 0;
  TimePoint time;  // of the tick that has it
  BootTime read;   // when it was read: earlier, where a sampler was late
  struct Previous {
    double value = 0;
    BootTime boot, read;
  };
  std::optional<Previous> previous;

  // Growth per second since the value before. Nothing at the first value and when it fell.
  std::optional<double> Rate() const;
  // Growth since the value before; nothing in the same cases.
  std::optional<double> Increase() const;
};

// The state of the machine after one tick. Immutable once published.
struct Snapshot {
  TimePoint time;                     // of the frame; all zero before the first tick
  std::vector<SnapshotValue> values;  // sorted by metric name, then by label values
  std::vector<SamplerRun> runs;
  std::vector<SourceStatus> sources;
  ProcessRows processes;  // in the order of pids; null before the first scan

  // All series of a metric, in the order of their labels.
  std::span<const SnapshotValue> Family(std::string_view metric) const;
  std::span<const SnapshotValue> Family(const Metric& metric) const { return Family(metric.name); }
  // The series with exactly these label values; null when there is none.
  const SnapshotValue* Find(const Metric& metric,
                            std::initializer_list<std::string_view> labels) const;
};

// Keeps the last values over the frames. A series that its sampler no longer gives leaves at once;
// one whose sampler failed keeps its value for three periods. After an hour of absence it ends.
// Threads: one.
class SnapshotBuilder {
 public:
  // `registry` must outlive this object.
  explicit SnapshotBuilder(SeriesRegistry& registry) : registry_(registry) {}

  // Takes in the runs of `frame` from `first_run` on. Called twice for one tick: with what was
  // read, and again with the runs of derived samples appended.
  void Apply(const Frame& frame, size_t first_run = 0);
  // The state after the last Apply. Valid until the next one.
  const Snapshot& Current();

 private:
  // How a sampler fared last, which says how old its values may be.
  struct Owner {
    BootTime read;  // last success
    bool failing = false;
    std::chrono::nanoseconds period{0};
  };
  struct Entry {
    SnapshotValue value;
    const Owner* owner = nullptr;
    bool live = false;
  };

  void Take(const Sample& sample, const Owner& owner, const TimePoint& now, BootTime read);
  void DropAbsent(const TimePoint& now);

  SeriesRegistry& registry_;
  std::unordered_map<const SamplerInfo*, Owner> owners_;
  std::unordered_map<SeriesId, Entry> entries_;
  std::vector<SeriesId> order_;  // sorted as Snapshot::values; rebuilt when entries come or go
  bool order_stale_ = false;
  Snapshot current_;
};

}  // namespace idlewatt
