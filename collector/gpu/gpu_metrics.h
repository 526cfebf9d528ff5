// Metrics of a GPU that more than one sampler gives, each for the GPUs of its drivers.
#pragma once

#include "collector/metric.h"

namespace idlewatt::metrics {

inline constexpr Metric kGpuUtilization{"idlewatt_gpu_utilization_ratio",
                                        MetricKind::kGauge,
                                        "",
                                        {{"gpu"}},
                                        "Share of time in which a GPU was busy, 0 to 1"};
inline constexpr Metric kGpuMemoryUsed{"idlewatt_gpu_memory_used_bytes",
                                       MetricKind::kGauge,
                                       "bytes",
                                       {{"gpu"}},
                                       "Memory of a GPU that is in use"};
inline constexpr Metric kGpuMemoryTotal{"idlewatt_gpu_memory_total_bytes",
                                        MetricKind::kGauge,
                                        "bytes",
                                        {{"gpu"}},
                                        "Memory that a GPU has"};
inline constexpr Metric kGpuTemperature{"idlewatt_gpu_temperature_celsius",
                                        MetricKind::kGauge,
                                        "celsius",
                                        {{"gpu"}},
                                        "Temperature of a GPU"};
inline constexpr Metric kGpuInfo{"idlewatt_gpu_info",
                                 MetricKind::kGauge,
                                 "",
                                 {{"gpu", "uuid", "name", "driver"}},
                                 "Always 1; what a GPU is and which driver runs it"};

}  // namespace idlewatt::metrics
