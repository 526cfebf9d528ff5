#include "collector/self_sampler.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>

#include "base/file_root.h"
#include "base/text.h"
#include "collector/proc_text.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kCpu{
    "process_cpu_seconds_total", kCounter, "seconds", {}, "CPU time that idlewatt itself used"};
constexpr Metric kResident{
    "process_resident_memory_bytes", kGauge, "bytes", {}, "Resident memory of idlewatt itself"};
constexpr Metric kVirtual{
    "process_virtual_memory_bytes", kGauge, "bytes", {}, "Virtual memory of idlewatt itself"};
constexpr Metric kOpenFds{
    "process_open_fds", kGauge, "", {}, "Open file descriptors of idlewatt itself"};
constexpr Metric kMaxFds{
    "process_max_fds", kGauge, "", {}, "File descriptors that idlewatt may open"};
constexpr Metric kStartTime{"process_start_time_seconds",
                            kGauge,
                            "seconds",
                            {},
                            "When idlewatt started, in seconds since 1970"};
constexpr std::array<const Metric*, 6> kMetrics{&kCpu,     &kResident, &kVirtual,
                                                &kOpenFds, &kMaxFds,   &kStartTime};

double Seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

}  // namespace

const SamplerInfo& SelfSampler::Info() {
  static constexpr SamplerInfo kInfo{"self", "What idlewatt itself uses", false, kMetrics};
  return kInfo;
}

Result<void> SelfSampler::Read(TimePoint now, Readings& out) {
  ASSIGN_OR_RETURN(const FileRoot self, FileRoot::Open("/proc/self"));
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  out.Add(kCpu, {}, Seconds(usage.ru_utime) + Seconds(usage.ru_stime));

  ASSIGN_OR_RETURN(const std::string statm, self.Read("statm"));
  std::string_view rest = statm;
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (const auto pages = ParseNumber<uint64_t>(NextField(rest))) {
    out.Add(kVirtual, {}, static_cast<double>(*pages) * page);
  }
  if (const auto pages = ParseNumber<uint64_t>(NextField(rest))) {
    out.Add(kResident, {}, static_cast<double>(*pages) * page);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> fds, self.List("fd"));
  out.Add(kOpenFds, {}, static_cast<double>(fds.size()));
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  out.Add(kMaxFds, {}, static_cast<double>(limit.rlim_cur));

  if (!start_time_) {
    ASSIGN_OR_RETURN(const std::string text, self.Read("stat"));
    PidStat stat;
    RETURN_IF_ERROR(ParsePidStat(text, stat));
    const double since_boot =
        static_cast<double>(stat.start) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    start_time_ = ToSeconds(now.wall.time_since_epoch()) - ToSeconds(now.boot.time_since_epoch()) +
                  since_boot;
  }
  out.Add(kStartTime, {}, *start_time_);
  out.AddSource("self", "CPU, memory and descriptors of idlewatt itself");
  return {};
}

}  // namespace idlewatt
