#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace idlewatt {

// The body of /api/v1/idle, checked: what reports are written from. What is not known is nothing,
// never 0. Texts are valid UTF-8 on one line, without signs that move a cursor or turn the
// direction of what follows; they may hold anything else, such as markup.
// Units:   joules, seconds, watts, bytes.
struct IdleAnswer {
  using Known = std::optional<double>;  // finite, and not negative

  static constexpr double kSecondsOfYear = 365 * 86400.0;

  // What the joules rest on; kUnknown when none are known.
  enum class Basis { kUnknown, kMeter, kModel, kMixed };

  struct Machine {
    Known joules, mean_watts;
    Known idle_seconds, idle_joules, idle_mean_watts;  // while every service was idle
    Known service_active_joules, service_idle_joules, floor_joules, unattributed_joules;
  };
  struct Component {
    std::string name;
    Known idle_joules;
  };
  struct Service {
    std::string name, kind;
    Known idle_seconds, idle_joules, idle_mean_watts;
    Known idle_share;                   // of its own joules
    std::vector<Component> components;  // those with a value
    Known idle_cpu_ratio, peak_memory_bytes;
  };
  struct BucketService {
    std::string name;
    Known idle_joules;
  };
  struct Bucket {
    WallTime start;
    Known joules, idle_joules, active_joules, floor_joules, unattributed_joules;
    std::vector<BucketService> services;
  };
  struct Recommendation {
    std::string service, title, advice;  // `service` may be empty
    Known saves_joules, saves_watts, seconds;
    Basis confidence = Basis::kUnknown;
    std::vector<std::string> evidence;
  };
  struct Alert {
    WallTime time;
    std::string alert, severity, state, summary;
  };

  // "meter", "model", "mixed".
  static Basis BasisOf(const std::string& name);

  // Errors: kParse, with a sentence for people, when `answer` is no such body.
  static Result<IdleAnswer> Parse(const std::string& answer);

  std::chrono::milliseconds window() const { return until - since; }
  // The part of the window that was watched, 0 to 1; nothing when that is not known.
  Known Coverage() const;
  // How often what was measured fits into a year. Nothing below an hour: that says nothing of a
  // year.
  Known TimesAYear() const;
  // Of all services together: as told, else the sum of those that are known.
  Known IdleJoules() const;
  // Is any energy known, of the machine or of a service?
  bool KnowsEnergy() const;
  // The services that were idle, in their order.
  std::vector<const Service*> IdleServices() const;

  WallTime since, until, generated_at;
  Basis basis = Basis::kUnknown;
  std::vector<std::string> sources;
  Known measured_seconds;
  Machine machine;
  std::vector<Service>
      services;  // most idle energy first; unknown ones last, the longest idle first
  std::chrono::milliseconds step{0};
  std::vector<Bucket> buckets;  // by start
  std::vector<Recommendation> recommendations;
  std::vector<Alert> alerts;  // oldest first
};

}  // namespace idlewatt
