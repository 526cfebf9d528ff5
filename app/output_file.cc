#include "app/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

namespace idlewatt {

Result<OutputFile> OutputFile::Open(const std::string& path) {
  OutputFile output;
  if (path.empty()) return output;
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  output.path_ = path;
  if (kind == std::filesystem::file_type::regular) {  // not the link to it is replaced
    output.path_ = std::filesystem::canonical(path, ignored).string();
  }
  const bool is_plain =
      kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::not_found;
  if (is_plain) output.unfinished_ = output.path_ + ".part";
  const std::string& opened = is_plain ? output.unfinished_ : output.path_;
  output.fd_.reset(::open(opened.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!output.fd_) return ErrnoError(errno, opened, "cannot write");
  return output;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      unfinished_(std::exchange(other.unfinished_, {})),
      fd_(std::move(other.fd_)) {}

OutputFile::~OutputFile() {
  if (!unfinished_.empty()) ::unlink(unfinished_.c_str());
}

Result<void> OutputFile::Write(std::string_view text) {
  const int fd = path_.empty() ? STDOUT_FILENO : fd_.get();
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return ErrnoError(errno, path_.empty() ? "standard output" : path_, "cannot write");
    }
    text.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> OutputFile::Finish() {
  if (unfinished_.empty()) return {};
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) {
    return ErrnoError(errno, path_, "cannot replace");
  }
  unfinished_.clear();
  return {};
}

}  // namespace idlewatt
