#include "collector/gpu/nvml_sampler.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/text.h"
#include "collector/gpu/gpu_devices.h"
#include "collector/gpu/gpu_metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 8> kMetrics{
    &metrics::kPowerWatts,     &metrics::kEnergyJoules,  &metrics::kEnergyCounterResets,
    &metrics::kGpuUtilization, &metrics::kGpuMemoryUsed, &metrics::kGpuMemoryTotal,
    &metrics::kGpuTemperature, &metrics::kGpuInfo};

constexpr std::string_view kGives = "power and use of NVIDIA GPUs";
// How often /sys is searched for GPUs that came or left.
constexpr std::chrono::minutes kLookInterval{1};
// NVML holds the GPUs' device files open; after so long a sleep of all of them it lets go.
constexpr std::chrono::minutes kCloseAfter{1};
// A GPU that may sleep and is used by nobody gets a rest from us. Drivers put it to sleep within
// seconds; where it stays awake the next rest comes after twice the time.
constexpr std::chrono::seconds kFirstRestAfter{30};
constexpr std::chrono::hours kLongestRestWait{1};
constexpr std::chrono::seconds kRest{20};
constexpr unsigned kMostDevices = 256;

// May the kernel put the device to sleep when it is idle? ("on": never.)
bool MaySleep(const FileRoot& sys, const std::string& folder) {
  const Result<std::string> control = sys.Read(folder + "/power/control");
  return control && Trim(*control) == "auto";
}

}  // namespace

const SamplerInfo& NvmlSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "nvml", "Power, energy, use, memory and temperature of NVIDIA GPUs", true, kMetrics};
  return kInfo;
}

NvmlSampler::NvmlSampler(const FileRoot& sys, std::shared_ptr<GpuBoard> board, std::string library)
    : sys_(sys), board_(std::move(board)), library_(std::move(library)) {}

NvmlSampler::~NvmlSampler() { Close(); }

Result<void> NvmlSampler::Read(TimePoint now, Readings& out) {
  FindListed(now.boot);
  std::vector<Gpu*> awake;
  bool any_rests = false;
  bool any_left_alone = false;
  for (auto& [key, gpu] : gpus_) {
    if (!gpu.present || gpu.folder.empty()) continue;
    gpu.rest = RestOf(gpu, now.boot);
    if (gpu.rest == Rest::kNone) {
      awake.push_back(&gpu);
      continue;
    }
    any_rests = true;
    any_left_alone |= gpu.rest == Rest::kLeftAlone;
    gpu.values.Pause();
    out.AddSource("nvml:" + gpu.name, gpu.rest == Rest::kAsleep
                                          ? "asleep; not woken"
                                          : "idle; left alone so that it can fall asleep");
  }
  std::vector<GpuClient> clients;
  Result<void> result;
  if (any_rests && awake.empty()) {
    if (!all_rest_since_) all_rest_since_ = now.boot;
    if (any_left_alone || now.boot - *all_rest_since_ >= kCloseAfter) Close();
  } else {
    all_rest_since_.reset();
    if (std::optional<NvmlFault> fault = Open()) {
      result = fault->error;
      out.AddRefused("nvml", std::string(kGives), std::move(fault->error),
                     std::move(fault->remedy));
    } else {
      Connect(!any_rests);
      for (auto& [key, gpu] : gpus_) {
        if (gpu.present && gpu.folder.empty()) awake.push_back(&gpu);
      }
      result = ReadGpus(awake, now, out, clients);
      if (any_rests) result = {};  // those that sleep are well
    }
  }
  board_->Publish("nvml", std::move(clients));
  return result;
}

// Looks for the NVIDIA GPUs of /sys. One that was known before keeps its counters.
void NvmlSampler::FindListed(BootTime now) {
  if (now < next_look_) return;
  next_look_ = now + kLookInterval;
  const std::vector<GpuDevice> found = FindGpus(sys_);
  std::set<std::string> addresses;
  bool changed = found.size() != gpus_in_sys_;
  for (const GpuDevice& device : found) {
    if (device.driver != "nvidia" || device.pci_address.empty()) continue;
    addresses.insert(device.pci_address);
    const auto [it, added] = gpus_.try_emplace(device.pci_address);
    Gpu& gpu = it->second;
    changed |= added || !gpu.present || gpu.name != device.name;
    gpu.name = device.name;
    gpu.folder = device.folder;
    gpu.present = true;
  }
  for (auto& [address, gpu] : gpus_) {
    if (gpu.folder.empty() || !gpu.present || addresses.contains(address)) continue;
    gpu.present = false;
    gpu.values.Lose();
    changed = true;
  }
  gpus_in_sys_ = found.size();
  // NVML knows only the GPUs that were there when it was started.
  if (changed) Close();
}

NvmlSampler::Rest NvmlSampler::RestOf(Gpu& gpu, BootTime now) const {
  if (IsAsleep(sys_, gpu.folder)) {
    gpu.rest_due.reset();
    gpu.rests_until.reset();
    return Rest::kAsleep;
  }
  if (gpu.rests_until && now >= *gpu.rests_until) gpu.rests_until.reset();
  return gpu.rests_until ? Rest::kLeftAlone : Rest::kNone;
}

// Plans a rest for a GPU that our questions alone may keep awake.
void NvmlSampler::NoteIdle(Gpu& gpu, bool idle, BootTime now) const {
  if (!idle || gpu.folder.empty() || !MaySleep(sys_, gpu.folder)) {
    gpu.rest_due.reset();
    return;
  }
  if (!gpu.rest_due) {
    gpu.rest_wait = kFirstRestAfter;
    gpu.rest_due = now + gpu.rest_wait;
  }
  if (now < *gpu.rest_due) return;
  gpu.rests_until = now + kRest;
  gpu.rest_wait = std::min<std::chrono::nanoseconds>(gpu.rest_wait * 2, kLongestRestWait);
  gpu.rest_due = *gpu.rests_until + gpu.rest_wait;
}

// Loads the library and starts NVML; nothing when both are done, else why not.
std::optional<NvmlFault> NvmlSampler::Open() {
  if (open_) return std::nullopt;
  if (!api_) {
    Result<std::unique_ptr<NvmlApi>> api = NvmlApi::Load(library_);
    if (!api) {
      const bool has_driver = std::any_of(gpus_.begin(), gpus_.end(),
                                          [](const auto& item) { return item.second.present; });
      return NvmlFault{std::move(api).error(),
                       has_driver ? "install the NVML library of the NVIDIA driver" : ""};
    }
    api_ = std::move(*api);
  }
  const NvmlReturn code = api_->Init();
  if (code != NvmlReturn::kSuccess) {
    NvmlFault fault = api_->Explain(code, "NVML");
    api_.reset();  // the next try may find the library of another driver
    return fault;
  }
  open_ = true;
  driver_ = api_->DriverVersion();
  return std::nullopt;
}

void NvmlSampler::Close() {
  for (auto& [key, gpu] : gpus_) {
    gpu.device = nullptr;
    if (gpu.folder.empty()) gpu.present = false;
  }
  numbered_ = false;
  strangers_ = 0;
  if (std::exchange(open_, false)) api_->Shutdown();
}

// Gets the devices of NVML that are not known yet. To ask for one wakes it: as long as one sleeps
// only the others are asked for, by their addresses.
void NvmlSampler::Connect(bool may_wake_all) {
  for (auto& [address, gpu] : gpus_) {
    if (gpu.folder.empty() || !gpu.present || gpu.device != nullptr) continue;
    if (gpu.rest != Rest::kNone) continue;
    gpu.refusal = api_->DeviceByPciAddress(address, gpu.device);
    if (gpu.refusal != NvmlReturn::kSuccess) gpu.device = nullptr;
  }
  if (may_wake_all && !numbered_) ConnectByIndex();
}

// Finds the devices that /sys does not list, and where the library can't look for an address those
// that it lists.
void NvmlSampler::ConnectByIndex() {
  unsigned count = 0;
  if (api_->DeviceCount(count) != NvmlReturn::kSuccess) return;
  numbered_ = true;
  const auto listed = [&](bool connected) {
    return static_cast<size_t>(std::count_if(gpus_.begin(), gpus_.end(), [&](const auto& item) {
      const Gpu& gpu = item.second;
      return gpu.present && !gpu.folder.empty() && (gpu.device != nullptr) == connected;
    }));
  };
  if (count <= listed(true)) return;
  size_t number = gpus_in_sys_;
  size_t refused = 0;
  for (unsigned i = 0; i < std::min(count, kMostDevices); ++i) {
    NvmlDevice device = nullptr;
    const NvmlReturn code = api_->DeviceByIndex(i, device);
    if (code != NvmlReturn::kSuccess) {
      ++refused;
      strangers_refusal_ = code;
      continue;
    }
    std::string address;
    const bool known = api_->PciAddress(device, address) == NvmlReturn::kSuccess;
    auto it = known ? gpus_.find(address) : gpus_.end();
    if (it == gpus_.end() || !it->second.present) {
      it = gpus_.try_emplace("#" + std::to_string(i)).first;
      it->second.name = "gpu" + std::to_string(number++);
      it->second.present = true;
    }
    it->second.device = device;
  }
  // One that can't be opened tells no address; it may be one of those that /sys lists.
  strangers_ = refused - std::min(refused, listed(false));
}

// Fails when no GPU could be read; NVML is then started anew the next time.
Result<void> NvmlSampler::ReadGpus(const std::vector<Gpu*>& gpus, TimePoint now, Readings& out,
                                   std::vector<GpuClient>& clients) {
  std::optional<NvmlFault> last_fault;
  bool any_read = false;
  for (Gpu* gpu : gpus) {
    NvmlReturn failure = gpu->refusal;
    if (gpu->device != nullptr) {
      const NvmlGpu::Outcome outcome =
          gpu->values.Read(*api_, gpu->device, gpu->name, driver_, now, out, clients);
      failure = outcome.failure;
      NoteIdle(*gpu, outcome.idle, now.boot);
    }
    if (failure == NvmlReturn::kSuccess) {
      any_read = true;
      continue;
    }
    last_fault = api_->Explain(failure, gpu->name);
    out.AddRefused("nvml:" + gpu->name, "power and use of a GPU", last_fault->error,
                   last_fault->remedy);
    gpu->values.Pause();
    if (last_fault->error.code == ErrorCode::kGone) {
      gpu->values.Lose();
      gpu->device = nullptr;
    }
  }
  if (strangers_ > 0) {
    last_fault = api_->Explain(strangers_refusal_, "a GPU");
    out.AddRefused("nvml:other", std::string(kGives), last_fault->error, last_fault->remedy);
  }
  if (any_read) return {};
  Close();
  if (last_fault) return std::move(last_fault->error);
  return Error{ErrorCode::kNoData, "NVML", 0, "shows no GPU"};
}

}  // namespace idlewatt
