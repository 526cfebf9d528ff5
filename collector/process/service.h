#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "collector/process/io_accounting.h"
#include "collector/process/process_backend.h"

namespace idlewatt {

enum class ServiceKind { kSupervised, kWatched, kDiscovered };
std::string_view ServiceKindName(ServiceKind kind);

// The service of a process. Discovered ones are named after container, unit or program.
struct ServiceKey {
  ServiceKind kind = ServiceKind::kDiscovered;
  std::string name;
  bool operator==(const ServiceKey&) const = default;
  auto operator<=>(const ServiceKey&) const = default;
};

// What is known of a service over the ticks. Counters only grow.
struct MeasuredService {
  CpuTime cpu;
  IoBytes io;
  bool io_known = false;
  std::optional<double> open_fds;  // of the last count
  struct Gpu {
    double busy_seconds = 0;
    double memory_bytes = 0;  // held now
    double used_seconds = 0;  // in this tick
    bool was_named = false;   // given under the service's own name at the last tick
  };
  std::map<std::string, Gpu> gpus;  // by name of the GPU

  // Of this tick:
  CpuTime used;
  double memory_bytes = 0;
  int processes = 0;
  int threads = 0;

  // For the choice of those shown by name:
  double watts = 0;  // smoothed guess of what it draws
  bool shown = false;
  bool was_named = false;  // given under its own name at the last tick
  BootTime last_member;
  int ticks_empty = 0;

  std::shared_ptr<const std::string> name;  // for the rows of its processes
};

using MeasuredServices = std::map<ServiceKey, MeasuredService>;
using ServiceEntry = MeasuredServices::value_type;

}  // namespace idlewatt
