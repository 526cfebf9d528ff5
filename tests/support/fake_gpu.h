#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/fake_tree.h"

namespace idlewatt {

using FakeFiles = std::vector<std::pair<std::string, std::string>>;

// A machine with GPUs: "proc" and "sys" below one folder.
class FakeGpuMachine : public FakeTree {
 public:
  FakeGpuMachine() {
    MakeDir("sys");
    MakeDir("proc/1/fd");
  }
  static std::string Device(const std::string& address) {
    return "sys/bus/pci/devices/" + address + "/";
  }
  // An awake GPU on PCI with its nodes card<number> and renderD<128 + number>.
  void AddGpu(const std::string& address, const std::string& driver, int number,
              const FakeFiles& files = {}) {
    const std::string device = Device(address);
    Write(device + "class", "0x030000\n");
    Write(device + "vendor", "0x1002\n");
    Write(device + "device", "0x73bf\n");
    Write(device + "power/runtime_status", "active\n");
    Link(device + "driver", "../../../bus/pci/drivers/" + driver);
    for (const auto& [file, content] : files) Write(device + file, content + "\n");
    for (const std::string& node :
         {"card" + std::to_string(number), "renderD" + std::to_string(128 + number)}) {
      Link("sys/class/drm/" + node + "/device", PathOf("sys/bus/pci/devices/" + address));
    }
  }
  // Its hwmon chip, shown in class/hwmon too as the kernel does.
  void AddHwmon(const std::string& address, const std::string& chip, const FakeFiles& files,
                const std::string& entry = "hwmon3") {
    const std::string hwmon = Device(address) + "hwmon/" + entry + "/";
    Write(hwmon + "name", chip + "\n");
    for (const auto& [file, content] : files) Write(hwmon + file, content + "\n");
    Link(hwmon + "device", PathOf("sys/bus/pci/devices/" + address));
    if (!Root("sys").Exists("bus/pci/devices/" + address + "/subsystem")) {
      Link(Device(address) + "subsystem", "../../../../bus/pci");
    }
    Link("sys/class/hwmon/" + entry, PathOf("sys/bus/pci/devices/" + address + "/hwmon/" + entry));
  }
  void Sleep(const std::string& address, bool asleep = true) {
    Write(Device(address) + "power/runtime_status", asleep ? "suspended\n" : "active\n");
  }

  // An open descriptor of a process; a second call with the same number changes its fdinfo.
  void Open(int32_t pid, int fd, const std::string& node, std::string_view fdinfo) {
    const std::string process = "proc/" + std::to_string(pid) + "/";
    const std::string number = std::to_string(fd);
    Remove(process + "fd/" + number);
    Link(process + "fd/" + number, "/dev/dri/" + node);
    Write(process + "fdinfo/" + number, fdinfo);
  }
  void Close(int32_t pid, int fd) {
    const std::string process = "proc/" + std::to_string(pid) + "/";
    Remove(process + "fd/" + std::to_string(fd));
    Remove(process + "fdinfo/" + std::to_string(fd));
  }
  void Kill(int32_t pid) { Remove("proc/" + std::to_string(pid)); }
};

// The text of fdinfo of one client.
inline std::string FdinfoText(const std::string& driver, const std::string& address,
                              uint64_t client, const FakeFiles& keys = {}) {
  std::string text = "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1042\ndrm-driver:\t" + driver +
                     "\ndrm-client-id:\t" + std::to_string(client) + "\n";
  if (!address.empty()) text += "drm-pdev:\t" + address + "\n";
  for (const auto& [key, value] : keys) text += "drm-" + key + ":\t" + value + "\n";
  return text;
}

}  // namespace idlewatt
