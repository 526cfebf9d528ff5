#include "supervisor/log_file.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/result.h"

namespace idlewatt {

void LogFile::Append(std::string_view data) {
  while (!data.empty()) {
    if (!EnsureOpen()) return Drop(data.size(), open_errno_);
    if (unmarked_bytes_ > 0) MarkDropped();
    const size_t piece = PieceThatFits(data);
    if (piece == 0) {
      Rotate();
      continue;
    }
    if (!Write(data.substr(0, piece))) return Drop(data.size(), errno);
    written_bytes_ += static_cast<int64_t>(piece);
    data.remove_prefix(piece);
  }
}

bool LogFile::EnsureOpen() {
  if (fd_) {
    struct stat status {};
    if (::fstat(fd_.get(), &status) == 0 && status.st_nlink > 0) return true;
    fd_.reset();  // somebody deleted it: what we write would be lost unseen
  }
  return Open(0);
}

bool LogFile::Open(int flags) {
  // O_NONBLOCK: should somebody have put a FIFO there, the loop must not wait for its reader.
  fd_.reset(::open(path_.c_str(),
                   O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags,
                   0640));
  if (!fd_) {
    open_errno_ = errno;
    return false;
  }
  struct stat status {};
  size_ = ::fstat(fd_.get(), &status) == 0 ? status.st_size : 0;
  return true;
}

// How much of `data` to write into this file, up to its last whole line; 0 to rotate first.
size_t LogFile::PieceThatFits(std::string_view data) const {
  const auto room = static_cast<size_t>(std::max<int64_t>(0, max_size_ - size_));
  if (data.size() <= room) return data.size();
  const size_t newline = data.substr(0, room).rfind('\n');
  if (newline != std::string_view::npos) return newline + 1;
  return size_ == 0 ? room : 0;
}

void LogFile::Rotate() {
  fd_.reset();
  const auto backup = [&](int number) { return path_ + "." + std::to_string(number); };
  for (int number = max_backups_; number >= 1; --number) {
    const std::string from = number == 1 ? path_ : backup(number - 1);
    std::rename(from.c_str(), backup(number).c_str());
  }
  // Where renaming failed, old lines go: a bounded disk matters more.
  Open(O_TRUNC);
}

// All of `data`, or false with errno; a part of it may then have been written.
bool LogFile::Write(std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = ::write(fd_.get(), data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    size_ += count;
    data.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void LogFile::MarkDropped() {
  if (!Write("[idlewatt: " + std::to_string(unmarked_bytes_) +
             " bytes of output were lost here]\n")) {
    return;
  }
  spdlog::info("{}: written again; {} bytes were lost", path_, unmarked_bytes_);
  unmarked_bytes_ = 0;
}

void LogFile::Drop(size_t bytes, int sys_errno) {
  if (unmarked_bytes_ == 0) {
    spdlog::warn("{}",
                 ErrnoError(sys_errno, path_, "output is lost until it can be written").ToString());
  }
  dropped_bytes_ += static_cast<int64_t>(bytes);
  unmarked_bytes_ += static_cast<int64_t>(bytes);
}

}  // namespace idlewatt
