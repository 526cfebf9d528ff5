// What the analysis publishes, known to the exporters too.
#pragma once

#include "collector/metric.h"

namespace idlewatt::metrics {

using enum MetricKind;

inline constexpr Metric kServiceEnergyJoules{
    "idlewatt_service_energy_joules_total",
    kCounter,
    "joules",
    {{"service", "component", "state"}},
    "Energy attributed to a service while it was active or idle"};
inline constexpr Metric kServicePowerWatts{"idlewatt_service_power_watts",
                                           kGauge,
                                           "watts",
                                           {{"service", "component"}},
                                           "Power attributed to a service over the last interval"};
inline constexpr Metric kHostFloorJoules{"idlewatt_host_floor_joules_total",
                                         kCounter,
                                         "joules",
                                         {{"domain"}},
                                         "Energy that a domain uses even when nothing runs"};
inline constexpr Metric kUnattributedJoules{
    "idlewatt_attribution_unattributed_joules_total",
    kCounter,
    "joules",
    {{"domain"}},
    "Measured energy that no service and no floor explains"};

inline constexpr Metric kServiceIdle{"idlewatt_service_idle",
                                     kGauge,
                                     "",
                                     {{"service"}},
                                     "1 when nobody has used a service for idle.after"};
inline constexpr Metric kServiceIdleSeconds =
    WithDecimals({"idlewatt_service_idle_seconds",
                  kGauge,
                  "seconds",
                  {{"service"}},
                  "Time since the last activity of a service"},
                 1);
inline constexpr Metric kServiceLastActivity =
    WithDecimals({"idlewatt_service_last_activity_timestamp_seconds",
                  kGauge,
                  "seconds",
                  {{"service"}},
                  "When a service was last used, in seconds since 1970"},
                 1);

inline constexpr Metric kServiceActivitySource{
    "idlewatt_service_activity_source",
    kGauge,
    "",
    {{"service", "source"}},
    "1 for what tells of the use of a service: proxy, sockets or cpu"};
inline constexpr Metric kServiceActivitySeconds =
    WithDecimals({"idlewatt_service_activity_seconds_total",
                  kCounter,
                  "seconds",
                  {{"service", "state"}},
                  "Time for which a service was active or idle; sleep does not count"},
                 1);

inline constexpr Metric kHostIdle{
    "idlewatt_host_idle",
    kGauge,
    "",
    {},
    "1 while every service is idle and nobody who is logged in has typed for idle.after"};
inline constexpr Metric kHostPowerWatts{
    "idlewatt_host_power_watts",
    kGauge,
    "watts",
    {},
    "Power of the whole machine as far as it is measured, each joule once"};
inline constexpr Metric kHostComputeWatts{
    "idlewatt_host_compute_watts",
    kGauge,
    "watts",
    {},
    "Power of CPU packages, memory and GPUs; of the whole machine where no package is measured"};
inline constexpr Metric kHostEnergyJoules{
    "idlewatt_host_energy_joules_total",
    kCounter,
    "joules",
    {{"state"}},
    "Energy of the whole machine, each joule once, while it was active or idle"};
inline constexpr Metric kHostActivitySeconds =
    WithDecimals({"idlewatt_host_activity_seconds_total",
                  kCounter,
                  "seconds",
                  {{"state"}},
                  "Time for which the machine was active or idle; sleep does not count"},
                 1);
inline constexpr Metric kHostFloorWatts{
    "idlewatt_host_floor_watts",
    kGauge,
    "watts",
    {{"domain"}},
    "The floor in effect: what a domain is taken to draw when nothing runs"};
inline constexpr Metric kBaselineIdleWatts{
    "idlewatt_baseline_idle_watts",
    kGauge,
    "watts",
    {{"baseline"}},
    "Mean power of the idle machine when the baseline was set"};

inline constexpr Metric kThermalPressure{
    "idlewatt_thermal_pressure",
    kGauge,
    "",
    {},
    "How near the machine is to its limits of heat: 0 nominal, 1 fair, 2 serious, 3 critical"};

inline constexpr Metric kAlertState{"idlewatt_alert_state",
                                    kGauge,
                                    "",
                                    {{"alert", "service", "severity"}},
                                    "State of an alert: 0 inactive, 1 pending, 2 firing"};

}  // namespace idlewatt::metrics
