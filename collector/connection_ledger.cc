#include "collector/connection_ledger.h"

#include <string_view>
#include <unordered_set>

namespace idlewatt {
namespace {

// The message of an end may come later than the socket left the list, and than what it leaves
// shows there: the kernel sends it from a thread of its own, usually within a millisecond.
constexpr std::chrono::seconds kForgetAfter{10};
constexpr std::chrono::seconds kToldAfter{1};

template <typename Socket>
void AddGrowth(const TcpConnection& now, Socket& before, ConnectionTotals& totals) {
  // A socket that was reset has forgotten what it carried.
  if (now.bytes_in > before.bytes_in) {
    totals.bytes_in += now.bytes_in - before.bytes_in;
    before.bytes_in = now.bytes_in;
  }
  if (now.bytes_out > before.bytes_out) {
    totals.bytes_out += now.bytes_out - before.bytes_out;
    before.bytes_out = now.bytes_out;
  }
}

}  // namespace

void ConnectionLedger::Take(BootTime now, const TcpListing& listing, const TotalsOf& totals_of) {
  for (auto& [cookie, socket] : sockets_) {
    if (!socket.gone_since) socket.gone_since = now;
  }
  for (const TcpConnection& connection : listing.connections) {
    if (!connection.ended) TakeListed(connection, totals_of(connection.port));
  }
  for (const TcpConnection& connection : listing.destroyed) {
    TakeDestroyed(now, connection, totals_of(connection.port));
  }
  TakeRemains(now, listing, totals_of);
  std::erase_if(sockets_, [&](const auto& item) {
    return item.second.gone_since && now - *item.second.gone_since >= kForgetAfter;
  });
}

void ConnectionLedger::TakeListed(const TcpConnection& connection, ConnectionTotals& totals) {
  const auto [it, added] = sockets_.try_emplace(connection.cookie);
  Socket& socket = it->second;
  socket.gone_since.reset();
  if (added) {
    socket.key = connection.key;
    if (!totals.known) {
      socket.bytes_in = connection.bytes_in;
      socket.bytes_out = connection.bytes_out;
      return;
    }
    ++totals.seen;
  }
  AddGrowth(connection, socket, totals);
}

void ConnectionLedger::TakeDestroyed(BootTime now, const TcpConnection& connection,
                                     ConnectionTotals& totals) {
  if (!totals.known) return;
  const auto [it, added] = sockets_.try_emplace(connection.cookie);
  if (added) {
    it->second.key = connection.key;
    it->second.gone_since = now;
    const auto remains = remains_.find(connection.key);
    if (remains != remains_.end() && remains->second.counted) {
      remains->second.counted = false;  // the next of the same ports is another one
    } else {
      ++totals.seen;
    }
  }
  AddGrowth(connection, it->second, totals);
}

// Those that are not told of are counted by what they leave, unless they are known otherwise. When
// messages were lost, that may be the one of what showed a look before.
void ConnectionLedger::TakeRemains(BootTime now, const TcpListing& listing,
                                   const TotalsOf& totals_of) {
  for (auto& [key, remains] : remains_) remains.listed = false;
  std::unordered_set<std::string_view> known;
  for (const auto& [cookie, socket] : sockets_) known.insert(socket.key);
  for (const TcpConnection& connection : listing.connections) {
    if (!connection.ended) continue;
    Remains& remains = remains_.try_emplace(connection.key, Remains{now}).first->second;
    remains.listed = true;
    if (remains.settled) continue;
    ConnectionTotals& totals = totals_of(connection.port);
    if (totals.known && !listing.all_ends_told && !known.contains(connection.key)) {
      ++totals.seen;
      remains.counted = true;
    }
    remains.settled = !totals.known || !listing.all_ends_told || known.contains(connection.key) ||
                      now - remains.first_seen >= kToldAfter;
  }
  std::erase_if(remains_, [](const auto& item) { return !item.second.listed; });
}

}  // namespace idlewatt
