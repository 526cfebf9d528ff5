// What every sampler of GPUs gives, whatever the driver. The label `gpu` is GpuDevice::name.
#pragma once

#include "collector/metrics.h"

namespace idlewatt::metrics {

inline constexpr Metric kGpuMemoryUsed{
    "idlewatt_gpu_memory_used_bytes", kGauge, "bytes", {{"gpu"}}, "Memory of a GPU that is in use"};
inline constexpr Metric kGpuMemoryTotal{
    "idlewatt_gpu_memory_total_bytes", kGauge, "bytes", {{"gpu"}}, "Memory that a GPU has"};
inline constexpr Metric kGpuTemperature{
    "idlewatt_gpu_temperature_celsius", kGauge, "celsius", {{"gpu"}}, "Temperature of a GPU"};
inline constexpr Metric kGpuInfo{"idlewatt_gpu_info",
                                 kGauge,
                                 "",
                                 {{"gpu", "uuid", "name", "driver"}},
                                 "1 for every GPU, with what is known of it"};

}  // namespace idlewatt::metrics
