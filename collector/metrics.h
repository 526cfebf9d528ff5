// Metrics that more than one part of the program knows: what the samplers give and the analysis
// reads. A metric that only its sampler knows stands in that sampler's file.
#pragma once

#include <array>
#include <string_view>

#include "collector/metric.h"

namespace idlewatt::metrics {

using enum MetricKind;

// The service that stands for all discovered ones that are not shown by name.
inline constexpr std::string_view kOtherServices = "other";
// The discovered service of the kernel's own threads.
inline constexpr std::string_view kKernelService = "kernel";

inline constexpr Metric kSourceAvailable{
    "idlewatt_source_available",
    kGauge,
    "",
    {{"source", "reason"}},
    "1 if a source can be read here; else 0, with the kind of reason"};

inline constexpr Metric kHostCpuSeconds{"idlewatt_host_cpu_seconds_total",
                                        kCounter,
                                        "seconds",
                                        {{"mode"}},
                                        "CPU time of the host by mode, summed over all CPUs"};

inline constexpr Metric kHostInputIdle = WithDecimals(
    {"idlewatt_host_input_idle_seconds",
     kGauge,
     "seconds",
     {},
     "Time since somebody who is logged in used the keyboard, a terminal or the mouse"},
    0);

inline constexpr Metric kPowerWatts{
    "idlewatt_power_watts",
    kGauge,
    "watts",
    {{"source", "domain"}},
    "Power drawn by a domain, as a source measures it (source=\"model\": computed, not measured)"};
inline constexpr Metric kEnergyJoules{"idlewatt_energy_joules_total",
                                      kCounter,
                                      "joules",
                                      {{"source", "domain"}},
                                      "Energy used by a domain since the daemon started"};
inline constexpr Metric kEnergyCounterResets{
    "idlewatt_energy_counter_resets_total",
    kCounter,
    "",
    {{"source", "domain"}},
    "Times an energy counter fell without a wrap (suspend, driver reload)"};

inline constexpr Metric kTemperature{"idlewatt_temperature_celsius",
                                     kGauge,
                                     "celsius",
                                     {{"chip", "sensor", "label"}},
                                     "Temperature of a sensor of a hardware monitoring chip"};
inline constexpr Metric kTemperatureLimit{"idlewatt_temperature_limit_celsius",
                                          kGauge,
                                          "celsius",
                                          {{"chip", "sensor", "label", "limit"}},
                                          "Limits that a chip sets for a temperature"};
inline constexpr Metric kZoneCelsius{"idlewatt_thermal_zone_celsius",
                                     kGauge,
                                     "celsius",
                                     {{"zone", "type"}},
                                     "Temperature of a thermal zone of the kernel"};
inline constexpr Metric kZoneTripCelsius{
    "idlewatt_thermal_zone_trip_celsius",
    kGauge,
    "celsius",
    {{"zone", "type", "trip"}},
    "Temperature at which the kernel acts on a thermal zone: active, passive, hot or critical"};
inline constexpr Metric kCoolingState{"idlewatt_cooling_device_state",
                                      kGauge,
                                      "",
                                      {{"device", "type"}},
                                      "How hard a cooling device works now, 0 is not at all"};
inline constexpr Metric kCoolingMaxState{"idlewatt_cooling_device_max_state",
                                         kGauge,
                                         "",
                                         {{"device", "type"}},
                                         "Hardest state of a cooling device"};
inline constexpr Metric kThrottleEvents{
    "idlewatt_thermal_throttle_events_total",
    kCounter,
    "",
    {{"scope", "id"}},
    "Times a core or package was slowed down because of heat, since boot"};

inline constexpr Metric kServiceCpuSeconds{
    "idlewatt_service_cpu_seconds_total",
    kCounter,
    "seconds",
    {{"service", "kind", "mode"}},
    "CPU time of all processes of a service, ended children included"};
inline constexpr Metric kServiceMemoryBytes{
    "idlewatt_service_resident_memory_bytes",
    kGauge,
    "bytes",
    {{"service", "kind"}},
    "Resident memory (RSS) of all processes of a service; shared pages count in each process"};
inline constexpr Metric kServiceProcesses{
    "idlewatt_service_processes", kGauge, "", {{"service", "kind"}}, "Processes of a service"};
inline constexpr Metric kServiceThreads{
    "idlewatt_service_threads", kGauge, "", {{"service", "kind"}}, "Threads of a service"};

inline constexpr Metric kServiceState{
    "idlewatt_service_state",
    kGauge,
    "",
    {{"service", "state"}},
    "1 for the state that the supervised service is in, 0 for the others"};
inline constexpr Metric kServiceUptime =
    WithDecimals({"idlewatt_service_uptime_seconds",
                  kGauge,
                  "seconds",
                  {{"service"}},
                  "Time since the root process of the supervised service was started"},
                 1);
// Reasons of a restart that nobody asked for. Each has a series from the first tick on, so that
// increase() sees the first restart.
inline constexpr std::array<std::string_view, 4> kFailedRestarts{"crash", "spawn", "not_ready",
                                                                 "unhealthy"};

inline constexpr Metric kServiceRestarts{
    "idlewatt_service_restarts_total",
    kCounter,
    "",
    {{"service", "reason"}},
    "Starts of the supervised service after a run of it ended, by reason"};

inline constexpr Metric kGpuUtilization{"idlewatt_gpu_utilization_ratio",
                                        kGauge,
                                        "ratio",
                                        {{"gpu"}},
                                        "Share of time in which a GPU was busy, 1 is all of it"};

inline constexpr Metric kServiceRequests{
    "idlewatt_service_requests_total",
    kCounter,
    "",
    {{"service"}},
    "Requests that came through the proxy of a service; those of ignored paths do not count"};
inline constexpr Metric kServiceInflightRequests{"idlewatt_service_inflight_requests",
                                                 kGauge,
                                                 "",
                                                 {{"service"}},
                                                 "Requests that the proxy of a service waits for"};

inline constexpr Metric kServiceGpuMemoryBytes{
    "idlewatt_service_gpu_memory_bytes",
    kGauge,
    "bytes",
    {{"service", "kind", "gpu"}},
    "Memory of a GPU that the processes of a service hold"};
inline constexpr Metric kServiceGpuSeconds{"idlewatt_service_gpu_seconds_total",
                                           kCounter,
                                           "seconds",
                                           {{"service", "kind", "gpu"}},
                                           "Time in which engines of a GPU worked for the "
                                           "processes of a service, summed over the engines"};

inline constexpr Metric kServiceConnections{
    "idlewatt_service_connections",
    kGauge,
    "",
    {{"service"}},
    "Established TCP connections on the ports of a service"};
inline constexpr Metric kServiceConnectionsSeen{
    "idlewatt_service_connections_seen_total",
    kCounter,
    "",
    {{"service"}},
    "TCP connections seen on the ports of a service, short ones included as far as they are seen"};
inline constexpr Metric kServiceLastData{
    "idlewatt_service_last_data_seconds",
    kGauge,
    "seconds",
    {{"service"}},
    "Time since data last came or went on an established TCP connection of a service"};
inline constexpr Metric kServiceNetworkBytes{
    "idlewatt_service_network_bytes_total",
    kCounter,
    "bytes",
    {{"service", "direction"}},
    "Bytes on the TCP connections of the ports of a service"};

}  // namespace idlewatt::metrics
