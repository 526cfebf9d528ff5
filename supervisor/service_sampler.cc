#include "supervisor/service_sampler.h"

#include <array>
#include <cerrno>
#include <optional>
#include <string>

#include "collector/metrics.h"
#include "supervisor/process/service_cgroup.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kReady{"idlewatt_service_ready",
                        kGauge,
                        "",
                        {{"service"}},
                        "1 while the supervised service is ready, else 0"};
constexpr Metric kLastExitCode{
    "idlewatt_service_last_exit_code",
    kGauge,
    "",
    {{"service"}},
    "Exit code of the last root process of the supervised service; 128 + N after signal N"};
constexpr Metric kBackoff = WithDecimals(
    {"idlewatt_service_backoff_seconds",
     kGauge,
     "seconds",
     {{"service"}},
     "Delay before the next start of the supervised service; 0 when it waits for none"},
    1);
constexpr Histogram kStartDuration = MakeHistogram<"idlewatt_service_start_seconds">(
    "seconds", {{"service"}}, "Time from a start of the supervised service until it was ready");
constexpr Metric kLogBytes{"idlewatt_service_log_bytes_total",
                           kCounter,
                           "bytes",
                           {{"service"}},
                           "Output of the supervised service that was written to its log"};
constexpr Metric kLogDropped{"idlewatt_service_log_dropped_bytes_total",
                             kCounter,
                             "bytes",
                             {{"service"}},
                             "Output of the supervised service lost because its log could not be "
                             "written"};
constexpr std::array kMetrics = {&metrics::kServiceState,
                                 &kReady,
                                 &metrics::kServiceUptime,
                                 &kLastExitCode,
                                 &metrics::kServiceRestarts,
                                 &kBackoff,
                                 &kStartDuration.bucket,
                                 &kStartDuration.sum,
                                 &kStartDuration.count,
                                 &kLogBytes,
                                 &kLogDropped};

// As a shell tells it.
std::optional<double> ExitCodeOf(const LastExit& exit) {
  switch (exit.kind) {
    case LastExit::Kind::kCode:
      return exit.value;
    case LastExit::Kind::kSignal:
    case LastExit::Kind::kOutOfMemory:
      return 128 + exit.value;
    case LastExit::Kind::kUnknown:
      break;
  }
  return std::nullopt;
}

}  // namespace

constinit const SamplerInfo ServiceSampler::kInfo{
    .name = "service",
    .help = "State, readiness, starts, ends and log counters of the supervised services.",
    .metrics = kMetrics};

Result<void> ServiceSampler::Read(TimePoint /*now*/, Readings& out) {
  AddCgroupSource(out);
  if (supervisor_ == nullptr) return {};
  for (const ServiceStatus& service : supervisor_->Status()) AddService(service, out);
  return {};
}

void ServiceSampler::AddCgroupSource(Readings& out) const {
  const std::string source = "service cgroups";
  const std::string gives = "exact membership of services' processes";
  const auto parent = ServiceCgroup::FindParent(roots_.proc, roots_.sys);
  if (parent) return out.AddSource(source, gives);
  const char* remedy = "";
  if (parent.error().sys_errno == EACCES) {
    remedy = "run as a systemd unit with Delegate=yes, or as root";
  } else if (parent.error().sys_errno == EROFS) {
    remedy = "give the container a cgroup v2 that it may write to";
  }
  out.AddRefused(source, gives, parent.error(), remedy);
}

void ServiceSampler::AddService(const ServiceStatus& service, Readings& out) {
  for (size_t i = 0; i < kServiceStateCount; ++i) {
    const auto state = static_cast<ServiceState>(i);
    out.Add(metrics::kServiceState, {service.name, ServiceStateName(state)},
            service.state == state ? 1 : 0);
  }
  out.Add(kReady, {service.name}, service.ready ? 1 : 0);
  if (service.uptime_seconds)
    out.Add(metrics::kServiceUptime, {service.name}, *service.uptime_seconds);
  const auto exit_code = service.last_exit ? ExitCodeOf(*service.last_exit) : std::nullopt;
  if (exit_code) out.Add(kLastExitCode, {service.name}, *exit_code);
  for (const std::string_view reason : metrics::kFailedRestarts) {
    if (!service.restarts.contains(std::string(reason)))
      out.Add(metrics::kServiceRestarts, {service.name, reason}, 0);
  }
  for (const auto& [reason, count] : service.restarts) {
    out.Add(metrics::kServiceRestarts, {service.name, reason}, static_cast<double>(count));
  }
  out.Add(kBackoff, {service.name}, service.backoff_seconds.value_or(0));
  const StartDurations& starts = service.start_durations;
  out.Add(kStartDuration, {service.name}, StartDurations::kBounds, starts.counts,
          starts.sum_seconds);
  out.Add(kLogBytes, {service.name}, static_cast<double>(service.log_bytes));
  out.Add(kLogDropped, {service.name}, static_cast<double>(service.log_dropped_bytes));
}

}  // namespace idlewatt
