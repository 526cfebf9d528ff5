#include "collector/gpu/gpu_board.h"

#include <utility>

namespace idlewatt {

void GpuBoard::Publish(std::string_view sampler, std::vector<GpuClient> clients) {
  const MutexLock lock(mutex_);
  clients_.insert_or_assign(std::string(sampler), std::move(clients));
}

std::vector<GpuClient> GpuBoard::Clients() const {
  const MutexLock lock(mutex_);
  std::vector<GpuClient> all;
  for (const auto& [sampler, clients] : clients_) {
    all.insert(all.end(), clients.begin(), clients.end());
  }
  return all;
}

}  // namespace idlewatt
