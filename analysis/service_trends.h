#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "analysis/memory_trend.h"
#include "analysis/service_table.h"
#include "base/clock.h"

namespace idlewatt {

// What shows of a service only over many ticks: how its memory grows, how often it is restarted.
// Threads: one.
class ServiceTrends {
 public:
  static constexpr std::chrono::minutes kRestartWindow{10};

  // Memory of a service that an earlier run of the daemon saw, oldest first.
  struct PastMemory {
    std::string service;
    std::vector<std::pair<WallTime, double>> bytes;
  };
  // When services were restarted though nobody asked for it, oldest first.
  using PastRestarts = std::map<std::string, std::vector<WallTime>, std::less<>>;
  // Before the first Update.
  void Remember(std::vector<PastMemory> memory, PastRestarts restarts) {
    past_memory_ = std::move(memory);
    past_restarts_ = std::move(restarts);
  }

  // Takes the services of the tick at `now`.
  void Update(const ServiceTable& services, TimePoint now);
  // Of a supervised or watched service; nothing before it has been seen for long enough.
  std::optional<MemoryGrowth> Growth(size_t service) const;
  // Was the service stopped or started anew since the tick before, so that its growth is forgotten?
  bool BeganAnew(size_t service) const { return trends_[service].began_anew; }
  // Restarts after failures, within kRestartWindow; counts up to 32.
  int Restarts(size_t service) const { return trends_[service].recent_restarts; }

 private:
  struct Trend {
    MemoryTrend memory;
    bool began_anew = false;
    std::optional<double> uptime;         // at the last tick
    std::array<BootTime, 32> restarts{};  // a ring
    size_t next_restart = 0;
    size_t known_restarts = 0;
    int recent_restarts = 0;
  };

  void Seed(const ServiceRow& row, std::chrono::seconds phase, Trend& trend, TimePoint now);
  static void AddRestart(Trend& trend, BootTime time);
  static void CountRestarts(const ServiceRow& row, Trend& trend, BootTime now);

  std::vector<PastMemory> past_memory_;
  PastRestarts past_restarts_;
  std::vector<Trend> trends_;  // by the number of the service
};

}  // namespace idlewatt
