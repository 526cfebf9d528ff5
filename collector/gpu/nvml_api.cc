#include "collector/gpu/nvml_api.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr std::array<size_t, 3> kEntrySizes{16, 24, 32};  // nvmlProcessInfo_v1_t, v2, that of 535
constexpr std::byte kFill{0xA5};
// More processes on one GPU than this are a broken count.
constexpr size_t kMostEntries = 65'536;
constexpr int kTemperatureOfGpu = 0;  // NVML_TEMPERATURE_GPU

template <typename... P, typename... A>
NvmlReturn Call(NvmlReturn (*function)(P...), A... arguments) {
  return function != nullptr ? function(arguments...) : NvmlReturn::kFunctionNotFound;
}

// The text that `write(buffer, size)`, an NVML call, gives; it need not be ended by a NUL.
template <typename F>
std::string TextOf(const F& write) {
  std::array<char, 96> text{};
  if (write(text.data(), static_cast<unsigned>(text.size())) != NvmlReturn::kSuccess) return "";
  return ToValidUtf8({text.data(), ::strnlen(text.data(), text.size())});
}

std::string DlError() {
  const char* text = ::dlerror();
  return text != nullptr ? text : "unknown error";
}

bool IsHex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Asks `function(entries, count)`, an NVML call that fills an array, with more room until it is
// enough. Processes come and go, so the count that was told may be too small again.
template <typename F>
NvmlReturn WithRoom(const F& function) {
  unsigned room = 64;
  for (int attempt = 0; attempt < 4; ++attempt) {
    unsigned count = room;
    const NvmlReturn code = function(room, count);
    if (code != NvmlReturn::kInsufficientSize) return code;
    if (count > kMostEntries) return code;
    room = std::max(count, room) * 2;
  }
  return NvmlReturn::kInsufficientSize;
}

}  // namespace

bool NvmlHasNoValue(NvmlReturn code) {
  return code == NvmlReturn::kNotSupported || code == NvmlReturn::kFunctionNotFound ||
         code == NvmlReturn::kNotFound || code == NvmlReturn::kNoData;
}

std::string PciAddressOf(std::string_view bus_id) {
  std::string text(bus_id);
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const size_t colon = text.find(':');
  if (colon > 8) return "";  // nor is there one
  std::string domain = text.substr(0, colon);
  const std::string rest = text.substr(colon + 1);  // "01:00.0"
  if (!IsHex(domain) || rest.size() != 7 || rest[2] != ':' || rest[5] != '.') return "";
  if (!IsHex(rest.substr(0, 2)) || !IsHex(rest.substr(3, 2)) || !IsHex(rest.substr(6))) return "";
  // /sys writes four digits, more only where they are needed.
  while (domain.size() > 4 && domain[0] == '0') domain.erase(0, 1);
  domain.insert(0, 4 - std::min<size_t>(domain.size(), 4), '0');
  return domain + ":" + rest;
}

std::vector<NvmlProcess> ParseNvmlProcesses(std::span<const std::byte> buffer, size_t count,
                                            size_t entry_size, std::byte fill) {
  size_t written = buffer.size();
  while (written > 0 && buffer[written - 1] == fill) --written;
  for (const size_t size : kEntrySizes) {
    if (written == count * size) entry_size = size;
  }
  std::vector<NvmlProcess> processes;
  for (size_t at = 0; processes.size() < count && at + entry_size <= buffer.size();
       at += entry_size) {
    NvmlProcess& process = processes.emplace_back();
    std::memcpy(&process.pid, &buffer[at], sizeof process.pid);
    std::memcpy(&process.memory_bytes, &buffer[at + 8], sizeof process.memory_bytes);
  }
  return processes;
}

Result<std::unique_ptr<NvmlApi>> NvmlApi::Load(const std::string& library) {
  void* const handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (handle == nullptr) {
    const std::string text = DlError();
    const bool absent = text.starts_with(library + ": cannot open shared object file: No such");
    if (absent) return Error{ErrorCode::kNoData, library, 0, "is not there"};
    return Error{ErrorCode::kNoData, library, 0, "can't be loaded: " + text};
  }
  std::unique_ptr<NvmlApi> api(new NvmlApi(handle));
  if (api->init_ == nullptr || api->shutdown_ == nullptr || api->count_ == nullptr ||
      api->by_index_ == nullptr) {
    return Error{ErrorCode::kNoData, library, 0, "is no NVML, or one from before 2013"};
  }
  return api;
}

NvmlApi::NvmlApi(void* library) : library_(library) {
  Find(init_, "nvmlInit_v2");
  Find(shutdown_, "nvmlShutdown");
  Find(error_string_, "nvmlErrorString");
  Find(driver_version_, "nvmlSystemGetDriverVersion");
  Find(count_, "nvmlDeviceGetCount_v2");
  Find(by_index_, "nvmlDeviceGetHandleByIndex_v2");
  Find(by_pci_, "nvmlDeviceGetHandleByPciBusId_v2");
  Find(pci_info_, "nvmlDeviceGetPciInfo_v3");
  Find(uuid_, "nvmlDeviceGetUUID");
  Find(name_, "nvmlDeviceGetName");
  Find(power_, "nvmlDeviceGetPowerUsage");
  Find(energy_, "nvmlDeviceGetTotalEnergyConsumption");
  Find(utilization_, "nvmlDeviceGetUtilizationRates");
  Find(temperature_, "nvmlDeviceGetTemperature");
  Find(memory_v1_, "nvmlDeviceGetMemoryInfo");
  Find(memory_v2_, "nvmlDeviceGetMemoryInfo_v2");
  Find(samples_, "nvmlDeviceGetProcessUtilization");
  Find(mig_mode_, "nvmlDeviceGetMigMode");
  Find(mig_limit_, "nvmlDeviceGetMaxMigDeviceCount");
  Find(mig_device_, "nvmlDeviceGetMigDeviceHandleByIndex");
  compute_entry_ = FindProcesses(compute_, "nvmlDeviceGetComputeRunningProcesses");
  graphics_entry_ = FindProcesses(graphics_, "nvmlDeviceGetGraphicsRunningProcesses");
}

NvmlApi::~NvmlApi() { ::dlclose(library_); }

template <typename F>
void NvmlApi::Find(F& function, const char* name) const {
  function = reinterpret_cast<F>(::dlsym(library_, name));
}

// The newest version that the library has; gives the size of its entries.
size_t NvmlApi::FindProcesses(ProcessesFunction& function, const std::string& name) const {
  for (const char* version : {"_v3", "_v2"}) {
    Find(function, (name + version).c_str());
    if (function != nullptr) return kEntrySizes[1];
  }
  Find(function, name.c_str());
  return kEntrySizes[0];
}

NvmlReturn NvmlApi::Init() const { return init_(); }

NvmlReturn NvmlApi::Shutdown() const { return shutdown_(); }

NvmlFault NvmlApi::Explain(NvmlReturn code, std::string subject) const {
  const auto fault = [&](ErrorCode kind, std::string text, std::string remedy) {
    return NvmlFault{Error{kind, std::move(subject), 0, std::move(text)}, std::move(remedy)};
  };
  switch (code) {
    case NvmlReturn::kNotSupported:
    case NvmlReturn::kFunctionNotFound:
    case NvmlReturn::kNoData:
      return fault(ErrorCode::kNoData, "not supported by this GPU or its driver", "");
    case NvmlReturn::kNotFound:
      return fault(ErrorCode::kNoData, "is not known to the NVIDIA driver", "");
    case NvmlReturn::kNoPermission:
      return fault(ErrorCode::kPermission, "the NVIDIA driver refuses us",
                   "let idlewatt read and write /dev/nvidia* (and /dev/nvidia-caps/* for MIG)");
    case NvmlReturn::kDriverNotLoaded:
      return fault(ErrorCode::kNoData, "the NVIDIA driver is not loaded", "modprobe nvidia");
    case NvmlReturn::kVersionMismatch:
      return fault(ErrorCode::kNoData, "library and loaded driver are of different versions",
                   "restart after the driver update");
    case NvmlReturn::kGpuIsLost:
      return fault(ErrorCode::kGone, "the GPU is lost: it does not answer any more",
                   "look for Xid in the kernel's log; a restart brings it back");
    case NvmlReturn::kResetRequired:
      return fault(ErrorCode::kGone, "the GPU must be reset",
                   "nvidia-smi --gpu-reset, or a restart");
    default: {
      const char* text = error_string_ != nullptr ? error_string_(code) : nullptr;
      return fault(ErrorCode::kTransient,
                   "NVML error " + std::to_string(static_cast<int>(code)) +
                       (text != nullptr ? " (" + ToValidUtf8(text) + ")" : ""),
                   "");
    }
  }
}

std::string NvmlApi::DriverVersion() const {
  return TextOf([&](char* text, unsigned size) { return Call(driver_version_, text, size); });
}

NvmlReturn NvmlApi::DeviceCount(unsigned& count) const { return Call(count_, &count); }

NvmlReturn NvmlApi::DeviceByIndex(unsigned index, NvmlDevice& device) const {
  return Call(by_index_, index, &device);
}

NvmlReturn NvmlApi::DeviceByPciAddress(const std::string& address, NvmlDevice& device) const {
  return Call(by_pci_, address.c_str(), &device);
}

NvmlReturn NvmlApi::PciAddress(NvmlDevice device, std::string& address) const {
  NvmlPciInfo info{};
  const NvmlReturn code = Call(pci_info_, device, &info);
  address = PciAddressOf({info.bus_id, ::strnlen(info.bus_id, sizeof info.bus_id)});
  return code;
}

std::string NvmlApi::Uuid(NvmlDevice device) const {
  return TextOf([&](char* text, unsigned size) { return Call(uuid_, device, text, size); });
}

std::string NvmlApi::Name(NvmlDevice device) const {
  return TextOf([&](char* text, unsigned size) { return Call(name_, device, text, size); });
}

NvmlReturn NvmlApi::PowerMilliwatts(NvmlDevice device, unsigned& milliwatts) const {
  return Call(power_, device, &milliwatts);
}

NvmlReturn NvmlApi::EnergyMillijoules(NvmlDevice device, unsigned long long& millijoules) const {
  return Call(energy_, device, &millijoules);
}

NvmlReturn NvmlApi::UtilizationPercent(NvmlDevice device, unsigned& percent) const {
  NvmlUtilization utilization{};
  const NvmlReturn code = Call(utilization_, device, &utilization);
  percent = utilization.gpu;
  return code;
}

NvmlReturn NvmlApi::TemperatureCelsius(NvmlDevice device, unsigned& celsius) const {
  return Call(temperature_, device, kTemperatureOfGpu, &celsius);
}

// The newer function counts as used what processes use, as nvidia-smi does; the older one also
// what the driver keeps for itself.
NvmlReturn NvmlApi::MemoryBytes(NvmlDevice device, unsigned long long& used,
                                unsigned long long& total) const {
  NvmlMemoryV2 v2{};
  v2.version = static_cast<unsigned>(sizeof v2) | 2U << 24U;
  if (Call(memory_v2_, device, &v2) == NvmlReturn::kSuccess) {
    used = v2.used;
    total = v2.total;
    return NvmlReturn::kSuccess;
  }
  NvmlMemoryV1 v1{};
  const NvmlReturn code = Call(memory_v1_, device, &v1);
  used = v1.used;
  total = v1.total;
  return code;
}

NvmlReturn NvmlApi::ProcessesOf(ProcessesFunction function, size_t entry_size, NvmlDevice device,
                                std::vector<NvmlProcess>& out) {
  std::vector<std::byte> buffer;
  unsigned entries = 0;
  const NvmlReturn code = WithRoom([&](unsigned room, unsigned& count) {
    // Room for the largest entries, whatever size we expect.
    buffer.assign(room * kEntrySizes.back(), kFill);
    const NvmlReturn result = Call(function, device, &count, static_cast<void*>(buffer.data()));
    entries = std::min(count, room);
    return result;
  });
  if (code != NvmlReturn::kSuccess) return code;
  const std::vector<NvmlProcess> found = ParseNvmlProcesses(buffer, entries, entry_size, kFill);
  out.insert(out.end(), found.begin(), found.end());
  return code;
}

NvmlReturn NvmlApi::Processes(NvmlDevice device, std::vector<NvmlProcess>& processes) const {
  processes.clear();
  const NvmlReturn compute = ProcessesOf(compute_, compute_entry_, device, processes);
  // One list alone would make processes of the other come and go.
  if (compute != NvmlReturn::kSuccess && !NvmlHasNoValue(compute)) return compute;
  const NvmlReturn graphics = ProcessesOf(graphics_, graphics_entry_, device, processes);
  if (graphics != NvmlReturn::kSuccess && !NvmlHasNoValue(graphics)) return graphics;
  return compute == NvmlReturn::kSuccess ? compute : graphics;
}

NvmlReturn NvmlApi::ProcessSamples(NvmlDevice device, unsigned long long since_us,
                                   std::vector<NvmlProcessSample>& samples) const {
  samples.clear();
  const NvmlReturn code = WithRoom([&](unsigned room, unsigned& count) {
    samples.assign(room, NvmlProcessSample{});
    const NvmlReturn result = Call(samples_, device, samples.data(), &count, since_us);
    if (result == NvmlReturn::kSuccess) samples.resize(std::min(count, room));
    return result;
  });
  if (code != NvmlReturn::kSuccess) samples.clear();
  return code;
}

NvmlReturn NvmlApi::IsMigEnabled(NvmlDevice device, bool& enabled) const {
  unsigned current = 0;
  unsigned pending = 0;
  const NvmlReturn code = Call(mig_mode_, device, &current, &pending);
  enabled = code == NvmlReturn::kSuccess && current == 1;
  return code;
}

NvmlReturn NvmlApi::MigDeviceLimit(NvmlDevice device, unsigned& limit) const {
  return Call(mig_limit_, device, &limit);
}

NvmlReturn NvmlApi::MigDevice(NvmlDevice device, unsigned index, NvmlDevice& instance) const {
  return Call(mig_device_, device, index, &instance);
}

}  // namespace idlewatt
