#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "collector/sampler.h"
#include "collector/service_directory.h"

namespace idlewatt {

// One TCP connection at the side of a service, as SOCK_DIAG shows it.
struct TcpConnection {
  std::string key;    // addresses and ports, the service's side first
  uint16_t port = 0;  // the service's
  bool established = false;
  bool ended = false;      // or not begun: its bytes are not known
  uint64_t bytes_in = 0;   // received by the service
  uint64_t bytes_out = 0;  // sent by it and acknowledged
};

// Connections and bytes on the ports of the services: is anybody using them?
// Source:  NETLINK_SOCK_DIAG with tcp_info, IPv4 and IPv6; needs no right. A connection that came
//          and went between two reads shows as TIME_WAIT, on the service's side or, for clients
//          on this machine, on theirs.
// Units:   bytes and counts.
// Errors:  of netlink: the read fails. No service with a port: a refused source, and no values.
// Threads: sampler thread only.
// Owns:    one netlink socket.
class SocketSampler final : public Sampler {
 public:
  // Lists the connections whose near port is in `ports` (sorted).
  using Lister =
      std::function<Result<std::vector<TcpConnection>>(const std::vector<uint16_t>& ports)>;

  // `directory` may be null and must outlive this object.
  SocketSampler(std::vector<WatchedService> watched, ServiceDirectory* directory, Lister lister);
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  struct Totals {
    uint64_t seen = 0;
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    bool known = false;  // its connections were listed before
  };
  struct Known {
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    bool listed = false;
  };

  std::map<uint16_t, std::string> Ports() const;
  void Account(const TcpConnection& connection, Totals& totals);

  const std::vector<WatchedService> watched_;
  ServiceDirectory* const directory_;
  const Lister lister_;
  std::map<std::string, Totals> totals_;  // by service
  std::unordered_map<std::string, Known> connections_;
};

// Appends the connections in one answer of NETLINK_SOCK_DIAG to `out`: those whose near port is in
// `ports` (sorted), and what TIME_WAIT shows of them. True when the answer says that it is the
// last; an error when it says so. `messages` must be aligned as nlmsghdr is.
Result<bool> TakeSockDiagMessages(std::string_view messages, const std::vector<uint16_t>& ports,
                                  std::vector<TcpConnection>& out);

// The lister that asks this machine's kernel.
SocketSampler::Lister MakeSockDiagLister();

}  // namespace idlewatt
