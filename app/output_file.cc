#include "app/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "app/exit_code.h"

namespace idlewatt {
namespace {

// Of a file that is new. umask() tells only by a change; commands write with one thread.
mode_t UsualMode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

Result<OutputFile> OutputFile::Open(const std::string& path) {
  OutputFile output;
  if (path.empty()) return output;
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  const bool is_regular = status.type() == std::filesystem::file_type::regular;
  output.path_ = is_regular  // not the link to it is replaced
                     ? std::filesystem::canonical(path, ignored).string()
                     : path;
  if (!is_regular && status.type() != std::filesystem::file_type::not_found) {
    output.fd_.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!output.fd_) return ErrnoError(errno, path, "cannot write");
    return output;
  }
  RETURN_IF_ERROR(output.Create());
  const auto kept = static_cast<mode_t>(status.permissions()) & 0777;
  if (::fchmod(output.fd_.get(), is_regular ? kept : UsualMode()) != 0) {
    return ErrnoError(errno, output.unfinished_, "cannot set the mode");
  }
  return output;
}

// In the folder of the target, so that it can take its name; under one that nobody else has.
Result<void> OutputFile::Create() {
  std::string name = path_ + ".part-XXXXXX";
  fd_.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd_) return ErrnoError(errno, path_, "cannot write");
  unfinished_ = name;
  return {};
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

Result<void> PrintText(std::string_view text) {
  ASSIGN_OR_RETURN(OutputFile output, OutputFile::Open(""));
  return output.Write(text);
}

int FlushOutput(int exit_code) {
  errno = 0;
  const bool was_lost = std::ferror(stdout) != 0;
  if (std::fflush(stdout) == 0 && !was_lost) return exit_code;
  return Fail(ErrnoError(errno != 0 ? errno : EIO, "standard output", "cannot write"));
}

}  // namespace idlewatt
