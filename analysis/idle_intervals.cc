#include "analysis/idle_intervals.h"

#include <algorithm>
#include <utility>

namespace idlewatt {
namespace {

constexpr std::chrono::minutes kTellEvery{1};
constexpr std::chrono::minutes kLeastOfDiscovered{10};
// Ticks further apart than this, and than three times the distance before, are a gap.
constexpr std::chrono::minutes kLeastGap{1};
constexpr int kGapTicks = 3;
// Less than this is not a jump of the wall clock but its slow correction.
constexpr std::chrono::seconds kClockStep{1};

int64_t Milliseconds(WallTime time) { return time.time_since_epoch().count(); }

}  // namespace

// Why what is open must end at the tick before this one; null: it need not.
const char* IdleIntervals::CutBefore(TimePoint now, const AwakeClock& awake) {
  const TimePoint last = std::exchange(last_tick_, now).value_or(now);
  const auto slept = std::exchange(slept_, awake.Slept());
  const std::chrono::nanoseconds distance = now.boot - last.boot;
  if (awake.Slept() != slept) return "suspend";
  if (distance > std::max<std::chrono::nanoseconds>(kLeastGap, kGapTicks * usual_)) return "gap";
  usual_ = distance;
  if (std::chrono::abs(now.wall - last.wall - distance) > kClockStep) return "clock";
  return nullptr;
}

void IdleIntervals::Update(const Snapshot& snapshot, const ServiceTable& services,
                           const IdleTracker& idle, const Attribution& energy,
                           const AwakeClock& awake) {
  changes_ = 0;
  if (const char* cut = CutBefore(snapshot.time, awake); cut != nullptr) EndAll(cut);
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
    const Meter meter{snapshot.time, energy.Joules(number), energy.CpuSeconds(number)};
    Follow(subject, idle.IsIdle(number), row.running, meter, row.memory_bytes);
    memory_bytes += row.memory_bytes;
  }
  machine_.configured = true;
  Follow(machine_, idle.IsHostIdle(), true,
         {snapshot.time, energy.MachineJoules(), energy.MachineCpuSeconds()}, memory_bytes);
}

void IdleIntervals::Follow(Subject& subject, bool idle, bool there, const Meter& now,
                           double memory_bytes) {
  if (subject.open && !there) End(subject, subject.configured ? "stopped" : "unseen");
  if (subject.open && now.joules && !subject.begin.joules) TakeMeter(subject, now);
  if (subject.open && !idle) {
    // What it used until it was found in use was used idle, as attribution has it.
    Tell(subject, now, "used");
    subject.open = false;
  }
  if (there && idle && !subject.open) Begin(subject, now);
  if (!subject.open) return;
  auto& peak = subject.row.peak_rss_bytes;
  peak = std::max(peak.value_or(0), static_cast<int64_t>(memory_bytes));
  subject.last = now;
  if (now.time.boot - subject.told < kTellEvery) return;
  subject.told = now.time.boot;
  Tell(subject, now, "open");
}

// Sums of energy begin at 0. After a start of the daemon they come a tick or two late.
void IdleIntervals::TakeMeter(Subject& subject, const Meter& now) {
  if (now.time.boot - subject.begin.time.boot < kLeastGap) {
    subject.begin.joules = 0;
  } else {
    End(subject, "meter");
  }
}

void IdleIntervals::Begin(Subject& subject, const Meter& now) {
  subject.open = true;
  subject.begin = subject.last = now;
  subject.told = now.time.boot;
  subject.row.start_ms = Milliseconds(now.time.wall);
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
  row.end_ms = std::max(row.start_ms, Milliseconds(until.time.wall));
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

// Those too that the table of services has forgotten.
void IdleIntervals::EndAll(const char* reason) {
  for (Subject& subject : services_) End(subject, reason);
  End(machine_, reason);
}

void IdleIntervals::Finish() {
  changes_ = 0;
  EndAll("shutdown");
}

}  // namespace idlewatt
