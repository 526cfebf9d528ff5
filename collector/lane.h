#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "collector/sampler.h"

namespace idlewatt {

// A thread for one sampler whose source can hang, with a slot for one result. The tick asks for a
// reading, and takes it when it is there.
// Threads: all functions but the constructor and destructor may be called by the tick only.
// Owns:    the sampler and the thread. A read that hangs in the kernel cannot be ended: then Stop
//          gives false, the thread is let go with its sampler, and the process must end without
//          destroying what the sampler borrowed (registry, roots).
class Lane {
 public:
  struct Outcome {
    Result<void> result;
    Readings readings;
    std::chrono::nanoseconds duration{0};
  };

  Lane(std::unique_ptr<Sampler> sampler, SeriesRegistry& registry);
  Lane(Lane&&) = default;
  Lane& operator=(Lane&&) = delete;
  ~Lane();

  const Sampler& sampler() const { return *state_->sampler; }

  // Starts a reading; false when the one before has not come back yet.
  bool Request(TimePoint now);
  // The result of the last request, waiting up to `patience` for it. Nothing when it is not there
  // yet; each result is given once.
  std::optional<Outcome> Take(std::chrono::nanoseconds patience);
  // Ends the thread. False when it hung for longer than `patience`.
  bool Stop(std::chrono::nanoseconds patience);

 private:
  // Shared with the thread, which may outlive the lane.
  struct State {
    explicit State(std::unique_ptr<Sampler> s) : sampler(std::move(s)) {}
    const std::unique_ptr<Sampler> sampler;
    Mutex mutex;
    CondVar changed;
    std::optional<TimePoint> request GUARDED_BY(mutex);
    bool reading GUARDED_BY(mutex) = false;
    bool stop GUARDED_BY(mutex) = false;
    bool ended GUARDED_BY(mutex) = false;
    std::optional<Outcome> done GUARDED_BY(mutex);
  };
  static void Run(const std::shared_ptr<State>& state, SeriesRegistry& registry);

  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace idlewatt
