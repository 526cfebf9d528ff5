#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace idlewatt {

// The log of one service: PATH, rotated by size to PATH.1 (newest), PATH.2 ... A line stays whole
// unless it is longer than a file may be.
// Errors:  none reach the caller. Bytes that cannot be written are dropped, counted, and marked by
//          a line in the log once it can be written again. A file that was deleted is made anew.
// Threads: supervisor loop only.
// Owns:    one descriptor while open.
class LogFile {
 public:
  // Keeps `max_backups` rotated files, 0 or more; `max_size` is in bytes, 1 or more.
  LogFile(std::string path, int64_t max_size, int max_backups)
      : path_(std::move(path)), max_size_(max_size), max_backups_(max_backups) {}

  // Opens the file when it is not open.
  void Append(std::string_view data);
  // The next Append opens it again.
  void Close() { fd_.reset(); }

  const std::string& path() const { return path_; }
  int64_t written_bytes() const { return written_bytes_; }
  int64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  bool EnsureOpen();
  bool Open(int flags);
  void Rotate();
  size_t PieceThatFits(std::string_view data) const;
  bool Write(std::string_view data);
  void MarkDropped();
  void Drop(size_t bytes, int sys_errno);

  const std::string path_;
  const int64_t max_size_;
  const int max_backups_;

  UniqueFd fd_;
  int64_t size_ = 0;  // of the open file
  int64_t written_bytes_ = 0;
  int64_t dropped_bytes_ = 0;
  int64_t unmarked_bytes_ = 0;  // dropped since the log could last be written
  int open_errno_ = 0;          // of the last Open that failed
};

}  // namespace idlewatt
