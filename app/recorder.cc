#include "app/recorder.h"

#include <spdlog/spdlog.h>

#include <memory>

#include "base/text.h"
#include "collector/metrics.h"
#include "exporters/api_answers.h"

namespace idlewatt {

Recorder::Recorder(AnalysisOptions analysis, AnalysisPast past, const Targets& targets)
    : targets_(targets),
      builder_(targets.registry),
      rounding_(targets.registry),
      analyzer_(std::move(analysis)),
      derived_(targets.registry),
      baseline_(targets.baseline.Get()) {
  // They were told of when they began.
  for (const AlertStatus& alert : past.firing) {
    logged_[{alert.alert + "/" + alert.service, alert.severity}] = alert.state;
  }
  analyzer_.Remember(std::move(past));
}

void Recorder::OnFrame(Frame frame) {
  if (auto baseline = targets_.baseline.Get(); baseline != baseline_) {
    baseline_ = std::move(baseline);
    analyzer_.SetBaseline(*baseline_);
  }
  const size_t derived = frame.runs.size();
  builder_.Apply(frame);
  AppendDerived(frame);
  builder_.Apply(frame, derived);
  targets_.snapshot.Publish(std::make_shared<const Snapshot>(builder_.Current()));
  auto alerts = std::make_shared<const std::vector<AlertStatus>>(analyzer_.Alerts());
  LogAlerts(*alerts, frame.begin.wall.time_since_epoch().count());
  targets_.alerts.Publish(std::move(alerts));
  rounding_.Apply(frame.samples);
  targets_.ring.Append(frame);
  targets_.history.Push(frame);
  targets_.events.Record(frame.begin.wall);
  RecordIntervals();
}

void Recorder::RecordIntervals() {
  for (const IdleInterval& interval : analyzer_.Intervals()) {
    targets_.history.PushInterval(interval);
  }
}

void Recorder::Finish() {
  analyzer_.Finish();
  RecordIntervals();
}

void Recorder::AppendDerived(Frame& frame) {
  derived_.Clear();
  analyzer_.Analyze(builder_.Current(), derived_);
  for (SourceStatus& source : analyzer_.Sources()) {
    const std::string_view reason = source.error ? ErrorCodeName(source.error->code) : "";
    derived_.Add(metrics::kSourceAvailable, {source.source, reason}, source.error ? 0 : 1);
    frame.sources.push_back(std::move(source));
  }
  SamplerRun run{&Analyzer::Info(), SamplerRun::Outcome::kOk};
  run.first = frame.samples.size();
  run.count = derived_.samples.size();
  frame.samples.insert(frame.samples.end(), derived_.samples.begin(), derived_.samples.end());
  frame.runs.push_back(std::move(run));
}

// Only what a person would be told: not that a rule is waiting.
void Recorder::RecordAlert(const AlertStatus& alert, int64_t time_ms) {
  if (alert.state != AlertState::kFiring && alert.state != AlertState::kResolved) return;
  targets_.history.PushEvent({time_ms, "alert", alert.service, DumpJson(AlertJson(alert))});
}

void Recorder::LogAlerts(const std::vector<AlertStatus>& alerts, int64_t time_ms) {
  std::map<std::pair<std::string, std::string>, AlertState> now;
  for (const AlertStatus& alert : alerts) {
    const std::pair key(alert.alert + "/" + alert.service, alert.severity);
    now[key] = alert.state;
    const auto before = logged_.find(key);
    if (before != logged_.end() && before->second == alert.state) continue;
    RecordAlert(alert, time_ms);
    if (alert.state == AlertState::kFiring) {
      spdlog::warn("alert {} ({}): {}; {}", alert.alert, alert.severity, alert.summary,
                   alert.advice);
    } else if (alert.state == AlertState::kResolved) {
      const std::string of = alert.service.empty() ? "" : " of " + InQuotes(alert.service);
      spdlog::info("alert {} ({}){} is over", alert.alert, alert.severity, of);
    }
  }
  logged_ = std::move(now);
}

}  // namespace idlewatt
