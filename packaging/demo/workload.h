// What the demo server does besides answering: holding memory, burning CPU, writing log lines.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace idlewatt::demo {

// `bytes` of memory, every page written so that it counts as resident.
std::vector<char> TouchedMemory(int64_t bytes);

// Starts threads that together use `cpus` CPUs, evenly over time, until the process ends.
void StartBurning(double cpus);

// Starts a thread that writes numbered lines to standard output at a steady rate until the process
// ends. A reader that is too slow slows it down.
void StartFlood(int64_t bytes_per_second);

// Writes one line to standard output at once, never mixed with a line of another thread.
void PrintLine(std::string_view line);

// The same, but gives the line up when it would have to wait for a reader.
void PrintLastLine(std::string_view line);

// Child processes that wait for a signal. Call before any thread starts.
class IdleChildren {
 public:
  explicit IdleChildren(int count);
  IdleChildren(const IdleChildren&) = delete;
  IdleChildren& operator=(const IdleChildren&) = delete;
  ~IdleChildren() { End(); }

  // Kills and reaps them.
  void End();

 private:
  std::vector<pid_t> pids_;
};

}  // namespace idlewatt::demo
