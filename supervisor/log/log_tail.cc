#include "supervisor/log/log_tail.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace idlewatt {
namespace {

// Where the last `count` lines of `text` begin; 0 when it has no more.
size_t OffsetOfLastLines(std::string_view text, size_t count) {
  if (count == 0 || text.empty()) return text.size();
  size_t begin = text.size();  // of the lines found so far; a newline at the very end begins none
  for (size_t found = 0; found < count && begin > 0; ++found) {
    begin = text.substr(0, begin - 1).rfind('\n') + 1;  // npos + 1 is 0
  }
  return begin;
}

}  // namespace

LogTail::LogTail(size_t capacity) : capacity_(std::max<size_t>(1, capacity)) {}

void LogTail::Append(std::string_view data) {
  if (data.empty()) return;
  const MutexLock lock(mutex_);
  end_ += data.size();
  if (ring_.size() < capacity_) {
    const size_t size = std::min<uint64_t>(capacity_, end_);
    // By hand, because a vector may take up to twice of what it is told to hold.
    if (size > ring_.capacity()) ring_.reserve(std::min(capacity_, 2 * size));
    ring_.resize(size);
  }
  data.remove_prefix(data.size() - std::min(data.size(), capacity_));
  const size_t at = (end_ - data.size()) % capacity_;
  const size_t before_wrap = std::min(data.size(), capacity_ - at);
  std::memcpy(ring_.data() + at, data.data(), before_wrap);
  std::memcpy(ring_.data(), data.data() + before_wrap, data.size() - before_wrap);
  if (waiting_ > 0) appended_.NotifyAll();
}

LogTail::Piece LogTail::Read(uint64_t position, size_t max_bytes) const {
  const MutexLock lock(mutex_);
  return ReadLocked(position, max_bytes);
}

LogTail::Piece LogTail::WaitAndRead(uint64_t position, size_t max_bytes,
                                    std::chrono::nanoseconds timeout) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const MutexLock lock(mutex_);
  position = std::min(position, end_);
  while (position == end_) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= left.zero()) break;
    ++waiting_;
    appended_.WaitFor(mutex_, left);
    --waiting_;
  }
  return ReadLocked(position, max_bytes);
}

uint64_t LogTail::end() const {
  const MutexLock lock(mutex_);
  return end_;
}

uint64_t LogTail::BeginOfLastLines(size_t count) const {
  const Piece piece = Read(0, capacity_);  // searched without the lock, so the writer need not wait
  return piece.next - piece.text.size() + OffsetOfLastLines(piece.text, count);
}

std::vector<std::string> LogTail::LastLines(size_t count, uint64_t since) const {
  const Piece piece = Read(since, capacity_);
  const std::string_view text = piece.text;
  std::vector<std::string> lines;
  for (size_t at = OffsetOfLastLines(text, count); at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(ToValidUtf8(text.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

LogTail::Piece LogTail::ReadLocked(uint64_t position, size_t max_bytes) const {
  const uint64_t from = std::clamp(position, end_ - ring_.size(), end_);
  const size_t size = std::min<uint64_t>(max_bytes, end_ - from);
  const size_t at = from % capacity_;
  const size_t before_wrap = std::min(size, capacity_ - at);
  Piece piece;
  piece.text.reserve(size);
  piece.text.append(ring_.data() + at, before_wrap);
  piece.text.append(ring_.data(), size - before_wrap);
  piece.next = from + size;
  piece.dropped = from - std::min(position, from);
  return piece;
}

}  // namespace idlewatt
