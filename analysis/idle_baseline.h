#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "collector/frame.h"

namespace idlewatt {

// What the idle machine drew when somebody said that this is as it should be.
struct Baseline {
  std::string name;
  double watts = 0;       // mean of idlewatt_host_compute_watts in idle minutes
  size_t minutes = 0;     // so many of them
  WallTime since, until;  // in this time
};

// The mean power of the idle machine, to be held against the baseline.
// Threads: one.
class IdleBaseline {
 public:
  // Nothing takes the baseline away.
  void Set(std::optional<Baseline> baseline);
  const std::optional<Baseline>& baseline() const { return baseline_; }

  // Takes a tick: what the machine used since the one before, if it was idle all the time.
  void Update(BootTime now, double seconds, double joules, bool idle);
  // Over the last ten minutes (to the minute), of the time in which it was idle. Nothing with less
  // than two minutes of it.
  std::optional<double> MeanWatts() const;
  void Publish(BootTime now, Readings& out);

 private:
  struct Minute {
    int64_t number = -1;
    double seconds = 0;
    double joules = 0;
  };
  static constexpr int64_t kMinutes = 10;

  std::optional<Baseline> baseline_;
  KnownSeries series_;
  std::array<Minute, kMinutes> minutes_{};
  int64_t now_ = 0;  // the number of the minute of the last tick
};

}  // namespace idlewatt
