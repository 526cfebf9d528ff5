#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file_root.h"
#include "collector/proc_text.h"
#include "collector/process/process_backend.h"

namespace idlewatt {

// Bytes read from and written to storage.
struct IoBytes {
  double read = 0;
  double written = 0;
};

// Bytes of some processes since they were read last. A process that is waited for leaves its bytes
// to its parent, as with CPU time; here the parent's own and inherited ones come as one number.
// Source:  PID/io below `proc`, of those processes alone.
// Errors:  nothing of a process that can't be read.
// Threads: one.
// Owns:    nothing; `proc` must outlive this object.
class IoAccounting {
 public:
  explicit IoAccounting(const FileRoot& proc) : proc_(proc) {}

  // One entry for each process, in the same order; nothing for those that are not marked. For one
  // that is new it holds what it used since its start.
  std::vector<std::optional<IoBytes>> Read(const std::vector<Process>& processes,
                                           const std::vector<bool>& marked);

 private:
  struct Known {
    uint64_t start = 0;
    PidIo io;
    int32_t parent = 0;
    bool seen = false;
  };

  // What was counted of processes that are gone, by the nearest ancestor that still lives.
  std::unordered_map<int32_t, PidIo> Inherited() const;

  const FileRoot& proc_;
  std::string buffer_;  // reused
  std::unordered_map<int32_t, Known> known_;
};

}  // namespace idlewatt
