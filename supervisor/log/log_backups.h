#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "supervisor/log/log_compressor.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

// What one log was rotated to: PATH.1 (newest), PATH.2 ..., compressed ones PATH.1.gz and so on.
// A backup is compressed under a temporary name and takes its place in one step, wherever rotations
// have moved it meanwhile; a daemon that is killed leaves at most PATH.tmp, which the next removes.
// One backup at a time is compressed, the newest first: when a log floods faster than gzip can
// follow, its backups go as they are.
// Errors:  none reach the caller; the first failure to compress is logged until it works again.
// Threads: supervisor loop only.
class LogBackups {
 public:
  // `compressor` may be null: then nothing is compressed; else it must outlive this object.
  LogBackups(std::string path, const ServiceSpec::Log& options, LogCompressor* compressor);
  LogBackups(const LogBackups&) = delete;
  LogBackups& operator=(const LogBackups&) = delete;

  // Takes effect at the next Rotate or Tidy.
  void Configure(const ServiceSpec::Log& options) { options_ = options; }

  // Moves each backup on by one and PATH to PATH.1, and tidies.
  void Rotate();
  // Removes what is too old, too many, or half done, and begins to compress. Only files with one of
  // the names above are touched, and numbers above kMaxNumber are not ours.
  void Tidy();
  // Removes all backups.
  void DeleteAll();

  static constexpr int kMaxNumber = 1'000;

 private:
  struct Backup {
    int number = 0;
    bool compressed = false;
    std::string path;
  };

  std::string PathOf(int number, bool compressed) const;
  std::vector<Backup> List() const;
  bool IsUseless(const Backup& backup, const std::vector<Backup>& all) const;
  void CompressNewest();
  void OnCompressed(const Result<void>& result);
  Result<void> TakePlace();

  const std::string path_;
  const std::string temporary_;  // what task_ writes
  LogCompressor* const compressor_;
  ServiceSpec::Log options_;

  LogCompressor::Task task_;
  std::pair<dev_t, ino_t> source_;  // the backup that task_ reads
  bool failed_ = false;             // the last task that could be done
};

}  // namespace idlewatt
