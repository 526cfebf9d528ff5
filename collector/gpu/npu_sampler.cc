#include "collector/gpu/npu_sampler.h"

#include <array>
#include <cstdint>
#include <vector>

#include "base/text.h"
#include "base/units.h"
#include "collector/gpu/device_hwmon.h"
#include "collector/gpu/gpu_devices.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kBusy{"idlewatt_npu_busy_seconds_total",
                       kCounter,
                       "seconds",
                       {{"npu"}},
                       "Time for which an NPU was busy, since its driver was loaded"};
constexpr Metric kMemory{"idlewatt_npu_memory_used_bytes",
                         kGauge,
                         "bytes",
                         {{"npu"}},
                         "Memory that the users of an NPU hold"};
constexpr Metric kFrequency{
    "idlewatt_npu_frequency_hertz", kGauge, "hertz", {{"npu"}}, "Frequency of an NPU"};
constexpr std::array<const Metric*, 4> kMetrics{&kBusy, &kMemory, &kFrequency,
                                                &metrics::kPowerWatts};

constexpr std::string_view kClass = "class/accel";
constexpr std::string_view kPrefix = "accel";
constexpr std::string_view kBusyFile = "/npu_busy_time_us";
constexpr int64_t kMostBusy = 1'000'000'000'000'000;  // 31 years

// What an NPU tells beside its busy time; older kernels have less.
struct Value {
  const Metric* metric;
  std::string_view file;
  double scale;
  int64_t most;  // what is above is not believed
  std::string_view what;
};
constexpr std::array<Value, 2> kValues{{
    {&kMemory, "/npu_memory_utilization", 1, int64_t{1} << 50, "memory"},
    {&kFrequency, "/npu_current_frequency_mhz", 1e6, 1'000'000, "frequency"},
}};

std::string DriverOf(const FileRoot& sys, const std::string& folder) {
  const Result<std::string> driver = sys.ReadLink(folder + "/driver");
  return driver ? ToValidUtf8(driver->substr(driver->rfind('/') + 1)) : "unknown";
}

}  // namespace

const SamplerInfo& NpuSampler::Info() {
  static constexpr SamplerInfo kInfo{"npu", "Busy time, memory and frequency of Intel's NPUs", true,
                                     kMetrics};
  return kInfo;
}

Result<void> NpuSampler::Read(TimePoint /*now*/, Readings& out) {
  const auto names = sys_.List(kClass);
  int npus = 0;
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const std::string_view number =
        std::string_view(name).substr(name.starts_with(kPrefix) ? kPrefix.size() : name.size());
    if (!ParseNumber<int>(number)) continue;
    const std::string folder = std::string(kClass) + "/" + name + "/device";
    if (sys_.Exists(folder + std::string(kBusyFile))) {
      ++npus;
      ReadNpu("npu" + std::string(number), folder, out);
      continue;
    }
    out.AddRefused("npu:" + name, "use of an accelerator",
                   Error{ErrorCode::kNoData, sys_.PathOf(folder), 0,
                         "its driver " + DriverOf(sys_, folder) + " does not tell how busy it is"});
  }
  if (npus > 0) return {};
  return Error{ErrorCode::kNoData, sys_.PathOf(kClass), 0, "has no NPU"};
}

void NpuSampler::ReadNpu(const std::string& npu, const std::string& folder, Readings& out) {
  const bool asleep = IsAsleep(sys_, folder);
  std::string gives;
  if (!asleep) ReadAwake(npu, folder, gives, out);
  const auto busy = busy_seconds_.find(npu);
  if (busy != busy_seconds_.end()) out.Add(kBusy, {npu}, busy->second);
  if (asleep) gives = "asleep; not woken";
  if (!gives.empty()) out.AddSource("npu:" + npu, gives);
}

void NpuSampler::ReadAwake(const std::string& npu, const std::string& folder, std::string& gives,
                           Readings& out) {
  // True when there is a value; a refused row when it can't be read; neither without its file.
  const auto given = [&](const auto& value, std::string_view what) {
    if (value) {
      gives += (gives.empty() ? "" : ", ") + std::string(what);
    } else if (value.error().code != ErrorCode::kGone) {
      const std::string name(what);
      out.AddRefused("npu:" + npu + "/" + name, name, value.error());
    }
    return value.ok();
  };
  busy_seconds_.erase(npu);
  const auto busy = ReadIntWithin(sys_, folder + std::string(kBusyFile), 0, kMostBusy);
  if (given(busy, "busy time")) busy_seconds_[npu] = Microseconds{*busy}.Si();
  for (const Value& value : kValues) {
    const auto read = ReadIntWithin(sys_, folder + std::string(value.file), 0, value.most);
    if (given(read, value.what)) {
      out.Add(*value.metric, {npu}, static_cast<double>(*read) * value.scale);
    }
  }
  const auto hwmon = FindDeviceHwmon(sys_, folder, DriverOf(sys_, folder));
  if (!hwmon) return;
  const Result<double> watts = ReadWatts(sys_, *hwmon);
  if (given(watts, "power")) out.Add(metrics::kPowerWatts, {"drm", npu}, *watts);
}

}  // namespace idlewatt
