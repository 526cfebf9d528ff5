#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "analysis/attribution.h"
#include "analysis/awake_clock.h"
#include "analysis/idle_tracker.h"
#include "analysis/service_table.h"
#include "collector/idle_interval.h"
#include "collector/snapshot.h"

namespace idlewatt {

// Makes the rows of `idle_interval` as time goes on: what services and the machine used while they
// were idle. What is not known to have been idle is never told as such: an interval is cut where
// the machine slept, where two ticks are further apart than they should be, and where the wall
// clock was set. It is cut as well where a meter comes, so that its joules are those of all of it.
// Of discovered services only what is longer than ten minutes is told: there are many, and they are
// idle often.
// Threads: one.
class IdleIntervals {
 public:
  // Takes the tick in `snapshot`, after all others took it.
  void Update(const Snapshot& snapshot, const ServiceTable& services, const IdleTracker& idle,
              const Attribution& energy, const AwakeClock& awake);
  // Those that ended in the last tick, and once a minute those that go on ("open"). Valid until
  // the next call.
  std::span<const IdleInterval> changed() const { return std::span(changed_).first(changes_); }
  // Ends all, because the daemon does. They are in `changed`.
  void Finish();

 private:
  // What is read of a service, or of the machine, at a tick.
  struct Meter {
    TimePoint time;
    std::optional<double> joules;
    double cpu_seconds = 0;
  };
  struct Subject {
    bool open = false;
    bool configured = false;  // supervised, watched, or the machine
    IdleInterval row;
    Meter begin, last;
    BootTime told;  // when it was in `changed` last
  };

  const char* CutBefore(TimePoint now, const AwakeClock& awake);
  void Follow(Subject& subject, bool idle, bool there, const Meter& now, double memory_bytes);
  static void Begin(Subject& subject, const Meter& now);
  void TakeMeter(Subject& subject, const Meter& now);
  void EndAll(const char* reason);
  // Ends it at the tick before this one.
  void End(Subject& subject, const char* reason);
  void Tell(Subject& subject, const Meter& until, const char* reason);

  std::vector<Subject> services_;  // by the number of the service
  Subject machine_;
  std::vector<IdleInterval> changed_;  // more than there are: strings keep their memory
  size_t changes_ = 0;
  std::optional<TimePoint> last_tick_;
  std::chrono::nanoseconds usual_{0};  // between two ticks
  std::chrono::nanoseconds slept_{0};
};

}  // namespace idlewatt
