#include "base/file_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/text.h"

namespace idlewatt {
namespace {

// openat() needs a terminated name. One that is too long is cut to a length that the kernel refuses
// (ENAMETOOLONG), so that it can never name another file.
class CName {
 public:
  explicit CName(std::string_view name) : length_(std::min(name.size(), buffer_.size() - 1)) {
    std::copy_n(name.data(), length_, buffer_.data());
    buffer_[length_] = '\0';
  }
  const char* get() const { return length_ == 0 ? "." : buffer_.data(); }

 private:
  std::array<char, PATH_MAX + 1> buffer_;
  size_t length_;
};

}  // namespace

Result<FileRoot> FileRoot::Open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, path, "cannot be opened as a directory");
  return FileRoot(path, std::move(fd));
}

Result<UniqueFd> FileRoot::OpenFile(std::string_view relative) const {
  // O_NONBLOCK: a FIFO in a recorded tree must not stop the sampler.
  UniqueFd fd(::openat(fd_.get(), CName(relative).get(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError(errno, PathOf(relative));
  return fd;
}

Result<void> FileRoot::ReadInto(std::string_view relative, std::string& buffer) const {
  buffer.clear();
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenFile(relative));
  size_t used = 0;
  while (used < kMaxBytes) {
    if (buffer.size() - used < 1024) buffer.resize(std::max<size_t>(used * 2, 4096));
    const size_t room = std::min(buffer.size(), kMaxBytes) - used;
    const ssize_t got = ::read(fd.get(), buffer.data() + used, room);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      buffer.clear();
      return ErrnoError(error, PathOf(relative));
    }
    used += static_cast<size_t>(got);
    // Only an empty read is the end: seq_file hands out a table page by page.
    if (got == 0) break;
  }
  buffer.resize(used);
  return {};
}

Result<std::string> FileRoot::Read(std::string_view relative) const {
  std::string text;
  RETURN_IF_ERROR(ReadInto(relative, text));
  return text;
}

Result<int64_t> FileRoot::ReadInt(std::string_view relative) const {
  ASSIGN_OR_RETURN(const std::string text, Read(relative));
  const auto value = ParseIntFile(text);
  if (!value) {
    return Error{ErrorCode::kParse, PathOf(relative), 0,
                 "holds \"" + ToValidUtf8(Trim(text).substr(0, 40)) + "\" and not an integer"};
  }
  return *value;
}

Result<std::vector<std::string>> FileRoot::List(std::string_view relative) const {
  UniqueFd fd(::openat(fd_.get(), CName(relative).get(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, PathOf(relative));
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd.get()), &::closedir);
  if (!dir) return ErrnoError(errno, PathOf(relative));
  fd.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> FileRoot::ReadLink(std::string_view relative) const {
  std::array<char, 4096> target{};
  const ssize_t length =
      ::readlinkat(fd_.get(), CName(relative).get(), target.data(), target.size());
  if (length < 0) return ErrnoError(errno, PathOf(relative));
  return std::string(target.data(), static_cast<size_t>(length));
}

bool FileRoot::Exists(std::string_view relative) const {
  return ::faccessat(fd_.get(), CName(relative).get(), F_OK, 0) == 0;
}

Result<struct stat> FileRoot::Stat(std::string_view relative) const {
  struct stat info {};
  if (::fstatat(fd_.get(), CName(relative).get(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError(errno, PathOf(relative));
  }
  return info;
}

}  // namespace idlewatt
