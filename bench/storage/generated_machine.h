#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "collector/metric.h"

namespace idlewatt {

// A made-up machine that is measured every 5 s: a host of eight CPUs with its sensors, and services
// that are used in bursts and idle in between. Values look like those of real sources: they follow
// each other, have noise, and come in the grain of their source, so a codec finds in them what it
// would find in a real history.
// Shape:   31 series of the host, then 8 of each service; the same in every tick.
// Units:   those of the metrics.
// Threads: one at a time.
class GeneratedMachine {
 public:
  static constexpr int64_t kIntervalMs = 5000;
  static constexpr int64_t kStartMs = 1'763'600'000'000;  // 2025-11-20, not at the begin of an hour

  struct Series {
    const Metric* metric = nullptr;   // static storage
    std::vector<std::string> labels;  // values, in the order of metric->labels
  };

  // Stands at its first tick. The same number of services gives the same machine every time.
  explicit GeneratedMachine(size_t services);
  // The smallest machine with at least so many series.
  static GeneratedMachine WithSeries(size_t series);

  void Tick();
  const std::vector<Series>& series() const { return series_; }
  const std::vector<double>& values() const { return values_; }  // in the order of series()
  // Wall clock of this tick: the daemon's timer is late by a millisecond now and then.
  int64_t time_ms() const { return time_ms_; }

 private:
  static constexpr size_t kTemperatures = 12;
  static constexpr size_t kFans = 3;
  static constexpr size_t kDomains = 4;
  static constexpr size_t kModes = 8;

  struct Service {
    std::string name;
    bool busy = false;
    double user_seconds = 0, system_seconds = 0;
    double resident_bytes = 0, threads = 0, open_fds = 0;
    double read_bytes = 0, written_bytes = 0, requests = 0;
  };

  double Normal(double deviation);
  bool Chance(double probability);
  void Put(const Metric& metric, std::initializer_list<std::string_view> labels, double value);
  void Measure();  // appends all values
  double MoveServices();
  void PutTemperatures(double load);
  void PutFans(double load);
  void PutPower(double load);
  void PutHostCpu(double load);
  void UseCpu(Service& service, double seconds);
  void ChangeSize(Service& service);
  void Serve(Service& service, size_t number);
  void PutService(const Service& service);

  std::mt19937_64 random_{7};
  std::vector<Series> series_;
  std::vector<double> values_;
  uint64_t tick_ = 0;
  int64_t time_ms_ = kStartMs;
  std::array<double, kTemperatures> celsius_{};
  std::array<double, kFans> rpm_{};
  std::array<double, kDomains> joules_{};
  std::array<double, kModes> cpu_seconds_{};
  std::vector<Service> services_;
};

}  // namespace idlewatt
