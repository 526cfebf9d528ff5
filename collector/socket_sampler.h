#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "collector/connection_ledger.h"
#include "collector/sampler.h"
#include "collector/service_directory.h"
#include "collector/tcp_connection.h"

namespace idlewatt {

// Connections and bytes on the ports of the services: is anybody using them?
// Source:  NETLINK_SOCK_DIAG with tcp_info, IPv4 and IPv6; needs no right. A connection that came
//          and went between two reads is told of by the kernel at its end. Where it does not tell,
//          it shows as TIME_WAIT, on the service's side or, for clients on this machine, on theirs.
//          Our own probes (base/own_address.h) are left out.
// Units:   bytes, counts, and seconds since data last came or went.
// Errors:  of netlink: the read fails. No service with a port: a refused source, and no values.
//          No messages of ends: a refused source of its own; the rest is given.
// Threads: sampler thread only.
// Owns:    two netlink sockets.
class SocketSampler final : public Sampler {
 public:
  // Looks at the connections whose near port is in `ports` (sorted).
  using Lister = std::function<Result<TcpListing>(const std::vector<uint16_t>& ports)>;

  // `directory` may be null and must outlive this object.
  SocketSampler(std::vector<WatchedService> watched, ServiceDirectory* directory, Lister lister);
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  std::map<uint16_t, std::string> Ports() const;
  static void AddSources(const TcpListing& listing, size_t ports, Readings& out);

  const std::vector<WatchedService> watched_;
  ServiceDirectory* const directory_;
  const Lister lister_;
  std::map<std::string, ConnectionTotals> totals_;  // by service
  ConnectionLedger ledger_;
};

struct SockDiagOptions {
  bool watch_ends = true;  // false: as where the kernel does not tell of them
  // For messages of ends that wait for the next look; about 1 KB each. More are lost.
  int receive_bytes = 1 << 20;
};

// The lister that asks this machine's kernel.
SocketSampler::Lister MakeSockDiagLister(SockDiagOptions options = {});

}  // namespace idlewatt
