#include <benchmark/benchmark.h>

#include <random>

#include "analysis/memory_trend.h"

namespace idlewatt {
namespace {

// An hour of a leak under noise, a point a minute.
class LeakingService {
 public:
  LeakingService() {
    for (int i = 0; i <= 60; ++i) NextMinute();
  }
  // The tick that begins a minute.
  void NextMinute() {
    now_ += std::chrono::minutes(1);
    Observe();
  }
  void Observe() {
    bytes_ += 2e6;
    trend_.Observe(now_, bytes_ + noise_(random_));
  }
  const MemoryTrend& trend() const { return trend_; }

 private:
  MemoryTrend trend_;
  BootTime now_;
  double bytes_ = 2e9;
  std::mt19937 random_;
  std::normal_distribution<double> noise_{0, 15e6};
};

// A tick within a minute: all but one of twelve, if there is one every five seconds.
void BM_MemoryTrend_Tick(benchmark::State& state) {  // NOLINT(readability-identifier-naming)
  LeakingService service;
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    service.Observe();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_MemoryTrend_Tick);

// The tick that ends a minute: the growth is computed anew.
void BM_MemoryTrend_NewPoint(benchmark::State& state) {  // NOLINT(readability-identifier-naming)
  LeakingService service;
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    service.NextMinute();
    benchmark::DoNotOptimize(service.trend().Growth()->bytes_per_hour);
  }
}
BENCHMARK(BM_MemoryTrend_NewPoint);

}  // namespace
}  // namespace idlewatt
