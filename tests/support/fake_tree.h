#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/file_root.h"

namespace idlewatt {

// A folder of its own, removed at the end; stands for /proc, /sys or a data folder.
class FakeTree {
 public:
  FakeTree() {
    std::string name = (std::filesystem::temp_directory_path() / "idlewatt-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << name;
    path_ = name;
  }
  FakeTree(const FakeTree&) = delete;
  FakeTree& operator=(const FakeTree&) = delete;
  ~FakeTree() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string PathOf(std::string_view relative) const {
    return path_ + "/" + std::string(relative);
  }

  // Creates or replaces a file, its folders too.
  void Write(std::string_view relative, std::string_view content) {
    const std::filesystem::path file = PathOf(relative);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary | std::ios::trunc)
        .write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  void MakeDir(std::string_view relative) { std::filesystem::create_directories(PathOf(relative)); }
  void Link(std::string_view relative, std::string_view target) {
    std::filesystem::create_directories(std::filesystem::path(PathOf(relative)).parent_path());
    std::filesystem::create_symlink(target, PathOf(relative));
  }
  void Remove(std::string_view relative) { std::filesystem::remove_all(PathOf(relative)); }
  std::string Read(std::string_view relative) const {
    std::ifstream in(PathOf(relative), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // The tree, or a folder in it, as a root.
  FileRoot Root(std::string_view relative = ".") const {
    Result<FileRoot> root = FileRoot::Open(PathOf(relative));
    if (!root) ADD_FAILURE() << root.error().ToString();
    return std::move(*root);
  }

 private:
  std::string path_;
};

}  // namespace idlewatt
