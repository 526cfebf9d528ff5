// What to do about energy that was used while nobody used it. Pure functions: from what a report
// knows of a window of time to advice with its numbers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/idle_time.h"

namespace idlewatt {

// What the joules of the window rest on.
enum class MeterKind { kUnknown, kMeter, kModel, kMixed };

// Joules, where they are known.
struct StateJoules {
  std::optional<double> active, idle;

  // Of those that are known.
  std::optional<double> Sum() const;
};

// A service in the window. Seconds are those in which it was watched. What is not known is nothing,
// never 0.
struct ServiceUse {
  std::string service;
  std::string kind;  // "supervised", "watched" or "discovered"; empty: not known
  std::optional<double> active_seconds, idle_seconds;
  StateJoules joules;
  std::map<std::string, StateJoules> components;
  std::optional<double> start_seconds;  // what a start of it took, on average
  IdleTime idle;                        // of its idle intervals
};

// An alert that began, once or more often.
struct AlertFact {
  std::string builtin;  // the condition of its rule
  std::string alert;    // the name of its rule
  std::string service;  // empty: of the machine
  std::string summary;  // of the newest
  std::string advice;
  int64_t times = 0;
};

struct IdleFacts {
  double seconds = 0;  // of the window, watched
  MeterKind meter = MeterKind::kUnknown;
  // The joules of services hold some of the floor of the machine, which goes on without them.
  bool floor_shared = false;
  std::vector<ServiceUse> services;
  std::vector<AlertFact> alerts;  // one of each name and service; what fired last at the end
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

}  // namespace idlewatt
