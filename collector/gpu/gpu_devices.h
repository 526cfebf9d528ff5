#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file_root.h"

namespace idlewatt {

// A GPU of this machine, found without waking it.
struct GpuDevice {
  std::string name;         // "gpu0": the number counts GPUs in the order of their addresses
  std::string pci_address;  // "0000:03:00.0", lower case; empty for one that is not on PCI
  std::string driver;       // "nvidia", "amdgpu", "i915", "xe", ...
  std::string folder;       // its device folder below /sys
};

// Those that a driver of a real GPU has bound; not the display chips of servers' management.
// Source: bus/pci/devices and class/drm below `sys`. Errors: what can't be read is not listed.
std::vector<GpuDevice> FindGpus(const FileRoot& sys);

// True while the device sleeps (runtime power management): to read it would wake it.
bool IsAsleep(const FileRoot& sys, std::string_view device_folder);

}  // namespace idlewatt
