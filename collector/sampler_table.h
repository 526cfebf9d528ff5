#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_root.h"
#include "collector/gpu/gpu_board.h"
#include "collector/process/process_backend.h"
#include "collector/sampler.h"
#include "collector/sampling_loop.h"
#include "collector/service_directory.h"

namespace idlewatt {

// The [collector] section of the configuration, and [[watch]].
struct CollectorOptions {
  std::chrono::milliseconds interval{5000};
  std::chrono::milliseconds thermal_interval{0};  // 0: as `interval`
  std::chrono::milliseconds power_interval{0};
  ProcessBackendChoice process_backend = ProcessBackendChoice::kAuto;
  int discovered_top = 20;
  std::vector<std::string> exclude_chips;
  std::vector<std::string> power_sources{"rapl", "hwmon", "battery", "nvml", "drm"};
  std::string textfile_dir;  // empty: no text files
  std::vector<WatchedService> watched;
};

// What a sampler may be made from. All of it must outlive the samplers.
struct SamplerContext {
  const MachineRoots& roots;
  const CollectorOptions& options;
  ServiceDirectory* directory = nullptr;  // null without a supervisor
  // False when the roots are a recorded machine: then nothing may ask the running kernel.
  bool live = true;
  // Shared by the samplers: one that hangs in its driver outlives the others.
  std::shared_ptr<GpuBoard> gpu_board = std::make_shared<GpuBoard>();
  // Where another library than the system's stands for NVML; then a recorded machine has it too.
  std::string nvml_library{};
  // The D-Bus address where systemd-logind is asked for; empty: the system bus.
  std::string system_bus{};
};

// One row for each sampler of this folder.
struct SamplerRow {
  const SamplerInfo& (*info)();
  bool (*enabled)(const SamplerContext& context);
  std::chrono::milliseconds (*period)(const CollectorOptions& options);
  std::unique_ptr<Sampler> (*make)(const SamplerContext& context);
};
std::span<const SamplerRow> SamplerTable();

// The enabled samplers with their periods.
std::vector<ScheduledSampler> MakeSamplers(const SamplerContext& context);

}  // namespace idlewatt
