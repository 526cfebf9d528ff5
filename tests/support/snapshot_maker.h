#pragma once

#include <initializer_list>
#include <string_view>

#include "base/clock.h"
#include "collector/sampler.h"
#include "collector/snapshot.h"

namespace idlewatt {

// Builds snapshots tick by tick, as the loop and the recorder do.
class SnapshotMaker {
 public:
  // Adds a value to the tick that is being made.
  SnapshotMaker& Add(const Metric& metric, std::initializer_list<std::string_view> labels,
                     double value) {
    readings_.Add(metric, labels, value);
    return *this;
  }
  // Ends the tick, `after` the one before.
  const Snapshot& Tick(std::chrono::nanoseconds after = std::chrono::seconds(5)) {
    clock_.Advance(after);
    Frame frame;
    frame.begin = clock_.Now();
    frame.end = frame.begin.boot;
    frame.samples = readings_.samples;
    SamplerRun run{&kInfo, SamplerRun::Outcome::kOk};
    run.count = frame.samples.size();
    frame.runs.push_back(run);
    frame.processes = std::make_shared<const std::vector<ProcessRow>>(std::move(processes));
    builder_.Apply(frame);
    readings_.Clear();
    return builder_.Current();
  }
  TimePoint now() const { return clock_.Now(); }

  std::vector<ProcessRow> processes;  // of the tick that is being made

 private:
  static constexpr SamplerInfo kInfo{"test", "", false, {}};
  SeriesRegistry registry_;
  SnapshotBuilder builder_{registry_};
  Readings readings_{registry_};
  ManualClock clock_;
};

}  // namespace idlewatt
