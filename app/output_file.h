#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// Where a command writes: standard output, or a file that has its name only once it is whole. What
// is not finished leaves nothing behind, and a file that was there stays as it was; the one that
// takes its place has its mode.
// Threads: one.
// Owns:    the unfinished file, FILE.part-XXXXXX.
class OutputFile {
 public:
  // An empty `path` is standard output. A device or a pipe is written to as it is.
  static Result<OutputFile> Open(const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Result<void> Write(std::string_view text);
  // Gives it its name.
  Result<void> Finish();

 private:
  OutputFile() = default;
  Result<void> Create();

  std::string path_;        // empty: standard output
  std::string unfinished_;  // what is written has this name until it is whole
  UniqueFd fd_;
};

// To standard output at once; for a command whose answer is one text.
Result<void> PrintText(std::string_view text);

// Writes what stdio still holds for standard output, as a program does last: a full disk shows no
// earlier. Gives `exit_code`, or says that what was printed is lost and gives kExitFailed.
int FlushOutput(int exit_code);

}  // namespace idlewatt
