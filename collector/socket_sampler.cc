#include "collector/socket_sampler.h"

#include <algorithm>
#include <array>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 3> kMetrics{&metrics::kServiceConnections,
                                                &metrics::kServiceConnectionsSeen,
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

Result<void> SocketSampler::Read(TimePoint /*now*/, Readings& out) {
  const std::map<uint16_t, std::string> ports = Ports();
  if (ports.empty()) {
    // Not a failure: the next service that starts may have one.
    out.AddRefused("sockets", "connections and bytes on the ports of the services",
                   Error{ErrorCode::kNoData, "sockets", 0, "no running service has a port set"},
                   "set port in [[service]] or [[watch]]");
    return {};
  }
  std::vector<uint16_t> numbers;
  numbers.reserve(ports.size());
  for (const auto& [port, service] : ports) numbers.push_back(port);
  ASSIGN_OR_RETURN(const std::vector<TcpConnection> listed, lister_(numbers));
  for (auto& [key, known] : connections_) known.listed = false;
  std::map<std::string, int> established;
  for (const auto& [port, service] : ports) established[service] = 0;
  for (const TcpConnection& connection : listed) {
    const std::string& service = ports.at(connection.port);
    Account(connection, totals_[service]);
    if (connection.established) ++established[service];
  }
  std::erase_if(connections_, [](const auto& item) { return !item.second.listed; });
  for (const auto& [service, count] : established) {
    Totals& totals = totals_[service];
    totals.known = true;
    out.Add(metrics::kServiceConnections, {service}, count);
    out.Add(metrics::kServiceConnectionsSeen, {service}, static_cast<double>(totals.seen));
    out.Add(metrics::kServiceNetworkBytes, {service, "in"}, static_cast<double>(totals.bytes_in));
    out.Add(metrics::kServiceNetworkBytes, {service, "out"}, static_cast<double>(totals.bytes_out));
  }
  out.AddSource("sockets", "connections of " + std::to_string(ports.size()) + " ports");
  return {};
}

void SocketSampler::Account(const TcpConnection& connection, Totals& totals) {
  const auto [it, added] = connections_.try_emplace(connection.key);
  Known& known = it->second;
  known.listed = true;
  if (added && !totals.known) {
    // There before we were: what it carried so far is not ours to count.
    known = {connection.bytes_in, connection.bytes_out, true};
    return;
  }
  if (added) ++totals.seen;
  if (connection.ended) return;
  // A smaller number is another connection between the same addresses and ports.
  if (connection.bytes_in < known.bytes_in || connection.bytes_out < known.bytes_out) {
    ++totals.seen;
    known = {0, 0, true};
  }
  totals.bytes_in += connection.bytes_in - known.bytes_in;
  totals.bytes_out += connection.bytes_out - known.bytes_out;
  known = {connection.bytes_in, connection.bytes_out, true};
}

}  // namespace idlewatt
