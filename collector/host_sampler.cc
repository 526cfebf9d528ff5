#include "collector/host_sampler.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kMemoryBytes{"idlewatt_host_memory_bytes",
                              kGauge,
                              "bytes",
                              {{"kind"}},
                              "Memory of the host by kind, as /proc/meminfo has it"};
constexpr Metric kPressureSeconds = WithDecimals(
    {"idlewatt_host_pressure_seconds_total",
     kCounter,
     "seconds",
     {{"resource", "kind"}},
     "Time in which some or all tasks waited for a resource (pressure stall information)"},
    3);

constexpr Metric kFrequency{"idlewatt_host_cpu_frequency_hertz",
                            kGauge,
                            "hertz",
                            {{"stat"}},
                            "Frequency of the CPUs that are online: least, mean and greatest"};
constexpr Metric kFrequencyLimit{"idlewatt_host_cpu_frequency_limit_hertz",
                                 kGauge,
                                 "hertz",
                                 {{"limit"}},
                                 "Least and greatest frequency that the hardware allows any CPU"};

constexpr std::array<const Metric*, 5> kMetrics{&metrics::kHostCpuSeconds, &kMemoryBytes,
                                                &kPressureSeconds, &kFrequency, &kFrequencyLimit};

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
  static constexpr SamplerInfo kInfo{
      "host", "CPU time, memory, pressure and CPU frequency of the machine", false, kMetrics};
  return kInfo;
}

Result<void> HostSampler::Read(TimePoint /*now*/, Readings& out) {
  RETURN_IF_ERROR(ReadCpu(out));
  RETURN_IF_ERROR(ReadMemory(out));
  out.AddSource("host", "CPU time by mode, memory");
  ReadPressure(out);
  ReadFrequency(out);
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
  std::vector<std::pair<std::string, Error>> refused;
  bool any = false;
  for (const std::string_view resource : {"cpu", "io", "memory", "irq"}) {
    Result<void> read = ReadPressureOf(resource, out);
    any = any || read.ok();
    // That of interrupts is only there with IRQ time accounting.
    if (read.ok() || (resource == "irq" && read.error().code == ErrorCode::kGone)) continue;
    refused.emplace_back(resource, std::move(read).error());
  }
  if (!any) {
    const bool off = refused.front().second.code == ErrorCode::kNoData;
    out.AddRefused("pressure", std::string(kGives), std::move(refused.front().second),
                   off ? "boot with psi=1 on the kernel command line" : "");
    return;
  }
  for (auto& [resource, error] : refused) {
    out.AddRefused("pressure:" + resource, "time lost waiting for " + resource, std::move(error));
  }
  out.AddSource("pressure", std::string(kGives));
}

Result<void> HostSampler::ReadPressureOf(std::string_view resource, Readings& out) {
  ASSIGN_OR_RETURN(const std::string text, proc_.Read("pressure/" + std::string(resource)));
  ASSIGN_OR_RETURN(const auto totals, ParsePressure(text));
  for (const auto& [kind, total] : totals) out.Add(kPressureSeconds, {resource, kind}, total.Si());
  return {};
}

namespace {

constexpr std::string_view kPolicies = "devices/system/cpu/cpufreq";
constexpr double kMostHertz = 1e11;  // more is no frequency of a CPU

// Least, greatest and weighted mean of some frequencies.
class FrequencyRange {
 public:
  void Add(double hertz, size_t cpus) {
    least_ = cpus_ == 0 ? hertz : std::min(least_, hertz);
    greatest_ = std::max(greatest_, hertz);
    sum_ += hertz * static_cast<double>(cpus);
    cpus_ += cpus;
  }
  bool empty() const { return cpus_ == 0; }
  double least() const { return least_; }
  double greatest() const { return greatest_; }
  double mean() const { return sum_ / static_cast<double>(cpus_); }

 private:
  double least_ = 0;
  double greatest_ = 0;
  double sum_ = 0;
  size_t cpus_ = 0;
};

}  // namespace

void HostSampler::ReadFrequency(Readings& out) {
  const std::string source = "frequency";
  const std::string gives = "CPU frequency";
  FrequencyRange current;
  FrequencyRange lower;
  FrequencyRange upper;
  std::vector<std::pair<std::string, Error>> refused;
  const auto names = sys_.List(kPolicies);
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    if (!name.starts_with("policy")) continue;
    const std::string policy = std::string(kPolicies) + "/" + name;
    const size_t cpus = OnlineCpus(policy);
    if (cpus == 0) continue;
    if (const auto hertz = Hertz(policy + "/scaling_cur_freq")) {
      current.Add(*hertz, cpus);
    } else if (hertz.error().sys_errno != EBUSY) {  // else it has just gone offline
      refused.emplace_back(name, hertz.error());
    }
    if (const auto hertz = Hertz(policy + "/cpuinfo_min_freq")) lower.Add(*hertz, cpus);
    if (const auto hertz = Hertz(policy + "/cpuinfo_max_freq")) upper.Add(*hertz, cpus);
  }
  if (!lower.empty()) out.Add(kFrequencyLimit, {"min"}, lower.least());
  if (!upper.empty()) out.Add(kFrequencyLimit, {"max"}, upper.greatest());
  if (current.empty() && refused.empty()) {
    out.AddRefused(source, gives,
                   Error{ErrorCode::kNoData, sys_.PathOf(kPolicies), 0,
                         "has no policy of CPUs that are online, as in most virtual machines"},
                   "on hardware: load a driver for CPU frequencies, such as acpi-cpufreq");
    return;
  }
  if (current.empty()) {
    out.AddRefused(source, gives, std::move(refused.front().second));
    return;
  }
  for (auto& [name, error] : refused) out.AddRefused(source + ":" + name, gives, std::move(error));
  out.Add(kFrequency, {"min"}, current.least());
  out.Add(kFrequency, {"mean"}, current.mean());
  out.Add(kFrequency, {"max"}, current.greatest());
  out.AddSource(source, gives);
}

// How many CPUs share a policy: those online, else all that could. 0 when none is online: then
// the kernel has an empty list or refuses every read with EBUSY.
size_t HostSampler::OnlineCpus(const std::string& policy) const {
  for (const char* file : {"/affected_cpus", "/related_cpus"}) {
    const Result<std::string> text = sys_.Read(policy + file);
    if (!text && text.error().code == ErrorCode::kTransient) return 0;
    if (!text) continue;
    std::string_view rest = Trim(*text);
    size_t cpus = 0;
    while (!NextField(rest).empty()) ++cpus;
    return cpus;
  }
  return 1;
}

// Of a file in kHz. Also refused: "<unknown>", and the 0 of drivers that can't tell.
Result<double> HostSampler::Hertz(const std::string& file) const {
  ASSIGN_OR_RETURN(const int64_t kilohertz, sys_.ReadInt(file));
  const double hertz = static_cast<double>(kilohertz) * 1000;
  if (hertz > 0 && hertz <= kMostHertz) return hertz;
  return Error{ErrorCode::kParse, sys_.PathOf(file), 0,
               "holds " + std::to_string(kilohertz) + " kHz, which is no frequency of a CPU"};
}

}  // namespace idlewatt
