#pragma once

#include <map>
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

// The nodes below /dev/dri by name ("card0", "renderD128"), each with the folder of its device as
// GpuDevice::folder gives it. Also those of devices that FindGpus does not list.
std::map<std::string, std::string, std::less<>> DrmNodes(const FileRoot& sys);

// "1002:73bf", the PCI ids of a device; empty for one that has none. Does not wake it.
std::string PciIds(const FileRoot& sys, const std::string& device_folder);

// True while the device sleeps (runtime power management): to read it would wake it.
bool IsAsleep(const FileRoot& sys, std::string_view device_folder);

}  // namespace idlewatt
