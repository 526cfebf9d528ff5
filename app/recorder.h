#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "analysis/analyzer.h"
#include "app/event_recorder.h"
#include "base/slot.h"
#include "collector/frame.h"
#include "collector/snapshot.h"
#include "storage/history.h"
#include "storage/ring.h"
#include "storage/rounding.h"

namespace idlewatt {

// Takes every frame from the loop: has it judged, adds what was derived, and hands it on to ring,
// history and readers. Nothing here waits for a disk or a client.
// Threads: OnFrame on the sampler thread.
class Recorder final : public FrameSink {
 public:
  struct Targets {
    SeriesRegistry& registry;
    Ring& ring;
    History& history;
    Slot<Snapshot>& snapshot;
    Slot<std::vector<AlertStatus>>& alerts;
    const Slot<std::optional<Baseline>>& baseline;
    EventRecorder& events;
  };
  // All targets must outlive this object. `past` is what an earlier run left.
  Recorder(AnalysisOptions analysis, AnalysisPast past, const Targets& targets);

  void OnFrame(Frame frame) override;
  // Ends what goes on. Any thread, once there are no more frames.
  void Finish();

 private:
  void AppendDerived(Frame& frame);
  void LogAlerts(const std::vector<AlertStatus>& alerts, int64_t time_ms);
  void RecordAlert(const AlertStatus& alert, int64_t time_ms);
  void RecordIntervals();

  const Targets targets_;
  SnapshotBuilder builder_;
  Rounding rounding_;
  Analyzer analyzer_;
  Readings derived_;                                         // of this tick; keeps its memory
  std::shared_ptr<const std::optional<Baseline>> baseline_;  // that the analyzer has
  std::map<std::pair<std::string, std::string>, AlertState> logged_;  // by alert/service, severity
};

}  // namespace idlewatt
