#include "analysis/idle_intervals.h"

#include <algorithm>

namespace idlewatt {
namespace {

constexpr std::chrono::minutes kTellEvery{1};
constexpr std::chrono::minutes kLeastOfDiscovered{10};
// Ticks further apart than this, and than three times the distance before, are a gap.
constexpr std::chrono::minutes kLeastGap{1};
constexpr int kGapTicks = 3;

int64_t Milliseconds(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace

void IdleIntervals::Update(const Snapshot& snapshot, const ServiceTable& services,
                           const IdleTracker& idle, const Attribution& energy,
                           const AwakeClock& awake) {
  const BootTime now = snapshot.time.boot;
  changes_ = 0;
  const auto distance = last_tick_ ? now - *last_tick_ : std::chrono::nanoseconds(0);
  const char* cut = nullptr;
  if (awake.Slept() != slept_) {
    cut = "suspend";
  } else if (distance > std::max<std::chrono::nanoseconds>(kLeastGap, kGapTicks * usual_)) {
    cut = "gap";
  }
  if (cut == nullptr) usual_ = distance;
  slept_ = awake.Slept();
  last_tick_ = now;

  services_.resize(services.size());
  double memory_bytes = 0;
  for (const size_t number : services.order()) {
    const ServiceRow& row = services[number];
    Subject& subject = services_[number];
    if (row.is_new) {
      subject = Subject();
      subject.row.service = row.name;
    }
    if (row.running) subject.configured = row.configured;
    if (cut != nullptr) End(subject, cut);
    const Meter meter{snapshot.time.wall, energy.Joules(number), energy.CpuSeconds(number)};
    Follow(subject, idle.IsIdle(number), row.running, meter, row.memory_bytes, now);
    memory_bytes += row.memory_bytes;
  }
  machine_.configured = true;
  if (cut != nullptr) End(machine_, cut);
  Follow(machine_, idle.IsHostIdle(), true,
         {snapshot.time.wall, energy.MachineJoules(), energy.MachineCpuSeconds()}, memory_bytes,
         now);
}

void IdleIntervals::Follow(Subject& subject, bool idle, bool there, const Meter& now,
                           double memory_bytes, BootTime boot) {
  if (subject.open && !there) End(subject, "stopped");
  if (subject.open && !idle) {
    // What it used until it was found in use was used idle, as attribution has it.
    Tell(subject, now, "used");
    subject.open = false;
  }
  if (there && idle && !subject.open) Begin(subject, now, boot);
  if (!subject.open) return;
  auto& peak = subject.row.peak_rss_bytes;
  peak = std::max(peak.value_or(0), static_cast<int64_t>(memory_bytes));
  subject.last = now;
  if (boot - subject.told < kTellEvery) return;
  subject.told = boot;
  Tell(subject, now, "open");
}

void IdleIntervals::Begin(Subject& subject, const Meter& now, BootTime boot) {
  subject.open = true;
  subject.begin = subject.last = now;
  subject.told = boot;
  subject.row.start_ms = Milliseconds(now.wall);
  subject.row.peak_rss_bytes.reset();
}

void IdleIntervals::End(Subject& subject, const char* reason) {
  if (!subject.open) return;
  Tell(subject, subject.last, reason);
  subject.open = false;
}

void IdleIntervals::Tell(Subject& subject, const Meter& until, const char* reason) {
  IdleInterval& row = subject.row;
  const Meter& begin = subject.begin;
  // A wall clock that was set back must not make a time that ends before it begins.
  row.end_ms = std::max(row.start_ms, Milliseconds(until.wall));
  row.reason = reason;
  row.cpu_seconds = until.cpu_seconds - begin.cpu_seconds;
  row.joules.reset();
  row.avg_watts.reset();
  if (until.joules && begin.joules) row.joules = *until.joules - *begin.joules;
  const double seconds = static_cast<double>(row.end_ms - row.start_ms) / 1000;
  if (row.joules && seconds > 0) row.avg_watts = *row.joules / seconds;
  if (!subject.configured && seconds < ToSeconds(kLeastOfDiscovered)) return;
  if (changes_ == changed_.size()) changed_.emplace_back();
  changed_[changes_++] = row;
}

void IdleIntervals::Finish() {
  changes_ = 0;
  for (Subject& subject : services_) End(subject, "shutdown");
  End(machine_, "shutdown");
}

}  // namespace idlewatt
