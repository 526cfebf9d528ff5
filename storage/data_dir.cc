#include "storage/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "base/text.h"

namespace idlewatt {
namespace {

// The number in the lock file, or "unknown".
std::string HolderOf(int lock_fd) {
  std::array<char, 32> buffer{};
  const ssize_t size = pread(lock_fd, buffer.data(), buffer.size(), 0);
  const std::string_view text =
      Trim({buffer.data(), static_cast<size_t>(std::max<ssize_t>(size, 0))});
  return ParseNumber<int>(text) ? std::string(text) : "unknown";
}

}  // namespace

Result<DataDir> DataDir::Lock(const std::string& path) {
  const std::filesystem::path folder(path);
  std::error_code failure;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), failure);
  if (failure) return ErrnoError(failure.value(), path, "cannot create the data folder");
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, path, "cannot create the data folder");
  }
  const std::string lock_path = path + "/lock";
  UniqueFd lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return ErrnoError(errno, path, "cannot write to the data folder");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoError(errno, lock_path, "cannot lock");
    return Error{ErrorCode::kInvalid, path, 0,
                 "in use by another idlewatt (pid " + HolderOf(lock.get()) +
                     "): stop it or choose another data folder"};
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(lock.get(), 0) != 0 ||
      pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return ErrnoError(errno, lock_path, "cannot write");
  }
  return DataDir(path, std::move(lock));
}

}  // namespace idlewatt
