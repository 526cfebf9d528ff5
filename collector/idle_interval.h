#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace idlewatt {

// A stretch of time in which a service, or the whole machine, was idle: a row of `idle_interval`.
// It begins when the service was found idle (idle.after after its last use), and holds only time
// in which it was watched: it is cut at a gap, a suspend and the end of the daemon.
struct IdleInterval {
  std::string service;   // empty: the whole machine
  int64_t start_ms = 0;  // wall clock; with the service, the key of the row
  int64_t end_ms = 0;
  // What it used in that time. Nothing where it is not known: no joules where nothing measures.
  std::optional<double> joules;
  std::optional<double> avg_watts;
  std::optional<double> cpu_seconds;
  std::optional<int64_t> peak_rss_bytes;
  // Why it ended: "used", "stopped" (its processes are gone), "gap", "suspend", "shutdown" (of the
  // daemon), "lost" (the daemon was killed; what is told is the last that it wrote). "open" while
  // it goes on.
  std::string reason;
};

}  // namespace idlewatt
