#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "collector/series.h"

namespace idlewatt {

struct SamplerInfo;

struct Sample {
  SeriesId series = 0;
  double value = 0;
};

// One process as the last scan saw it. In the API and on the page only: a pid is never a label.
struct ProcessRow {
  int32_t pid = 0;
  int32_t parent = 0;
  uint64_t start_ticks = 0;  // field 22 of stat; (pid, start_ticks) is the identity
  std::string name;          // comm, valid UTF-8
  std::shared_ptr<const std::string> service;  // name; never null
  char state = '?';
  double cpu_seconds = 0;           // user and system, own threads only
  std::optional<double> cpu_ratio;  // 1 is one CPU; nothing at the first reading
  int64_t memory_bytes = 0;         // RSS
  int32_t threads = 0;
};

using ProcessRows = std::shared_ptr<const std::vector<ProcessRow>>;  // null: not read

// One thing that can be read, or why it can't: a row of `idlewatt sensors`.
struct SourceStatus {
  std::string source;          // "rapl", "thermal:thermal_zone0"
  std::string gives;           // "energy of package-0, dram"
  std::optional<Error> error;  // nothing when it was read
  std::string remedy;          // what would allow it; empty when nothing would
  // Set by the loop: who reads it, how often, and what the last read of all its sources took.
  std::string_view sampler{};
  std::chrono::nanoseconds period{0};
  std::chrono::nanoseconds cost{0};
  std::optional<std::chrono::nanoseconds> age{};  // of its last good reading; nothing before one
};

// What would allow a read that the kernel refused with `error`; empty when we know nothing.
std::string RemedyFor(const Error& error);

// The number of a series that is given at nearly every tick, kept so that it need not be looked up.
struct KnownSeries {
  SeriesId id = 0;
  std::optional<BootTime> given;  // last; after a long absence the series may have ended
};

// What one sampler read in one call.
struct Readings {
  // With so many series there is no new one of a metric that is not ours: labels that change all
  // the time must not fill the memory.
  static constexpr size_t kMostSeries = 50'000;

  explicit Readings(SeriesRegistry& series_registry) : registry(&series_registry) {}

  // Appends a value. One that is not finite is left out: no value instead of a false one.
  void Add(const Metric& metric, std::initializer_list<std::string_view> labels, double value);
  // The same, looking the series up only when `known` does not tell it. `known` must always be used
  // with the same metric and labels.
  void Add(KnownSeries& known, BootTime now, const Metric& metric,
           std::initializer_list<std::string_view> labels, double value);
  // The same for a metric of MakeMetric. False when its series would be new and there is no room
  // for it: see kMostSeries.
  bool Add(const std::shared_ptr<const Metric>& metric, std::span<const std::string_view> labels,
           double value);
  // A histogram: how many values were at most each of `bounds` and above the one before, and in
  // the last of `counts`, one more than there are bounds, how many were above all.
  void Add(const Histogram& histogram, std::initializer_list<std::string_view> labels,
           std::span<const double> bounds, std::span<const uint64_t> counts, double sum);
  void AddSource(std::string source, std::string gives);
  // Without a `remedy` it is RemedyFor(error).
  void AddRefused(std::string source, std::string gives, Error error, std::string remedy = {});
  void Clear();

  SeriesRegistry* registry;
  std::vector<Sample> samples;
  std::vector<SourceStatus> sources;
  ProcessRows processes;
};

// How one sampler fared in one tick, and which samples of the frame are its own.
struct SamplerRun {
  enum class Outcome {
    kNotDue,   // its period has not passed, or it backs off; its last values still hold
    kOk,       // read; a series it did not give is gone
    kFailed,   // not read; last values hold for a while
    kPending,  // still reading on its lane; last values hold for a while
  };
  const SamplerInfo* info = nullptr;
  Outcome outcome = Outcome::kNotDue;
  std::chrono::nanoseconds duration{0};
  std::chrono::nanoseconds period{0};
  size_t first = 0;  // samples [first, first + count) of the frame
  size_t count = 0;
  std::optional<Error> error{};  // set when kFailed
  // By this much it was read before the tick that has it: its lane was late.
  std::chrono::nanoseconds late{0};
};

// One tick: everything that was read, stamped before the first and after the last read.
struct Frame {
  TimePoint begin;
  BootTime end;
  std::vector<Sample> samples;
  std::vector<SamplerRun> runs;
  std::vector<SourceStatus> sources;  // of all samplers, their last known state
  ProcessRows processes;
};

// Takes the frames, on the sampler thread.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void OnFrame(Frame frame) = 0;
};

}  // namespace idlewatt
