#include "collector/sampler_table.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "collector/battery_sampler.h"
#include "collector/gpu/drm_sampler.h"
#include "collector/gpu/npu_sampler.h"
#include "collector/gpu/nvml_sampler.h"
#include "collector/host_sampler.h"
#include "collector/hwmon_sampler.h"
#include "collector/input_sampler.h"
#include "collector/process/process_sampler.h"
#include "collector/rapl_sampler.h"
#include "collector/self_sampler.h"
#include "collector/socket_sampler.h"
#include "collector/textfile_sampler.h"
#include "collector/thermal_sampler.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using Context = SamplerContext;

bool Always(const Context& /*context*/) { return true; }
bool IfTextfileDir(const Context& context) { return !context.options.textfile_dir.empty(); }
bool OnLiveMachine(const Context& context) { return context.live; }
bool IfDevOfLiveMachine(const Context& context) { return context.live && context.roots.dev; }
template <const char* Name>
bool IfPowerSource(const Context& context) {
  const std::vector<std::string>& sources = context.options.power_sources;
  return std::find(sources.begin(), sources.end(), Name) != sources.end();
}

milliseconds EveryTick(const CollectorOptions& options) { return options.interval; }
milliseconds ThermalPeriod(const CollectorOptions& options) { return options.thermal_interval; }
milliseconds PowerPeriod(const CollectorOptions& options) { return options.power_interval; }
// Whether somebody is at the machine is a question of minutes.
milliseconds InputPeriod(const CollectorOptions& /*options*/) { return std::chrono::seconds(30); }

constexpr char kRapl[] = "rapl";
constexpr char kHwmon[] = "hwmon";
constexpr char kBattery[] = "battery";
constexpr char kNvml[] = "nvml";
constexpr char kDrm[] = "drm";

// The chips of GPUs and NPUs whose power DrmSampler and NpuSampler publish: the same joule must not
// be there twice. "i915_gt0" is a tile of the card "i915".
std::vector<std::string> PowerElsewhere(const Context& context) {
  std::vector<std::string> chips{"intel_vpu-*"};
  if (IfPowerSource<kDrm>(context)) {
    chips.insert(chips.end(), {"amdgpu-*", "i915-*", "i915_gt*", "xe-*"});
  }
  return chips;
}

std::unique_ptr<Sampler> MakeProcess(const Context& context) {
  const CollectorOptions& options = context.options;
  ProcessSampler::Options process{options.watched, options.discovered_top, std::nullopt};
  std::unique_ptr<ProcessBackend> backend;
  if (options.process_backend != ProcessBackendChoice::kProc && context.live) {
    Result<std::unique_ptr<ProcessBackend>> bpf = MakeBpfBackend();
    if (bpf) {
      backend = std::move(*bpf);
    } else {
      process.without_bpf = bpf.error();
    }
  }
  if (!backend) backend = MakeProcBackend(context.roots.proc);
  spdlog::info("processes: backend {}{}", backend->name(),
               process.without_bpf ? "; not bpf: " + process.without_bpf->ToString() : "");
  return std::make_unique<ProcessSampler>(context.roots, std::move(backend), std::move(process),
                                          context.directory, context.gpu_board);
}

std::unique_ptr<Sampler> MakeHwmon(const Context& context) {
  // libsensors reads /sys whatever we say.
  auto api = context.roots.sys.path() == "/sys" ? MakeLibsensorsApi()
                                                : MakeHwmonTreeApi(context.roots.sys);
  return std::make_unique<HwmonSampler>(
      std::move(api),
      HwmonSampler::Options{context.options.exclude_chips, IfPowerSource<kHwmon>(context),
                            PowerElsewhere(context)});
}

bool NvmlIsThere(const Context& context) {
  return IfPowerSource<kNvml>(context) && (context.live || !context.nvml_library.empty());
}

std::unique_ptr<Sampler> MakeNvml(const Context& context) {
  if (context.nvml_library.empty()) {
    return std::make_unique<NvmlSampler>(context.roots.sys, context.gpu_board);
  }
  return std::make_unique<NvmlSampler>(context.roots.sys, context.gpu_board, context.nvml_library);
}

// To add a sampler, write its file and add its row here; the order is that of reading.
constexpr auto kTable = std::to_array<SamplerRow>({
    {RaplSampler::Info, IfPowerSource<kRapl>, PowerPeriod,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<RaplSampler>(c.roots.sys);
     }},
    {HostSampler::Info, Always, EveryTick,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<HostSampler>(c.roots.proc, c.roots.sys);
     }},
    {ProcessSampler::Info, Always, EveryTick, MakeProcess},
    {SocketSampler::Info, OnLiveMachine, EveryTick,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<SocketSampler>(c.options.watched, c.directory, MakeSockDiagLister());
     }},
    {InputSampler::Info, IfDevOfLiveMachine, InputPeriod,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<InputSampler>(*c.roots.dev, MakeLogindApi({c.system_bus}));
     }},
    {HwmonSampler::Info, Always, ThermalPeriod, MakeHwmon},
    {ThermalSampler::Info, Always, ThermalPeriod,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<ThermalSampler>(c.roots.sys);
     }},
    {BatterySampler::Info, IfPowerSource<kBattery>, PowerPeriod,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<BatterySampler>(c.roots.sys);
     }},
    {DrmSampler::Info, IfPowerSource<kDrm>, PowerPeriod,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<DrmSampler>(c.roots.sys, c.roots.proc, c.gpu_board);
     }},
    {NpuSampler::Info, Always, PowerPeriod,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<NpuSampler>(c.roots.sys);
     }},
    {TextfileSampler::Info, IfTextfileDir, EveryTick,
     [](const Context& c) -> std::unique_ptr<Sampler> {
       return std::make_unique<TextfileSampler>(c.options.textfile_dir);
     }},
    {NvmlSampler::Info, NvmlIsThere, PowerPeriod, MakeNvml},
    {SelfSampler::Info, Always, EveryTick,
     [](const Context&) -> std::unique_ptr<Sampler> { return std::make_unique<SelfSampler>(); }},
});

}  // namespace

std::span<const SamplerRow> SamplerTable() { return kTable; }

std::vector<ScheduledSampler> MakeSamplers(const SamplerContext& context) {
  std::vector<ScheduledSampler> samplers;
  for (const SamplerRow& row : kTable) {
    if (!row.enabled(context)) continue;
    samplers.push_back({row.make(context), row.period(context.options)});
  }
  return samplers;
}

}  // namespace idlewatt
