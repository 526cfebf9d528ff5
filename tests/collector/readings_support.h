#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "collector/sampler.h"

namespace idlewatt {

// The samples of one reading, written as Prometheus writes their series. A series given twice is
// a failure: two values of one series in a frame spoil its rate.
inline std::map<std::string, double> ValuesOf(const Readings& readings) {
  std::map<std::string, double> values;
  for (const Sample& sample : readings.samples) {
    const auto series = readings.registry->Find(sample.series);
    const bool added = values.emplace(series->ToString(), sample.value).second;
    EXPECT_TRUE(added) << series->ToString() << " was given twice";
  }
  return values;
}

// The source rows of one reading: "source" -> what it gives, or "!reason" when it was refused.
inline std::map<std::string, std::string> SourcesOf(const Readings& readings) {
  std::map<std::string, std::string> sources;
  for (const SourceStatus& row : readings.sources) {
    const std::string text =
        row.error ? "!" + std::string(ErrorCodeName(row.error->code)) : row.gives;
    EXPECT_TRUE(sources.emplace(row.source, text).second) << row.source << " was given twice";
  }
  return sources;
}

// Reads a sampler tick by tick, as the loop does.
class SamplerDriver {
 public:
  explicit SamplerDriver(Sampler& sampler) : sampler_(sampler) {}

  // One reading; `result`, `values` and `sources` are its outcome.
  void Read() {
    Readings readings(registry_);
    result = sampler_.Read(clock.Now(), readings);
    values = ValuesOf(readings);
    sources = SourcesOf(readings);
    rows = std::move(readings.sources);
    processes = std::move(readings.processes);
  }
  void ReadAfter(std::chrono::nanoseconds time) {
    clock.Advance(time);
    Read();
  }

  ManualClock clock;
  Result<void> result;
  std::map<std::string, double> values;
  std::map<std::string, std::string> sources;
  std::vector<SourceStatus> rows;
  ProcessRows processes;

 private:
  Sampler& sampler_;
  SeriesRegistry registry_;
};

}  // namespace idlewatt
