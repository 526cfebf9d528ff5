#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// The data folder of this daemon, held against a second one as long as this object lives. Whoever
// writes to the folder asks for a DataDir, so nothing is written without the lock.
// Owns: the descriptor of the file `lock`, whose flock(2) the kernel drops when the process ends.
class DataDir {
 public:
  // Makes the folder (0700) and those above it when missing, takes the lock and writes our pid
  // into it. kInvalid when another process holds it, naming its pid; otherwise by errno.
  static Result<DataDir> Lock(const std::string& path);

  const std::string& path() const { return path_; }
  std::string PathOf(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  DataDir(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;
};

}  // namespace idlewatt
