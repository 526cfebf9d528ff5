#pragma once

#include <map>
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
    EventRecorder& events;
  };
  // All targets must outlive this object.
  Recorder(AnalysisOptions analysis, const Targets& targets)
      : targets_(targets),
        builder_(targets.registry),
        rounding_(targets.registry),
        analyzer_(std::move(analysis)) {}

  void OnFrame(Frame frame) override;

 private:
  void AppendDerived(Frame& frame);
  void LogAlerts(const std::vector<AlertStatus>& alerts, int64_t time_ms);
  void RecordAlert(const AlertStatus& alert, int64_t time_ms);

  const Targets targets_;
  SnapshotBuilder builder_;
  Rounding rounding_;
  Analyzer analyzer_;
  std::map<std::pair<std::string, std::string>, AlertState> logged_;  // by alert/service, severity
};

}  // namespace idlewatt
