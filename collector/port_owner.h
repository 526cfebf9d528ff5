#pragma once

#include <cstdint>
#include <functional>
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

// One that `is_wanted` takes, else the oldest, else nothing. Newest processes are looked at first,
// so a server that was started just now is found in a fraction of the time.
std::optional<int32_t> FindPortOwner(const FileRoot& proc, uint16_t port,
                                     const std::function<bool(int32_t pid)>& is_wanted);

// True when `pid` still listens on `port`: a look at its own descriptors only.
bool IsPortOwner(const FileRoot& proc, int32_t pid, uint16_t port);

}  // namespace idlewatt
