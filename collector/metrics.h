// Metrics that more than one part of the program knows: what the samplers give and the analysis
// reads. A metric that only its sampler knows stands in that sampler's file.
#pragma once

#include "collector/metric.h"

namespace idlewatt::metrics {

using enum MetricKind;

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
inline constexpr Metric kServiceNetworkBytes{
    "idlewatt_service_network_bytes_total",
    kCounter,
    "bytes",
    {{"service", "direction"}},
    "Bytes on the TCP connections of the ports of a service"};

}  // namespace idlewatt::metrics
