#include "supervisor/log/log_file.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/result.h"

namespace idlewatt {

LogFile::LogFile(std::string path, const ServiceSpec::Log& options, LogCompressor* compressor)
    : path_(std::move(path)),
      options_(options),
      backups_(std::make_unique<LogBackups>(path_, options, compressor)) {}

void LogFile::Configure(const ServiceSpec::Log& options) {
  options_ = options;
  backups_->Configure(options);
}

void LogFile::Append(std::string_view data) {
  while (!data.empty()) {
    if (!EnsureOpen()) return Drop(data.size(), open_errno_);
    if (unmarked_bytes_ > 0 && !MarkDropped()) return Drop(data.size(), errno);
    const size_t piece = PieceThatFits(data);
    if (piece == 0) {
      Rotate();
      continue;
    }
    const size_t written = Write(data.substr(0, piece));
    written_bytes_ += static_cast<int64_t>(written);
    const size_t newline = data.substr(0, written).rfind('\n');
    unended_ = newline == std::string_view::npos ? unended_ + static_cast<int64_t>(written)
                                                 : static_cast<int64_t>(written - newline - 1);
    data.remove_prefix(written);
    if (written < piece) return Drop(data.size(), errno);
  }
}

bool LogFile::EnsureOpen() {
  if (fd_) {
    struct stat status {};
    if (::stat(path_.c_str(), &status) == 0 && opened_ == std::pair(status.st_dev, status.st_ino)) {
      size_ = status.st_size;  // somebody may have emptied it
      unended_ = std::min(unended_, size_);
      return true;
    }
    fd_.reset();  // somebody deleted it: what we write would be lost unseen
  }
  if (!Open(0)) return false;
  backups_->Tidy();
  return true;
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
  ::fstat(fd_.get(), &status);
  opened_ = {status.st_dev, status.st_ino};
  size_ = status.st_size;
  unended_ = 0;
  return true;
}

// How much of `data` to write into this file, up to its last whole line; 0 to rotate first.
size_t LogFile::PieceThatFits(std::string_view data) const {
  const auto room = static_cast<size_t>(std::max<int64_t>(0, options_.max_size - size_));
  if (data.size() <= room) return data.size();
  if (const size_t newline = data.substr(0, room).rfind('\n'); newline != data.npos) {
    return newline + 1;
  }
  if (unended_ == 0) return size_ == 0 ? room : 0;
  const size_t line_end = std::min(data.find('\n'), data.size() - 1) + 1;
  return std::min(line_end,
                  static_cast<size_t>(std::max<int64_t>(0, options_.max_size - unended_)));
}

void LogFile::Rotate() {
  fd_.reset();
  backups_->Rotate();
  // Where renaming failed, old lines go: a bounded disk matters more.
  Open(O_TRUNC);
}

// How many bytes were written; errno says why not all.
size_t LogFile::Write(std::string_view data) {
  size_t written = 0;
  while (written < data.size()) {
    const ssize_t count = ::write(fd_.get(), data.data() + written, data.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    written += static_cast<size_t>(count);
  }
  size_ += static_cast<int64_t>(written);
  return written;
}

// False, with errno, when it cannot be written; half a mark is taken back.
bool LogFile::MarkDropped() {
  const std::string mark =
      "[idlewatt: " + std::to_string(unmarked_bytes_) + " bytes of output were lost here]\n";
  const int64_t size = size_;
  if (Write(mark) < mark.size()) {
    const int why = errno;
    if (size_ > size && ::ftruncate(fd_.get(), size) == 0) size_ = size;
    errno = why;
    return false;
  }
  unended_ = 0;
  spdlog::info("{}: written again; {} bytes were lost", path_, unmarked_bytes_);
  unmarked_bytes_ = 0;
  return true;
}

void LogFile::Drop(size_t bytes, int sys_errno) {
  if (unmarked_bytes_ == 0) {
    spdlog::warn("{}",
                 ErrnoError(sys_errno, path_, "output is lost until it can be written").ToString());
  }
  dropped_bytes_ += static_cast<int64_t>(bytes);
  unmarked_bytes_ += static_cast<int64_t>(bytes);
}

void LogFile::DeleteAll() {
  fd_.reset();
  ::unlink(path_.c_str());
  backups_->DeleteAll();
}

std::string LogFile::ReadEnd(size_t max_bytes) const {
  const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  std::string text(std::min(max_bytes, static_cast<size_t>(status.st_size)), '\0');
  const ssize_t count = ::pread(file.get(), text.data(), text.size(),
                                status.st_size - static_cast<off_t>(text.size()));
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, count)));
  return text;
}

}  // namespace idlewatt
