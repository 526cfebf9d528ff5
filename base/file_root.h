#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// A directory that stands for /proc, /sys or /dev; every kernel file is opened through one, so that
// a test or `--sysfs` can put a recorded machine in its place.
// Errors:  of a read, by errno: kGone (no such file), kPermission, kTransient (EAGAIN, EIO, ...).
// Threads: any; all functions are const and keep no state.
// Owns:    one descriptor of the directory.
class FileRoot {
 public:
  // Fails when `path` is not a directory.
  static Result<FileRoot> Open(const std::string& path);

  const std::string& path() const { return path_; }
  // Of the directory, opened with O_PATH: for openat(2) and its like.
  int fd() const { return fd_.get(); }
  // `relative` below this root, as shown to people.
  std::string PathOf(std::string_view relative) const {
    return path_ + "/" + std::string(relative);
  }

  // The whole file, up to `kMaxBytes`; kernel files larger than that are cut there.
  Result<std::string> Read(std::string_view relative) const;
  // The same into `buffer`, whose capacity is reused; its old content is lost, also on failure.
  Result<void> ReadInto(std::string_view relative, std::string& buffer) const;
  // A file that holds one integer and perhaps blanks around it; kParse for anything else.
  Result<int64_t> ReadInt(std::string_view relative) const;
  // Names in the directory, sorted, without "." and "..".
  Result<std::vector<std::string>> List(std::string_view relative) const;
  Result<std::string> ReadLink(std::string_view relative) const;
  bool Exists(std::string_view relative) const;
  // Of the file itself, or of the link when it is one; it need not be readable.
  Result<struct stat> Stat(std::string_view relative) const;
  Result<UniqueFd> OpenFile(std::string_view relative) const;

  static constexpr size_t kMaxBytes = size_t{1} << 20;

 private:
  FileRoot(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

// The roots of one machine.
struct MachineRoots {
  FileRoot proc;
  FileRoot sys;
  std::optional<FileRoot> dev{};  // a recorded machine has none
};

}  // namespace idlewatt
