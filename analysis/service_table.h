#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/snapshot.h"

namespace idlewatt {

// Is a restart for this reason (of idlewatt_service_restarts_total) one after a failure? Not one
// that somebody asked for, nor one after a good end.
bool IsFailedRestart(std::string_view reason);

// Of one service in one tick, as all of ServiceRow.
struct GpuUse {
  double memory_bytes = 0;
  double used_seconds = 0;  // of its engines
};
struct SocketUse {
  bool fresh = false;
  double new_connections = 0;
  double bytes_per_second = 0;  // in and out
};
// Through its proxy.
struct RequestUse {
  double come = 0;
  double in_flight = 0;
};

// One service in one tick. "Used" is since its values before; what was not read in this tick, and
// what has no value before, counts as nothing.
struct ServiceRow {
  std::string name;
  bool is_new = false;      // the first tick of this row: what is kept by its number is another's
  BootTime seen;            // the last tick in which anything told of it
  bool supervised = false;  // in this tick; as all below
  bool configured = false;  // supervised or watched
  bool measured = false;    // its CPU time is there
  bool running = false;     // it has processes
  bool cpu_fresh = false;   // its CPU time was read in this tick
  double cpu_used = 0;      // seconds
  std::optional<double> cpus;          // 1 is one CPU; nothing at its first reading
  double memory_bytes = 0;             // RSS
  std::vector<GpuUse> gpus;            // as ServiceTable::gpus()
  std::optional<SocketUse> sockets;    // nothing where its ports are not known
  std::optional<RequestUse> requests;  // nothing without a proxy
  std::string state;  // of a supervised service: "ready", "failed", …; else empty
  std::optional<double> uptime_seconds;  // of a supervised service that runs
  double restarts = 0;                   // after failures
};

// The services of a tick, so that attribution, idleness and alerts look nothing up. A service keeps
// its number while anything is told of it, and for an hour after; then another may get it.
// Threads: one.
class ServiceTable {
 public:
  // Takes the tick in `snapshot`, which must be every tick.
  void Update(const Snapshot& snapshot);

  size_t size() const { return rows_.size(); }
  const ServiceRow& operator[](size_t number) const { return rows_[number]; }
  // Those that are told of, or were in the last hour, by name.
  const std::vector<size_t>& order() const { return order_; }
  // Nothing for a service that is not known.
  std::optional<size_t> Find(std::string_view service) const;
  // Label `gpu` of the GPUs that services use, in the order in which they came.
  const std::vector<std::string>& gpus() const { return gpus_; }

 private:
  void BeginTick();
  size_t Insert(size_t place, std::string_view service);
  // Calls `take(row, value)` for each value of a metric whose first label is the service.
  template <typename Take>
  void ForEach(const Snapshot& snapshot, const Metric& metric, Take take);
  void TakeProcesses(const Snapshot& snapshot);
  void TakeGpus(const Snapshot& snapshot);
  void TakeSockets(const Snapshot& snapshot);
  void TakeSupervision(const Snapshot& snapshot);
  GpuUse& GpuOf(ServiceRow& row, std::string_view gpu);

  std::vector<ServiceRow> rows_;
  std::vector<size_t> order_;
  std::vector<size_t> free_;
  std::vector<std::string> gpus_;
};

}  // namespace idlewatt
