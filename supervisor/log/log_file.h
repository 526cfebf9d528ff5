#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "supervisor/log/log_backups.h"
#include "supervisor/log/log_compressor.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// The log of one service: PATH, rotated by size to PATH.1 (newest), PATH.2 ..., see LogBackups. A
// line stays whole unless it is longer than a file may be.
// Errors:  none reach the caller. Bytes that cannot be written are dropped, counted, and marked by
//          a line in the log once it can be written again. A file that was deleted or moved away is
//          made anew.
// Threads: supervisor loop only.
// Owns:    one descriptor while open.
class LogFile {
 public:
  // `path` with its folder. Opens nothing. `compressor` must outlive it; null: backups stay as they
  // are.
  LogFile(std::string path, const ServiceSpec::Log& options, LogCompressor* compressor);

  // In the place of the options it was made with.
  void Configure(const ServiceSpec::Log& options);

  // Opens the file when it is not open, and then removes backups that are too old.
  void Append(std::string_view data);
  // The next Append opens it again.
  void Close() { fd_.reset(); }
  // Removes the log and all its backups. The next Append makes it anew.
  void DeleteAll();

  // The last `max_bytes` of the file; empty when there is none that can be read.
  std::string ReadEnd(size_t max_bytes) const;

  const std::string& path() const { return path_; }
  int64_t written_bytes() const { return written_bytes_; }
  int64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  bool EnsureOpen();
  bool Open(int flags);
  void Rotate();
  size_t PieceThatFits(std::string_view data) const;
  size_t Write(std::string_view data);
  bool MarkDropped();
  void Drop(size_t bytes, int sys_errno);

  const std::string path_;
  ServiceSpec::Log options_;
  std::unique_ptr<LogBackups> backups_;  // stays where it is when the log is moved

  UniqueFd fd_;
  std::pair<dev_t, ino_t> opened_;  // the file of fd_
  int64_t size_ = 0;                // of the open file
  int64_t unended_ = 0;             // of that, written since its last newline
  int64_t written_bytes_ = 0;
  int64_t dropped_bytes_ = 0;
  int64_t unmarked_bytes_ = 0;  // dropped since the log could last be written
  int open_errno_ = 0;          // of the last Open that failed
};

}  // namespace idlewatt
