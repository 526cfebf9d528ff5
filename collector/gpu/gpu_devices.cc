#include "collector/gpu/gpu_devices.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr std::array<std::string_view, 8> kDrivers{"nvidia",  "amdgpu", "i915",     "xe",
                                                   "nouveau", "radeon", "panfrost", "msm"};

std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string LinkName(const FileRoot& sys, const std::string& path) {
  const Result<std::string> link = sys.ReadLink(path);
  return link ? std::string(LastPart(*link)) : "";
}

bool IsCard(std::string_view name) {
  return name.starts_with("card") && ParseNumber<int>(name.substr(4)).has_value();
}

// The display controllers of PCI class 0x03, and what other devices a card of DRM stands on.
std::set<std::string> DeviceFolders(const FileRoot& sys) {
  constexpr std::string_view kPci = "bus/pci/devices";
  std::set<std::string> folders;
  const auto devices = sys.List(kPci);
  for (const std::string& device : devices.value_or(std::vector<std::string>())) {
    const std::string folder = std::string(kPci) + "/" + device;
    const Result<std::string> kind = sys.Read(folder + "/class");
    if (kind && kind->starts_with("0x03")) folders.insert(folder);
  }
  const auto cards = sys.List("class/drm");
  for (const std::string& card : cards.value_or(std::vector<std::string>())) {
    if (!IsCard(card)) continue;
    const std::string device = LinkName(sys, "class/drm/" + card + "/device");
    const std::string on_pci = std::string(kPci) + "/" + device;
    const bool is_pci = !device.empty() && sys.Exists(on_pci);
    folders.insert(is_pci ? on_pci : "class/drm/" + card + "/device");
  }
  return folders;
}

}  // namespace

std::vector<GpuDevice> FindGpus(const FileRoot& sys) {
  std::vector<GpuDevice> gpus;
  for (const std::string& folder : DeviceFolders(sys)) {
    const std::string driver = LinkName(sys, folder + "/driver");
    if (std::find(kDrivers.begin(), kDrivers.end(), driver) == kDrivers.end()) continue;
    std::string address = folder.starts_with("bus/pci/") ? std::string(LastPart(folder)) : "";
    if (address.empty() && LinkName(sys, folder + "/subsystem") == "pci") {
      address = LinkName(sys, folder);
    }
    gpus.push_back({"gpu" + std::to_string(gpus.size()), std::move(address), driver, folder});
  }
  return gpus;
}

bool IsAsleep(const FileRoot& sys, std::string_view device_folder) {
  const Result<std::string> status = sys.Read(std::string(device_folder) + "/power/runtime_status");
  return status && Trim(*status) == "suspended";
}

}  // namespace idlewatt
