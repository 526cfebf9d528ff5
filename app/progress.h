#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace idlewatt {

// What a terminal of `columns` shows of a long command: a bar when `part` (0 to 1) is known, where
// it stands, how many samples went through and how fast. Shorter than the line.
std::string ProgressLine(std::optional<double> part, const std::string& where, uint64_t samples,
                         std::chrono::duration<double> elapsed, size_t columns);

// "1.5 GiB", "12 KiB".
std::string FormatBytes(uint64_t bytes);

// Draws that line on stderr, five times a second, when stderr is a terminal; else does nothing.
// It has no colours and needs no more of a terminal than a carriage return.
// Threads: one.
class Progress {
 public:
  Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { Clear(); }

  // Is it time to call Show? Cheap.
  bool IsDue() const;
  void Show(std::optional<double> part, const std::string& where, uint64_t samples);
  // Takes the line away, so that something else can be printed.
  void Clear();

 private:
  using Time = std::chrono::steady_clock::time_point;
  const bool on_terminal_;
  const Time start_;
  Time next_;
  size_t width_ = 0;  // of the line that stands there
};

}  // namespace idlewatt
