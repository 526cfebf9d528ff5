#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/log/log_file.h"
#include "supervisor/log/log_tail.h"

namespace idlewatt {

// What a service writes: taken from the pipes of its runs, put into its log and into its tail.
// Memory is bounded by the tail and one buffer on the stack, whatever the service writes.
// Threads: supervisor loop only.
// Owns:    the log. The pipes stay the caller's.
class Output {
 public:
  // The tail begins with the end of the log that is there, from an earlier daemon.
  Output(LogFile log, std::shared_ptr<LogTail> tail);

  enum class Drained {
    kEmpty,  // nothing is left in the pipe
    kMore,   // kTurnBytes were taken, so that one flood does not starve the other services
    kEnd,    // nobody can write to it any more
  };
  // Takes what is in `pipe`, which must be non-blocking, and hands each piece to `on_data` (may be
  // empty) once it is in the log.
  Drained Drain(int pipe, const std::function<void(std::string_view)>& on_data);

  // A run begins: LastLines gives no lines of those before.
  void BeginRun() { run_begin_ = tail_->end(); }
  // The log's file; the next write opens it again.
  void Close() { log_.Close(); }

  LogFile& log() { return log_; }
  const LogFile& log() const { return log_; }
  // The last lines of the run: at most kLastLines of at most kLastBytes together, oldest first, as
  // valid UTF-8. The first may lack its beginning.
  std::vector<std::string> LastLines() const;

  static constexpr size_t kTurnBytes = size_t{1} << 20;  // a full pipe
  static constexpr size_t kLastBytes = size_t{4} << 10;
  static constexpr size_t kLastLines = 10;

 private:
  LogFile log_;
  std::shared_ptr<LogTail> tail_;  // never null
  uint64_t run_begin_ = 0;         // a position of the tail
};

}  // namespace idlewatt
