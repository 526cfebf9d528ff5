#include "collector/gpu/drm_sampler.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/text.h"
#include "collector/gpu/device_hwmon.h"
#include "collector/gpu/gpu_metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 8> kMetrics{
    &metrics::kPowerWatts,     &metrics::kEnergyJoules,  &metrics::kEnergyCounterResets,
    &metrics::kGpuUtilization, &metrics::kGpuMemoryUsed, &metrics::kGpuMemoryTotal,
    &metrics::kGpuTemperature, &metrics::kGpuInfo};

constexpr std::string_view kAmd = "amdgpu";
constexpr std::array<std::string_view, 3> kDrivers{kAmd, "i915", "xe"};
// GPUs come and go with docks, and with their drivers.
constexpr auto kSearchPeriod = std::chrono::minutes(1);
constexpr int64_t kMostBytes = int64_t{1} << 50;
constexpr int64_t kColdest = -100'000;  // millidegrees
constexpr int64_t kHottest = 250'000;

bool IsOurs(const GpuDevice& device) {
  return std::find(kDrivers.begin(), kDrivers.end(), device.driver) != kDrivers.end();
}

// "drm:gpu0"
std::string SourceOf(const GpuDevice& device) { return "drm:" + device.name; }

void Append(std::string& list, std::string_view item) {
  list += list.empty() ? "" : ", ";
  list += item;
}

// The value, or nothing: because its file is not there, or with a refused row that says why.
template <typename T>
std::optional<T> Given(const Result<T>& value, const std::string& source, const std::string& gives,
                       Readings& out) {
  if (value) return *value;
  if (value.error().code != ErrorCode::kGone) out.AddRefused(source, gives, value.error());
  return std::nullopt;
}

// One line as a label; a board without a name may give a page of junk.
std::string TextOf(const FileRoot& sys, const std::string& path) {
  constexpr size_t kLongest = 64;
  const Result<std::string> text = sys.Read(path);
  return text ? ToValidUtf8(Trim(std::string_view(*text).substr(0, kLongest))) : "";
}

// What the header of `gpu_metrics` tells: its formats 2 and 3 are those of an APU. Nothing when
// it makes no sense.
std::optional<bool> IsApuFormat(std::string_view gpu_metrics) {
  constexpr size_t kHeader = 4;  // size (16 bits), format revision, content revision
  constexpr size_t kFormat = 2;
  if (gpu_metrics.size() < kHeader) return std::nullopt;
  const auto format = static_cast<unsigned char>(gpu_metrics[kFormat]);
  if (format == 1) return false;
  if (format == 2 || format == 3) return true;
  return std::nullopt;
}

}  // namespace

const SamplerInfo& DrmSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "drm", "Power, use, memory and heat of GPUs of amdgpu, i915 and xe", true, kMetrics};
  return kInfo;
}

Result<void> DrmSampler::Read(TimePoint now, Readings& out) {
  FindDevices(now.boot);
  if (gpus_.empty()) {
    board_->Publish(Info().name, {});
    return Error{ErrorCode::kNoData, sys_.PathOf("class/drm"), 0,
                 "has no GPU of amdgpu, i915 or xe"};
  }
  for (Gpu& gpu : gpus_) gpu.asleep = IsAsleep(sys_, gpu.device.folder);
  ReadClients(now.boot, out);
  for (Gpu& gpu : gpus_) ReadGpu(gpu, now.boot, out);
  return {};
}

// Looks for GPUs from time to time, and when one went away; what was known of the others stays.
void DrmSampler::FindDevices(BootTime now) {
  const bool all_there = std::all_of(gpus_.begin(), gpus_.end(), [this](const Gpu& gpu) {
    return sys_.Exists(gpu.device.folder + "/driver");
  });
  if (!gpus_.empty() && all_there && next_search_ && now < *next_search_) return;
  next_search_ = now + kSearchPeriod;
  std::vector<Gpu> before = std::exchange(gpus_, {});
  for (GpuDevice& device : FindGpus(sys_)) {
    if (!IsOurs(device)) continue;
    const auto known = std::find_if(before.begin(), before.end(), [&](const Gpu& gpu) {
      return gpu.device.folder == device.folder && gpu.device.driver == device.driver;
    });
    Gpu gpu;
    if (known != before.end()) gpu = std::move(*known);
    gpu.device = std::move(device);
    gpu.looked = false;  // its hwmon chip may have another number now
    gpus_.push_back(std::move(gpu));
  }
  nodes_ = gpus_.empty() ? DrmClients::Nodes() : DrmNodes(sys_);
}

void DrmSampler::ReadClients(BootTime now, Readings& out) {
  std::vector<DrmClients::Gpu> gpus;
  for (const Gpu& gpu : gpus_) {
    const GpuDevice& device = gpu.device;
    gpus.push_back({device.name, device.folder, device.driver, device.pci_address, gpu.asleep});
  }
  const Result<void> read = clients_.Read(now, gpus, nodes_);
  board_->Publish(Info().name, clients_.Rows());
  const std::string source = "drm:processes";
  const std::string gives = "use of GPUs by process";
  if (!read) {
    out.AddRefused(source, gives, read.error());
    return;
  }
  if (clients_.refused() == 0 && clients_.sees_others()) {
    out.AddSource(source, gives);
    return;
  }
  const std::string what = clients_.sees_others()
                               ? std::to_string(clients_.refused()) + " processes may not be read"
                               : "the processes of other users are hidden (hidepid)";
  out.AddRefused(source, gives, Error{ErrorCode::kPermission, proc_.path(), 0, what},
                 "run as root, or: setcap cap_sys_ptrace,cap_dac_read_search+ep "
                 "$(command -v idlewatt)");
}

void DrmSampler::ReadGpu(Gpu& gpu, BootTime now, Readings& out) {
  const GpuDevice& device = gpu.device;
  gpu.gives.clear();
  if (!gpu.asleep) {
    if (!std::exchange(gpu.looked, true)) LookAt(gpu);
    ReadUtilization(gpu, out);
    if (gpu.hwmon) {
      ReadPower(gpu, now, out);
      ReadTemperature(gpu, out);
    }
    if (device.driver == kAmd) ReadMemory(gpu, out);
    if (!gpu.hwmon) Append(gpu.gives, "no power (that of an integrated GPU is in RAPL's uncore)");
    if (gpu.gives.empty()) gpu.gives = "use by process";
  }
  out.AddSource(SourceOf(device), gpu.asleep ? "asleep; not woken" : gpu.gives);
  if (!gpu.product.empty()) {
    out.Add(metrics::kGpuInfo, {device.name, gpu.uuid, gpu.product, device.driver}, 1);
  }
}

void DrmSampler::LookAt(Gpu& gpu) const {
  const std::string& folder = gpu.device.folder;
  gpu.hwmon = FindDeviceHwmon(sys_, folder, gpu.device.driver);
  gpu.uuid = TextOf(sys_, folder + "/unique_id");
  gpu.product = TextOf(sys_, folder + "/product_name");
  if (gpu.product.empty()) gpu.product = PciIds(sys_, folder);
  if (gpu.product.empty()) gpu.product = gpu.device.driver;
}

// An APU reports the power of the whole package: its CPU cores too.
DrmSampler::Meter DrmSampler::MeterOf(const Gpu& gpu) const {
  if (gpu.device.driver != kAmd) return Meter::kCard;
  if (gpu.hwmon && TextOf(sys_, *gpu.hwmon + "/in1_label") == "vddnb") return Meter::kPackage;
  const Result<std::string> gpu_metrics = sys_.Read(gpu.device.folder + "/gpu_metrics");
  if (!gpu_metrics) {
    // Cards and kernels from before that file have no APU but those that label their voltages.
    const ErrorCode code = gpu_metrics.error().code;
    return code == ErrorCode::kGone || code == ErrorCode::kNoData ? Meter::kCard : Meter::kUnknown;
  }
  const std::optional<bool> is_apu = IsApuFormat(*gpu_metrics);
  if (!is_apu) return Meter::kUnknown;
  return *is_apu ? Meter::kPackage : Meter::kCard;
}

void DrmSampler::ReadPower(Gpu& gpu, BootTime now, Readings& out) {
  const std::string& name = gpu.device.name;
  if (gpu.meter == Meter::kUnknown) gpu.meter = MeterOf(gpu);
  if (gpu.meter == Meter::kUnknown) {
    out.AddRefused(SourceOf(gpu.device) + "/power", "power",
                   Error{ErrorCode::kParse, sys_.PathOf(gpu.device.folder + "/gpu_metrics"), 0,
                         "does not tell whether the power is that of a card or of a package"});
    return;
  }
  const bool is_package = gpu.meter == Meter::kPackage;
  const std::string domain = is_package ? name + "-package" : name;
  const std::string before = std::exchange(gpu.gives, "");
  const Result<double> read = ReadWatts(sys_, *gpu.hwmon);
  if (const auto watts = Given(read, SourceOf(gpu.device) + "/power", "power", out)) {
    out.Add(metrics::kPowerWatts, {"drm", domain}, *watts);
    Append(gpu.gives, "power");
  }
  ReadEnergy(gpu, domain, now, out);
  const std::string given = std::exchange(gpu.gives, before);
  if (given.empty()) return;
  if (is_package) {
    out.AddSource(SourceOf(gpu.device) + "-package",
                  given + " of the whole package of an APU, CPU cores included, which RAPL " +
                      "measures too: not counted as a GPU's");
  } else {
    Append(gpu.gives, given);
  }
}

void DrmSampler::ReadEnergy(Gpu& gpu, const std::string& domain, BootTime now,
                            Readings& out) const {
  const std::string channel = ChannelWithLabel(sys_, *gpu.hwmon, "energy", {"card", "pkg"});
  const auto energy = Given(ReadIntWithin(sys_, *gpu.hwmon + "/" + channel + "_input", 0,
                                          std::numeric_limits<int64_t>::max()),
                            SourceOf(gpu.device) + "/energy", "energy", out);
  if (!energy) return;
  // After a reset there is no value for once, so that nobody takes the interval for one of 0 W.
  if (Account(gpu, Microjoules{*energy}, now)) {
    out.Add(metrics::kEnergyJoules, {"drm", domain}, gpu.joules);
  }
  out.Add(metrics::kEnergyCounterResets, {"drm", domain}, static_cast<double>(gpu.resets));
  Append(gpu.gives, "energy");
}

bool DrmSampler::Account(Gpu& gpu, Microjoules value, BootTime now) {
  const std::optional<Microjoules> last = std::exchange(gpu.last_energy, value);
  const double seconds = ToSeconds(now - std::exchange(gpu.last_time, now));
  if (!last) return true;
  const double used = value.Si() - last->Si();
  const bool is_reset = used < 0 || used > kMostDeviceWatts * std::max(seconds, 1.0);
  if (is_reset) {
    ++gpu.resets;
  } else {
    gpu.joules += used;
  }
  return !is_reset;
}

void DrmSampler::ReadTemperature(Gpu& gpu, Readings& out) const {
  // "junction" is all that accelerators without a display have.
  const std::string channel =
      ChannelWithLabel(sys_, *gpu.hwmon, "temp", {"edge", "pkg", "junction"});
  const auto raw =
      Given(ReadIntWithin(sys_, *gpu.hwmon + "/" + channel + "_input", kColdest, kHottest),
            SourceOf(gpu.device) + "/temperature", "temperature", out);
  if (!raw) return;
  out.Add(metrics::kGpuTemperature, {gpu.device.name}, MilliCelsius{*raw}.Si());
  Append(gpu.gives, "temperature");
}

void DrmSampler::ReadUtilization(Gpu& gpu, Readings& out) const {
  std::optional<double> ratio;
  if (gpu.device.driver == kAmd) {
    const auto percent = Given(ReadIntWithin(sys_, gpu.device.folder + "/gpu_busy_percent", 0, 100),
                               SourceOf(gpu.device) + "/utilization", "utilization", out);
    if (percent) ratio = static_cast<double>(*percent) / 100;
  } else {
    ratio = clients_.Utilization(gpu.device.folder);
  }
  if (!ratio) return;
  out.Add(metrics::kGpuUtilization, {gpu.device.name}, *ratio);
  Append(gpu.gives, "utilization");
}

void DrmSampler::ReadMemory(Gpu& gpu, Readings& out) const {
  const auto add = [&](const Metric& metric, const std::string& file) {
    const auto bytes = Given(ReadIntWithin(sys_, gpu.device.folder + "/" + file, 0, kMostBytes),
                             SourceOf(gpu.device) + "/" + file, "memory", out);
    if (bytes) out.Add(metric, {gpu.device.name}, static_cast<double>(*bytes));
    return bytes.has_value();
  };
  const bool used = add(metrics::kGpuMemoryUsed, "mem_info_vram_used");
  const bool total = add(metrics::kGpuMemoryTotal, "mem_info_vram_total");
  if (used || total) Append(gpu.gives, "memory");
}

}  // namespace idlewatt
