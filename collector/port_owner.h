#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/file_root.h"
#include "base/result.h"

namespace idlewatt {

// A process that listens on TCP `port` of any address; nothing when nobody does or when its
// descriptors may not be read. Looks through the descriptors of every process: tens of
// milliseconds on a busy machine.
// Source:  net/tcp, net/tcp6, PID/fd below `proc`.
std::optional<int32_t> FindPortOwner(const FileRoot& proc, uint16_t port);

// All of them: a server's workers hold its socket too.
std::vector<int32_t> FindPortOwners(const FileRoot& proc, uint16_t port);

// True when `pid` still listens on `port`: a look at its own descriptors only.
bool IsPortOwner(const FileRoot& proc, int32_t pid, uint16_t port);

}  // namespace idlewatt
