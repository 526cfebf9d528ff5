#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace idlewatt {

// The last bytes that a service wrote, kept in memory for whoever looks or follows. The writer
// never waits for a reader: one that is too slow finds that bytes are gone and how many. Positions
// count bytes since the service is known; one beyond the end stands for the end.
// Shape:   a ring of at most `capacity` bytes, which grows as it is filled; when full the oldest go.
// Threads: Append on the supervisor loop; the rest on any.
class LogTail {
 public:
  explicit LogTail(size_t capacity = kDefaultCapacity);

  void Append(std::string_view data);

  struct Piece {
    std::string text;      // any bytes
    uint64_t next = 0;     // where to read on
    uint64_t dropped = 0;  // bytes before `text` that were asked for and are gone
  };
  // At most `max_bytes` from `position` on; empty when nothing was written since.
  Piece Read(uint64_t position, size_t max_bytes) const;
  // As Read, but waits until there is something, or until `timeout` passed.
  Piece WaitAndRead(uint64_t position, size_t max_bytes, std::chrono::nanoseconds timeout) const;

  // The end: what will be written next.
  uint64_t end() const;
  // Where the last `count` lines begin; a line without its newline counts. What is no longer kept
  // is left out.
  uint64_t BeginOfLastLines(size_t count) const;
  // At most `count` lines after `since`, oldest first, as valid UTF-8 and without newlines; the
  // first may lack its beginning.
  std::vector<std::string> LastLines(size_t count, uint64_t since = 0) const;

  static constexpr size_t kDefaultCapacity = size_t{256} << 10;

 private:
  Piece ReadLocked(uint64_t position, size_t max_bytes) const REQUIRES(mutex_);

  const size_t capacity_;  // 1 or more

  mutable Mutex mutex_;
  mutable CondVar appended_;
  mutable int waiting_ GUARDED_BY(mutex_) = 0;  // readers in WaitAndRead
  std::vector<char> ring_ GUARDED_BY(mutex_);   // the byte at position p is ring_[p % capacity_]
  uint64_t end_ GUARDED_BY(mutex_) = 0;
};

}  // namespace idlewatt
