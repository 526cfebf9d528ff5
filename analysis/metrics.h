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
