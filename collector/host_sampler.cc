#include "collector/host_sampler.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kMemoryBytes{"idlewatt_host_memory_bytes",
                              kGauge,
                              "bytes",
                              {{"kind"}},
                              "Memory of the host by kind, as /proc/meminfo has it"};
constexpr Metric kPressureSeconds{
    "idlewatt_host_pressure_seconds_total",
    kCounter,
    "seconds",
    {{"resource", "kind"}},
    "Time in which some or all tasks waited for a resource (pressure stall information)"};

constexpr std::array<const Metric*, 3> kMetrics{&metrics::kHostCpuSeconds, &kMemoryBytes,
                                                &kPressureSeconds};

struct MemoryKind {
  std::string_view key;
  std::string_view kind;
};
constexpr std::array<MemoryKind, 7> kMemoryKinds{{{"MemTotal", "total"},
                                                  {"MemFree", "free"},
                                                  {"MemAvailable", "available"},
                                                  {"Buffers", "buffers"},
                                                  {"Cached", "cached"},
                                                  {"SwapTotal", "swap_total"},
                                                  {"SwapFree", "swap_free"}}};

}  // namespace

const SamplerInfo& HostSampler::Info() {
  static constexpr SamplerInfo kInfo{"host", "CPU time, memory and pressure of the machine", false,
                                     kMetrics};
  return kInfo;
}

Result<void> HostSampler::Read(TimePoint /*now*/, Readings& out) {
  RETURN_IF_ERROR(ReadCpu(out));
  RETURN_IF_ERROR(ReadMemory(out));
  out.AddSource("host", "CPU time by mode, memory");
  ReadPressure(out);
  return {};
}

Result<void> HostSampler::ReadCpu(Readings& out) {
  ASSIGN_OR_RETURN(const std::string text, proc_.Read("stat"));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ticks, ParseHostCpu(text));
  static const double kTicksPerSecond = static_cast<double>(::sysconf(_SC_CLK_TCK));
  for (size_t i = 0; i < ticks.size(); ++i) {
    highest_ticks_[i] = std::max(highest_ticks_[i], ticks[i]);
    out.Add(metrics::kHostCpuSeconds, {kCpuModes[i]},
            static_cast<double>(highest_ticks_[i]) / kTicksPerSecond);
  }
  return {};
}

Result<void> HostSampler::ReadMemory(Readings& out) {
  ASSIGN_OR_RETURN(const std::string text, proc_.Read("meminfo"));
  for (const MemoryKind& kind : kMemoryKinds) {
    if (const auto bytes = MeminfoBytes(text, kind.key)) out.Add(kMemoryBytes, {kind.kind}, *bytes);
  }
  return {};
}

void HostSampler::ReadPressure(Readings& out) {
  constexpr std::string_view kGives = "time lost waiting for CPU, memory and I/O";
  if (!proc_.Exists("pressure")) {
    out.AddRefused("pressure", std::string(kGives),
                   Error{ErrorCode::kNoData, proc_.PathOf("pressure"), 0, "is not there"},
                   "boot a kernel with CONFIG_PSI and psi=1");
    return;
  }
  std::string text;
  for (const std::string_view resource : {"cpu", "io", "memory", "irq"}) {
    const std::string file = "pressure/" + std::string(resource);
    if (resource == "irq" && !proc_.Exists(file)) continue;  // only with IRQ time accounting
    Result<void> read = proc_.ReadInto(file, text);
    if (!read) {
      const bool is_off = read.error().code == ErrorCode::kNoData;
      out.AddRefused("pressure", std::string(kGives), std::move(read).error(),
                     is_off ? "boot with psi=1 on the kernel command line" : "");
      return;
    }
    const auto totals = ParsePressure(text);
    if (!totals) {
      out.AddRefused("pressure", std::string(kGives), totals.error());
      return;
    }
    for (const auto& [kind, total] : *totals) {
      out.Add(kPressureSeconds, {resource, kind}, total.Si());
    }
  }
  out.AddSource("pressure", std::string(kGives));
}

}  // namespace idlewatt
