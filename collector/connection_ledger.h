#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "collector/tcp_connection.h"

namespace idlewatt {

// What the connections of one service added up to.
struct ConnectionTotals {
  uint64_t seen = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  bool known = false;  // its connections were looked at before; what is there already is not ours
};

// Counts every connection once, and every byte once, whatever the order in which a connection shows
// itself: in a list, by what it leaves in TIME_WAIT on either side, by the message of its end.
// A socket is known by its cookie while it lives and at its end. What stays in TIME_WAIT is known
// by addresses and ports only, and counts only where ends are not told of, or some were lost.
// Threads: one.
class ConnectionLedger {
 public:
  using TotalsOf = std::function<ConnectionTotals&(uint16_t port)>;

  void Take(BootTime now, const TcpListing& listing, const TotalsOf& totals_of);

 private:
  struct Socket {
    std::string key;
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    std::optional<BootTime> gone_since;  // the first look that did not list it
  };
  struct Remains {
    BootTime first_seen;
    bool settled = false;  // nothing is to be counted any more
    bool counted = false;  // as a connection that came and went; its end may still be told of
    bool listed = true;
  };

  void TakeListed(const TcpConnection& connection, ConnectionTotals& totals);
  void TakeDestroyed(BootTime now, const TcpConnection& connection, ConnectionTotals& totals);
  void TakeRemains(BootTime now, const TcpListing& listing, const TotalsOf& totals_of);

  std::unordered_map<uint64_t, Socket> sockets_;      // by cookie
  std::unordered_map<std::string, Remains> remains_;  // by key
};

}  // namespace idlewatt
