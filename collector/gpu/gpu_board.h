#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace idlewatt {

// What one process holds and uses of one GPU.
struct GpuClient {
  int32_t pid = 0;
  std::string gpu;          // "gpu0", as in GpuDevice::name
  double memory_bytes = 0;  // of the GPU's own memory, held now; NaN: the driver does not say
  double busy_seconds = 0;  // of its engines; a counter that starts when the sampler first sees it
};

// Where the GPU samplers, which run on lanes, leave what processes use, and where the process
// sampler, which knows whose process it is, takes it.
// Threads: any.
class GpuBoard {
 public:
  // Replaces what `sampler` left before.
  void Publish(std::string_view sampler, std::vector<GpuClient> clients);
  // Of all samplers together.
  std::vector<GpuClient> Clients() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::vector<GpuClient>, std::less<>> clients_ GUARDED_BY(mutex_);
};

}  // namespace idlewatt
