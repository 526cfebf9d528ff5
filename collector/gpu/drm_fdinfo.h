#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace idlewatt {

// What one client of a GPU used of one engine class, since it opened the device.
struct DrmEngine {
  std::optional<uint64_t> busy_ns;
  // Of a clock that is not known; their growths tell the share of time that was busy.
  std::optional<uint64_t> cycles;
  std::optional<uint64_t> total_cycles;
  uint32_t capacity = 1;  // engines in the class
};

// One open descriptor of a GPU: /proc/PID/fdinfo/N, kernel Documentation/gpu/drm-usage-stats.rst.
struct DrmFdinfo {
  std::string driver;
  std::string pdev;        // PCI address; empty for a device that is not on PCI
  uint64_t client_id = 0;  // shared by all descriptors of one client
  std::map<std::string, DrmEngine, std::less<>> engines;
  std::map<std::string, double, std::less<>> memory_bytes;  // held now, by region

  // What is held of the memory that the GPU has for itself: not of the machine's.
  double OwnMemoryBytes() const;
};

// Nothing when the text names no driver or no client: it is no descriptor of a GPU, or the kernel
// is too old. A key that is not known, or whose value makes no sense, is left out alone.
std::optional<DrmFdinfo> ParseDrmFdinfo(std::string_view text);

}  // namespace idlewatt
