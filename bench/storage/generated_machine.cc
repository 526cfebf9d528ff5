#include "bench/storage/generated_machine.h"

#include <algorithm>
#include <cmath>

namespace idlewatt {
namespace {

constexpr double kSeconds = GeneratedMachine::kIntervalMs / 1000.0;
constexpr double kPage = 4096;
constexpr double kCpus = 8;
constexpr size_t kHostSeries = 31;
constexpr size_t kServiceSeries = 8;

constexpr Metric kTemperature{
    "idlewatt_temperature_celsius", MetricKind::kGauge, "celsius", {{"chip", "sensor"}}, ""};
constexpr Metric kFan{"idlewatt_fan_rpm", MetricKind::kGauge, "rpm", {{"chip", "sensor"}}, ""};
constexpr Metric kEnergy{
    "idlewatt_energy_joules_total", MetricKind::kCounter, "joules", {{"source", "domain"}}, ""};
constexpr Metric kPower{
    "idlewatt_power_watts", MetricKind::kGauge, "watts", {{"source", "domain"}}, ""};
constexpr Metric kHostCpu{
    "idlewatt_host_cpu_seconds_total", MetricKind::kCounter, "seconds", {{"mode"}}, ""};
constexpr Metric kServiceCpu{"idlewatt_service_cpu_seconds_total",
                             MetricKind::kCounter,
                             "seconds",
                             {{"service", "kind", "mode"}},
                             ""};
constexpr Metric kResident{"idlewatt_service_resident_memory_bytes",
                           MetricKind::kGauge,
                           "bytes",
                           {{"service", "kind"}},
                           ""};
constexpr Metric kThreads{
    "idlewatt_service_threads", MetricKind::kGauge, "", {{"service", "kind"}}, ""};
constexpr Metric kOpenFds{
    "idlewatt_service_open_fds", MetricKind::kGauge, "", {{"service", "kind"}}, ""};
constexpr Metric kRead{"idlewatt_service_io_read_bytes_total",
                       MetricKind::kCounter,
                       "bytes",
                       {{"service", "kind"}},
                       ""};
constexpr Metric kWritten{"idlewatt_service_io_written_bytes_total",
                          MetricKind::kCounter,
                          "bytes",
                          {{"service", "kind"}},
                          ""};
constexpr Metric kRequests{
    "idlewatt_service_requests_total", MetricKind::kCounter, "", {{"service", "kind"}}, ""};

// The nearest multiple of 1 / `steps`, by one division: the double that "0.35" would be read as.
double Grain(double value, double steps) { return std::nearbyint(value * steps) / steps; }

}  // namespace

GeneratedMachine::GeneratedMachine(size_t services) : services_(services) {
  for (size_t i = 0; i < kTemperatures; ++i) celsius_[i] = 38 + static_cast<double>(i);
  for (size_t i = 0; i < kFans; ++i) rpm_[i] = 1200 + 200 * static_cast<double>(i);
  for (size_t i = 0; i < services; ++i) {
    Service& service = services_[i];
    service.name = "service" + std::to_string(i);
    service.resident_bytes = kPage * static_cast<double>(50'000 + random_() % 1'000'000);
    service.threads = static_cast<double>(4 + random_() % 30);
    service.open_fds = static_cast<double>(20 + random_() % 100);
  }
  Measure();
}

GeneratedMachine GeneratedMachine::WithSeries(size_t series) {
  const size_t more = series > kHostSeries ? series - kHostSeries : 0;
  return GeneratedMachine((more + kServiceSeries - 1) / kServiceSeries);
}

void GeneratedMachine::Tick() {
  ++tick_;
  time_ms_ = kStartMs + static_cast<int64_t>(tick_) * kIntervalMs + (tick_ % 7 == 0 ? 1 : 0);
  values_.clear();
  Measure();
}

double GeneratedMachine::Normal(double deviation) {
  return std::normal_distribution<double>(0, deviation)(random_);
}

bool GeneratedMachine::Chance(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

void GeneratedMachine::Put(const Metric& metric, std::initializer_list<std::string_view> labels,
                           double value) {
  if (tick_ == 0) series_.push_back({&metric, {labels.begin(), labels.end()}});
  values_.push_back(value);
}

void GeneratedMachine::Measure() {
  const double load = MoveServices();
  PutTemperatures(load);
  PutFans(load);
  PutPower(load);
  PutHostCpu(load);
  for (const Service& service : services_) PutService(service);
}

// One tick of all services; gives back the load of the host, 0 to 4. A service is busy for five
// minutes and idle for half an hour, in the mean.
double GeneratedMachine::MoveServices() {
  double load = 0;
  for (size_t i = 0; i < services_.size(); ++i) {
    Service& service = services_[i];
    if (Chance(service.busy ? 1.0 / 60 : 1.0 / 360)) service.busy = !service.busy;
    if (service.busy) load += 0.5;
    // Of three services, two need a little CPU time while they idle.
    UseCpu(service, service.busy ? kSeconds / 2 : 0.004 * static_cast<double>(i % 3));
    ChangeSize(service);
    Serve(service, i);
  }
  return std::min(load, 4.0);
}

// The first eight are CPU cores in whole degrees, then two in eighths and two in twentieths.
void GeneratedMachine::PutTemperatures(double load) {
  for (size_t i = 0; i < kTemperatures; ++i) {
    const double target = 40 + load * 8 + static_cast<double>(i);
    celsius_[i] += (target - celsius_[i]) * 0.05 + Normal(0.3);
    const double grain = i < 8 ? 1 : i < 10 ? 8 : 20;
    const char* chip = i < 8 ? "coretemp-isa-0000" : i < 10 ? "jc42-i2c-0-18" : "nvme-pci-0100";
    Put(kTemperature, {chip, "temp" + std::to_string(i + 1)}, Grain(celsius_[i], grain));
  }
}

void GeneratedMachine::PutFans(double load) {
  for (size_t i = 0; i < kFans; ++i) {
    const double target = 1200 + 200 * static_cast<double>(i) + load * 300;
    rpm_[i] += (target - rpm_[i]) * 0.1 + Normal(4);
    Put(kFan, {"nct6798-isa-0290", "fan" + std::to_string(i + 1)}, Grain(rpm_[i], 1));
  }
}

// Energy in millijoules and power in milliwatts, as ring and history keep them.
void GeneratedMachine::PutPower(double load) {
  constexpr std::array<const char*, kDomains> kNames = {"package-0", "core", "dram", "psys"};
  constexpr std::array<const char*, kDomains> kMeters = {"cpu", "vrm", "dimm", "system"};
  constexpr std::array<double, kDomains> kIdleWatts = {6, 2, 1.2, 14};
  constexpr std::array<double, kDomains> kLoadWatts = {7.2, 6, 0.8, 10};
  for (size_t i = 0; i < kDomains; ++i) {
    const double noise = std::abs(Normal(0.15 * (1 + load)));
    const double watts = kIdleWatts[i] + kLoadWatts[i] * load + noise;
    joules_[i] += watts * kSeconds;
    Put(kEnergy, {"rapl", kNames[i]}, Grain(joules_[i], 1000));
    Put(kPower, {"hwmon", kMeters[i]}, Grain(watts, 1000));
  }
}

void GeneratedMachine::PutHostCpu(double load) {
  constexpr std::array<const char*, kModes> kNames = {"user",   "nice", "system",  "idle",
                                                      "iowait", "irq",  "softirq", "steal"};
  const double busy = 0.75 * load + 0.065;
  const std::array<double, kModes> share = {
      0.6 * load + 0.03, 0, 0.15 * load + 0.02, kCpus - busy, 0.01, 0, 0.005, 0};
  for (size_t i = 0; i < kModes; ++i) {
    const double seconds = share[i] * kSeconds;
    if (seconds > 0) cpu_seconds_[i] += std::max(0.0, seconds + Normal(0.05 * std::sqrt(seconds)));
    Put(kHostCpu, {kNames[i]}, Grain(cpu_seconds_[i], 100));
  }
}

void GeneratedMachine::UseCpu(Service& service, double seconds) {
  if (seconds <= 0) return;
  service.user_seconds += std::max(0.0, seconds + Normal(0.2 * seconds));
  service.system_seconds += std::max(0.0, 0.2 * seconds + Normal(0.05 * seconds));
}

void GeneratedMachine::ChangeSize(Service& service) {
  const bool busy = service.busy;
  if (Chance(busy ? 0.3 : 0.02)) {
    const double pages = std::nearbyint(Normal(busy ? 200 : 4));
    service.resident_bytes = std::max(kPage, service.resident_bytes + kPage * pages);
  }
  if (Chance(busy ? 0.02 : 0.001)) {
    service.threads = std::max(1.0, service.threads + std::nearbyint(Normal(1)));
  }
  if (Chance(busy ? 0.2 : 0.005)) {
    service.open_fds = std::max(5.0, service.open_fds + std::nearbyint(Normal(2)));
  }
}

// Requests and what is read and written for them; while idle only a health check each minute.
void GeneratedMachine::Serve(Service& service, size_t number) {
  if (!service.busy) {
    if ((tick_ + number) % 12 == 0) service.requests += 1;
    return;
  }
  service.read_bytes += kPage * std::max(0.0, std::nearbyint(Normal(30)));
  service.written_bytes += kPage * std::nearbyint(std::abs(Normal(6)));
  service.requests += std::poisson_distribution<int>(6)(random_);
}

void GeneratedMachine::PutService(const Service& service) {
  constexpr const char* kKind = "supervised";
  Put(kServiceCpu, {service.name, kKind, "user"}, Grain(service.user_seconds, 100));
  Put(kServiceCpu, {service.name, kKind, "system"}, Grain(service.system_seconds, 100));
  Put(kResident, {service.name, kKind}, service.resident_bytes);
  Put(kThreads, {service.name, kKind}, service.threads);
  Put(kOpenFds, {service.name, kKind}, service.open_fds);
  Put(kRead, {service.name, kKind}, service.read_bytes);
  Put(kWritten, {service.name, kKind}, service.written_bytes);
  Put(kRequests, {service.name, kKind}, service.requests);
}

}  // namespace idlewatt
