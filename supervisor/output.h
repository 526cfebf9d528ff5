#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "supervisor/log_file.h"

namespace idlewatt {

// What a service writes: taken from its pipe, put into its log, the last lines kept.
// Memory is bounded by kTailBytes and one buffer on the stack, whatever the service writes.
// Threads: supervisor loop only.
// Owns:    the read end of the pipe and the log.
class Output {
 public:
  explicit Output(LogFile log) : log_(std::move(log)) {}

  // Begins with a new run; the lines of the one before are forgotten.
  void Open(UniqueFd pipe);
  // Reads until the pipe is empty, or kTurnBytes, so that one flood does not starve the other
  // services. Closes the pipe when nobody can write to it any more.
  void Drain();
  // Takes what is there and closes pipe and log, whoever else may still hold the other end.
  void Close();

  int pipe() const { return pipe_.get(); }  // -1 when closed
  const LogFile& log() const { return log_; }
  // At most kTailLines, oldest first, as valid UTF-8. The first may lack its beginning.
  std::vector<std::string> LastLines() const;

  static constexpr size_t kTurnBytes = size_t{256} << 10;
  static constexpr size_t kTailBytes = size_t{4} << 10;
  static constexpr size_t kTailLines = 10;

 private:
  void Take(std::string_view data);

  UniqueFd pipe_;
  LogFile log_;
  std::string tail_;  // the last kTailBytes of this run
};

}  // namespace idlewatt
