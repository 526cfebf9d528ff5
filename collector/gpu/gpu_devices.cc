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

constexpr std::string_view kPci = "bus/pci/devices";

// The folder of the device behind a node of class/drm.
std::string DeviceFolder(const FileRoot& sys, const std::string& node) {
  const std::string behind = "class/drm/" + node + "/device";
  const std::string device = LinkName(sys, behind);
  const std::string on_pci = std::string(kPci) + "/" + device;
  return !device.empty() && sys.Exists(on_pci) ? on_pci : behind;
}

// The display controllers of PCI class 0x03, and what other devices a card of DRM stands on.
std::set<std::string> DeviceFolders(const FileRoot& sys) {
  std::set<std::string> folders;
  const auto devices = sys.List(kPci);
  for (const std::string& device : devices.value_or(std::vector<std::string>())) {
    const std::string folder = std::string(kPci) + "/" + device;
    const Result<std::string> kind = sys.Read(folder + "/class");
    if (kind && kind->starts_with("0x03")) folders.insert(folder);
  }
  const auto cards = sys.List("class/drm");
  for (const std::string& card : cards.value_or(std::vector<std::string>())) {
    if (IsCard(card)) folders.insert(DeviceFolder(sys, card));
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

std::map<std::string, std::string, std::less<>> DrmNodes(const FileRoot& sys) {
  const auto names = sys.List("class/drm");
  std::map<std::string, std::string, std::less<>> nodes;
  std::map<std::string, std::string, std::less<>> cards;  // by device: those that are not on PCI
  // A card stands before its render node, whose device is named after the card.
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const bool is_render = name.starts_with("renderD");
    if (!IsCard(name) && !is_render) continue;
    const std::string device = LinkName(sys, "class/drm/" + name + "/device");
    std::string folder = DeviceFolder(sys, name);
    const auto card = cards.find(device);
    if (is_render && card != cards.end()) folder = card->second;
    if (!is_render && !device.empty()) cards.emplace(device, folder);
    nodes.emplace(name, std::move(folder));
  }
  return nodes;
}

std::string PciIds(const FileRoot& sys, const std::string& device_folder) {
  std::string ids;
  for (const char* file : {"/vendor", "/device"}) {
    const Result<std::string> id = sys.Read(device_folder + file);
    if (!id || !Trim(*id).starts_with("0x")) return "";
    ids += (ids.empty() ? "" : ":") + ToValidUtf8(Trim(*id).substr(2));
  }
  return ids;
}

bool IsAsleep(const FileRoot& sys, std::string_view device_folder) {
  const Result<std::string> status = sys.Read(std::string(device_folder) + "/power/runtime_status");
  return status && Trim(*status) == "suspended";
}

}  // namespace idlewatt
