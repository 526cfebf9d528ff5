#include "supervisor/service_sampler.h"

#include <array>

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kState{"idlewatt_service_state",
                        kGauge,
                        "",
                        {{"service", "state"}},
                        "1 for the state that the supervised service is in, 0 for the others"};
constexpr Metric kReady{"idlewatt_service_ready",
                        kGauge,
                        "",
                        {{"service"}},
                        "1 while the supervised service is ready, else 0"};
constexpr Metric kUptime =
    WithDecimals({"idlewatt_service_uptime_seconds",
                  kGauge,
                  "seconds",
                  {{"service"}},
                  "Time since the root process of the supervised service was started"},
                 1);
constexpr Metric kLastExitCode{
    "idlewatt_service_last_exit_code",
    kGauge,
    "",
    {{"service"}},
    "Exit code of the last root process of the supervised service; 128 + N after signal N"};
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
constexpr std::array kMetrics = {&kState,        &kReady,    &kUptime,
                                 &kLastExitCode, &kLogBytes, &kLogDropped};

}  // namespace

constinit const SamplerInfo ServiceSampler::kInfo{
    .name = "service",
    .help = "State, readiness, uptime and log counters of the supervised services.",
    .metrics = kMetrics};

Result<void> ServiceSampler::Read(TimePoint /*now*/, Readings& out) {
  for (const ServiceStatus& service : supervisor_.Status()) {
    for (size_t i = 0; i < kServiceStateCount; ++i) {
      const auto state = static_cast<ServiceState>(i);
      out.Add(kState, {service.name, ServiceStateName(state)}, service.state == state ? 1 : 0);
    }
    out.Add(kReady, {service.name}, service.ready ? 1 : 0);
    if (service.uptime_seconds) out.Add(kUptime, {service.name}, *service.uptime_seconds);
    if (service.last_exit && service.last_exit->kind != LastExit::Kind::kUnknown) {
      const int base = service.last_exit->kind == LastExit::Kind::kSignal ? 128 : 0;
      out.Add(kLastExitCode, {service.name}, base + service.last_exit->value);
    }
    out.Add(kLogBytes, {service.name}, static_cast<double>(service.log_bytes));
    out.Add(kLogDropped, {service.name}, static_cast<double>(service.log_dropped_bytes));
  }
  return {};
}

}  // namespace idlewatt
