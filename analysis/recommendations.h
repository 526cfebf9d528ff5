// What to do about energy that was used while nobody used it. Pure functions: from what a report
// knows of a window of time to advice with its numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collector/idle_interval.h"

namespace idlewatt {

// What the joules of the window rest on.
enum class MeterKind { kUnknown, kMeter, kModel, kMixed };

// A service in the window. What is not known is nothing, never 0.
struct ServiceUse {
  std::string service;
  std::optional<double> joules;           // active and idle
  std::optional<double> idle_cpu_joules;  // of these, by the CPU while idle
  std::optional<double> idle_seconds;
  std::optional<double> start_seconds;  // what a start of it took, on average
  std::vector<IdleInterval> intervals;  // whole ones that overlap the window
};

// An alert that began.
struct AlertFact {
  std::string alert;    // the rule
  std::string service;  // empty: of the machine
  std::string summary;
  std::string advice;
};

struct IdleFacts {
  int64_t since_ms = 0, until_ms = 0;  // the window, wall clock
  double seconds = 0;                  // of it, watched
  MeterKind meter = MeterKind::kUnknown;
  std::vector<ServiceUse> services;
  std::vector<AlertFact> alerts;  // oldest first
};

struct Recommendation {
  std::string kind;     // "unload", "busy_loop", "leak", "idle_model", "sensor_lost", "baseline"
  std::string service;  // empty: the machine
  std::string title;
  std::string advice;
  // What it would have saved over `seconds`. Nothing where that is not energy, is not known, or is
  // told by another recommendation for the same service: no joule is saved twice.
  std::optional<double> saves_joules;
  double seconds = 0;
  bool estimated = false;             // its joules are, all or in part, those of the model
  std::vector<std::string> evidence;  // sentences with the numbers
};

// The most joules first.
std::vector<Recommendation> Recommend(const IdleFacts& facts);

// What unloading a service would have saved, each time after it was idle for so long.
struct UnloadOutcome {
  int minutes = 0;
  double joules = 0;  // saved
  int64_t loads = 0;  // how often it would have been loaded again, because it was used
};
// By the idle intervals of the window, the joules of each spread evenly over it. The first
// `minutes` of each are still used.
UnloadOutcome Unload(const ServiceUse& service, int minutes, int64_t since_ms, int64_t until_ms);

}  // namespace idlewatt
