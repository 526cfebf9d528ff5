#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// One TCP connection at the side of a service, as SOCK_DIAG shows it.
struct TcpConnection {
  std::string key;      // addresses and ports, the service's side first
  uint64_t cookie = 0;  // of the service's socket; of no meaning when `ended`
  uint16_t port = 0;    // the service's
  bool established = false;
  bool ended = false;      // only what it leaves in TIME_WAIT is there: its bytes are not known
  uint64_t bytes_in = 0;   // received by the service
  uint64_t bytes_out = 0;  // sent by it and acknowledged
  // Since data last came or went, and before there was any, since it was established.
  std::optional<std::chrono::milliseconds> last_data{};
};

// One look at the connections of some ports, without those of our own probes.
struct TcpListing {
  std::vector<TcpConnection> connections;
  // Those that came to their end since the look before, with their last bytes; listed before, or
  // come and gone in between.
  std::vector<TcpConnection> destroyed{};
  // Were all told of? Then nothing has to be guessed from TIME_WAIT.
  bool all_ends_told = false;
  // Why the kernel's messages are not there; nothing when they are, even if some were lost.
  std::optional<Error> untold{};
};

}  // namespace idlewatt
