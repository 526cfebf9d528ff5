#include "collector/socket_sampler.h"

#include <algorithm>
#include <array>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 4> kMetrics{
    &metrics::kServiceConnections, &metrics::kServiceLastData, &metrics::kServiceConnectionsSeen,
    &metrics::kServiceNetworkBytes};

}  // namespace

const SamplerInfo& SocketSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "sockets", "TCP connections and bytes on the ports of the services", false, kMetrics};
  return kInfo;
}

SocketSampler::SocketSampler(std::vector<WatchedService> watched, ServiceDirectory* directory,
                             Lister lister)
    : watched_(std::move(watched)), directory_(directory), lister_(std::move(lister)) {}

std::map<uint16_t, std::string> SocketSampler::Ports() const {
  std::map<uint16_t, std::string> ports;
  for (const WatchedService& service : watched_) {
    if (service.port) ports.emplace(*service.port, service.name);
  }
  if (directory_ == nullptr) return ports;
  for (const SupervisedRoot& root : directory_->Roots()) {
    if (root.port) ports[*root.port] = root.name;
  }
  return ports;
}

Result<void> SocketSampler::Read(TimePoint now, Readings& out) {
  const std::map<uint16_t, std::string> ports = Ports();
  if (ports.empty()) {
    // Not a failure: the next service that starts may have one.
    out.AddSource("sockets",
                  "nothing: no running service has a port (set port in [[service]] or [[watch]])");
    return {};
  }
  std::vector<uint16_t> numbers;
  numbers.reserve(ports.size());
  for (const auto& [port, service] : ports) numbers.push_back(port);
  ASSIGN_OR_RETURN(const TcpListing listing, lister_(numbers));
  ledger_.Take(now.boot, listing,
               [&](uint16_t port) -> ConnectionTotals& { return totals_[ports.at(port)]; });
  struct Now {
    int established = 0;
    std::optional<std::chrono::milliseconds> last_data;
  };
  std::map<std::string, Now> services;
  for (const auto& [port, service] : ports) services[service] = {};
  for (const TcpConnection& connection : listing.connections) {
    if (!connection.established) continue;
    Now& service = services[ports.at(connection.port)];
    ++service.established;
    if (!connection.last_data) continue;
    service.last_data =
        std::min(service.last_data.value_or(*connection.last_data), *connection.last_data);
  }
  for (const auto& [service, current] : services) {
    ConnectionTotals& totals = totals_[service];
    totals.known = true;
    out.Add(metrics::kServiceConnections, {service}, current.established);
    out.Add(metrics::kServiceConnectionsSeen, {service}, static_cast<double>(totals.seen));
    out.Add(metrics::kServiceNetworkBytes, {service, "in"}, static_cast<double>(totals.bytes_in));
    out.Add(metrics::kServiceNetworkBytes, {service, "out"}, static_cast<double>(totals.bytes_out));
    if (current.last_data) {
      out.Add(metrics::kServiceLastData, {service}, ToSeconds(*current.last_data));
    }
  }
  AddSources(listing, ports.size(), out);
  return {};
}

void SocketSampler::AddSources(const TcpListing& listing, size_t ports, Readings& out) {
  const std::string gives = "connections of " + std::to_string(ports) + " ports; short ones by ";
  if (!listing.untold) {
    out.AddSource("sockets", gives + "the kernel's messages of their end");
    return;
  }
  out.AddSource("sockets", gives + "what they leave in TIME_WAIT");
  const bool permission = listing.untold->code == ErrorCode::kPermission;
  out.AddRefused(
      "sockets:ends", "connections shorter than a tick, whoever ends them; their last bytes",
      *listing.untold, permission ? "setcap cap_net_admin+ep $(command -v idlewatt)" : "");
}

}  // namespace idlewatt
