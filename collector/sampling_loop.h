#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/clock.h"
#include "collector/lane.h"
#include "collector/sampler.h"

namespace idlewatt {

// A sampler with its period.
struct ScheduledSampler {
  std::unique_ptr<Sampler> sampler;
  std::chrono::nanoseconds period{0};
};

// Runs the samplers at absolute deadlines of the boot clock and hands one frame a tick to a sink.
// Samplers that can hang run on lanes: the tick asks them first, runs the others, and takes what
// has come back. A lane that is late keeps its last values, and is told of.
//
// What follows a failure: kNoData, kPermission and kGone are tried again after 2, 4, 8 … periods,
// up to 15 minutes; everything else at the next tick. The first failure and the recovery are
// logged, not each one.
//
// Threads: Run and Tick on one thread, the sampler thread.
// Owns:    samplers and lanes. Registry, clock and sink must outlive it.
class SamplingLoop {
 public:
  struct Options {
    std::chrono::nanoseconds interval{std::chrono::seconds(5)};
    // How long a tick waits at its end for lanes that are nearly done.
    std::chrono::nanoseconds lane_patience{std::chrono::milliseconds(10)};
    // How long StopLanes waits for each lane.
    std::chrono::nanoseconds stop_patience{std::chrono::seconds(2)};
  };
  SamplingLoop(Options options, std::vector<ScheduledSampler> samplers, SeriesRegistry& registry,
               const Clock& clock, FrameSink& sink);
  ~SamplingLoop();

  // Ticks until stop is asked for: at once, then every interval. A tick that takes longer than
  // the interval skips the deadlines it missed.
  void Run(const std::stop_token& stop);
  // One tick, now.
  void Tick();
  // Ends the lanes. False when one hung: see Lane.
  bool StopLanes();

  uint64_t missed_ticks() const { return missed_ticks_; }
  // Metrics of the loop itself, about every sampler.
  static const SamplerInfo& Info();

 private:
  struct Entry {
    const SamplerInfo* info = nullptr;
    std::unique_ptr<Sampler> sampler;  // one of sampler and lane
    std::unique_ptr<Lane> lane;
    std::chrono::nanoseconds period{0};
    BootTime next_due;
    int refusals = 0;              // in a row, of the kind that backs off
    std::optional<Error> failing;  // as logged
    BootTime last_parse_log;
    bool waiting = false;  // a request is out on the lane
    BootTime requested;
    bool hung = false;              // and has not been answered for too long
    std::optional<bool> succeeded;  // the last reading; nothing before the first
    std::optional<BootTime> read;   // when the last one that succeeded was begun
    std::chrono::nanoseconds duration{0};
    std::vector<SourceStatus> sources;
  };
  enum class Due { kNo, kYes, kWaiting };

  Due Begin(Entry& entry, TimePoint now);
  void RunHere(Entry& entry, TimePoint now, Frame& frame);
  void CollectLane(Entry& entry, TimePoint now, std::chrono::nanoseconds patience, Frame& frame);
  void Finish(Entry& entry, TimePoint now, const Result<void>& result, Readings readings,
              std::chrono::nanoseconds duration, Frame& frame);
  void NoteFailure(Entry& entry, TimePoint now, const Error& error);
  void AddOwnMetrics(Frame& frame);

  const Options options_;
  SeriesRegistry& registry_;
  const Clock& clock_;
  FrameSink& sink_;
  std::vector<Entry> entries_;
  std::atomic<uint64_t> missed_ticks_ = 0;
};

}  // namespace idlewatt
