#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace idlewatt {

// A small file system in memory, seen by this process and its children only, gone at the end.
class Tmpfs {
 public:
  // On an empty folder. Null when this process may not mount, with the reason in errno.
  static std::unique_ptr<Tmpfs> Mount(const std::string& folder, const std::string& size) {
    if (unshare(CLONE_NEWNS) != 0) return nullptr;
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return nullptr;
    const std::string options = "size=" + size;
    if (mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) return nullptr;
    return std::unique_ptr<Tmpfs>(new Tmpfs(folder));
  }
  Tmpfs(const Tmpfs&) = delete;
  Tmpfs& operator=(const Tmpfs&) = delete;
  ~Tmpfs() { umount2(folder_.c_str(), MNT_DETACH); }

  // No file may be open for writing.
  void MakeReadOnly() {
    if (mount(nullptr, folder_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      ADD_FAILURE() << "remount: " << std::strerror(errno);
    }
  }

 private:
  explicit Tmpfs(std::string folder) : folder_(std::move(folder)) {}

  const std::string folder_;
};

}  // namespace idlewatt
