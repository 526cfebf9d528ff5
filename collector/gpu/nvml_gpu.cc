#include "collector/gpu/nvml_gpu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "collector/gpu/gpu_metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

// No GPU draws more; what says so is not a measurement.
constexpr double kMaxWatts = 100'000;
constexpr double kMaxCelsius = 200;
constexpr unsigned kMaxMigInstances = 64;
// Over a longer pause (a suspend, a driver that hung) the driver's samples tell nothing.
constexpr std::chrono::minutes kLongestInterval{5};
// Samples that are so much later than now are from before the wall clock was set back.
constexpr std::chrono::seconds kClockSlack{10};

// Failures after which the same GPU need not be asked anything else.
bool EndsReading(NvmlReturn code) {
  return code == NvmlReturn::kGpuIsLost || code == NvmlReturn::kResetRequired ||
         code == NvmlReturn::kUninitialized || code == NvmlReturn::kDriverNotLoaded ||
         code == NvmlReturn::kVersionMismatch;
}

}  // namespace

struct NvmlGpu::Pass {
  const NvmlApi& api;
  NvmlDevice device;
  const std::string& name;
  const std::string& driver;
  TimePoint now;
  Readings& out;
  std::vector<GpuClient>& clients;

  bool mig = false;
  std::optional<double> utilization;
  std::optional<Memory> processes;
  std::string gives;  // "power, energy"
  std::vector<std::pair<std::string, NvmlReturn>> faults;
  NvmlReturn failure = NvmlReturn::kSuccess;

  // Does `code` come with a value? Notes what went wrong.
  bool Take(NvmlReturn code, const std::string& what) {
    if (code == NvmlReturn::kSuccess) return true;
    if (NvmlHasNoValue(code)) return false;
    faults.emplace_back(what, code);
    if (EndsReading(code)) failure = code;
    return false;
  }
  void Gives(const std::string& what) { gives += (gives.empty() ? "" : ", ") + what; }
};

NvmlGpu::Outcome NvmlGpu::Read(const NvmlApi& api, NvmlDevice device, const std::string& name,
                               const std::string& driver, TimePoint now, Readings& out,
                               std::vector<GpuClient>& clients) {
  Pass pass{api, device, name, driver, now, out, clients, {}, {}, {}, {}, {}, {}};
  pass.Take(api.IsMigEnabled(device, pass.mig), "mig");
  for (const auto step : {&NvmlGpu::ReadPower, &NvmlGpu::ReadEnergy, &NvmlGpu::ReadUtilization,
                          &NvmlGpu::ReadTemperature, &NvmlGpu::ReadMemoryAndProcesses}) {
    if (pass.failure == NvmlReturn::kSuccess) (this->*step)(pass);
  }
  if (pass.failure == NvmlReturn::kSuccess && pass.gives.empty()) {
    pass.failure = pass.faults.empty() ? NvmlReturn::kNotSupported : pass.faults.front().second;
  }
  if (pass.failure != NvmlReturn::kSuccess) {
    return {pass.failure, false};
  }
  const std::string model = api.Name(device);
  out.Add(metrics::kGpuInfo, {name, api.Uuid(device), model, driver}, 1);
  const std::string row = "nvml:" + name;
  out.AddSource(row, pass.gives + (model.empty() ? "" : " of " + model));
  for (const auto& [what, code] : pass.faults) {
    NvmlFault fault = api.Explain(code, name);
    std::string part = row + ":";
    part += what;
    out.AddRefused(std::move(part), "a part of its values", std::move(fault.error),
                   std::move(fault.remedy));
  }
  const bool unused = pass.processes.value_or(Memory()).empty() && !pass.mig;
  return {NvmlReturn::kSuccess, unused && pass.utilization.value_or(0) == 0};
}

void NvmlGpu::Lose() {
  last_energy_.reset();
  busy_.clear();
  Pause();
}

void NvmlGpu::ReadPower(Pass& pass) {
  unsigned milliwatts = 0;
  if (!pass.Take(pass.api.PowerMilliwatts(pass.device, milliwatts), "power")) return;
  const double watts = static_cast<double>(milliwatts) / 1e3;
  if (IsNvmlBlank(milliwatts) || watts > kMaxWatts) return;
  pass.out.Add(metrics::kPowerWatts, {"nvml", pass.name}, watts);
  pass.Gives("power");
}

void NvmlGpu::ReadEnergy(Pass& pass) {
  unsigned long long millijoules = 0;
  if (!pass.Take(pass.api.EnergyMillijoules(pass.device, millijoules), "energy")) return;
  if (IsNvmlBlank(millijoules)) return;
  // After a reset there is no value for once, so that nobody takes the interval for one of 0 W.
  if (AccountEnergy(static_cast<double>(millijoules) / 1e3, pass.now.boot)) {
    pass.out.Add(metrics::kEnergyJoules, {"nvml", pass.name}, joules_);
  }
  pass.out.Add(metrics::kEnergyCounterResets, {"nvml", pass.name}, resets_);
  pass.Gives("energy");
}

// False after a reset: what was used since the last reading is not known.
bool NvmlGpu::AccountEnergy(double joules, BootTime now) {
  const std::optional<double> last = std::exchange(last_energy_, joules);
  const double seconds = ToSeconds(now - std::exchange(last_energy_time_, now));
  if (!last) return true;
  const double grown = joules - *last;
  // NVML's counter may be a second behind our clock.
  if (grown < 0 || grown > kMaxWatts * (seconds + 1)) {
    ++resets_;
    return false;
  }
  joules_ += grown;
  return true;
}

void NvmlGpu::ReadUtilization(Pass& pass) {
  if (pass.mig) return;  // what the driver says of the whole is then not about its instances
  unsigned percent = 0;
  if (!pass.Take(pass.api.UtilizationPercent(pass.device, percent), "utilization")) return;
  if (percent > 100) return;
  pass.utilization = static_cast<double>(percent) / 100;
  pass.out.Add(metrics::kGpuUtilization, {pass.name}, *pass.utilization);
  pass.Gives("utilization");
}

void NvmlGpu::ReadTemperature(Pass& pass) {
  unsigned celsius = 0;
  if (!pass.Take(pass.api.TemperatureCelsius(pass.device, celsius), "temperature")) return;
  if (IsNvmlBlank(celsius) || celsius > kMaxCelsius) return;
  pass.out.Add(metrics::kGpuTemperature, {pass.name}, celsius);
  pass.Gives("temperature");
}

void NvmlGpu::ReadMemoryAndProcesses(Pass& pass) {
  if (pass.mig) {
    ReadMigInstances(pass);
    return;
  }
  if (ReadMemory(pass, pass.device, pass.name)) pass.Gives("memory");
  pass.processes = ReadProcesses(pass, pass.device, pass.name);
  if (!pass.processes) {
    Pause();
    return;
  }
  CountBusy(pass);
  for (const auto& [pid, memory] : *pass.processes) {
    pass.clients.push_back({pid, pass.name, memory, busy_[pid]});
  }
  pass.Gives("processes");
}

// Memory and processes of the instances, each as a GPU of its own; the driver knows the busy time
// of neither. The whole gives its memory only while it has no instance: no byte counts twice.
void NvmlGpu::ReadMigInstances(Pass& pass) {
  unsigned limit = 0;
  pass.Take(pass.api.MigDeviceLimit(pass.device, limit), "mig");
  int found = 0;
  for (unsigned i = 0; i < std::min(limit, kMaxMigInstances); ++i) {
    const std::string label = "mig" + std::to_string(i);
    NvmlDevice device = nullptr;
    // An index without an instance is none of our business.
    if (!pass.Take(pass.api.MigDevice(pass.device, i, device), label)) continue;
    ++found;
    const std::string name = pass.name + "-" + label;
    pass.out.Add(metrics::kGpuInfo,
                 {name, pass.api.Uuid(device), pass.api.Name(device), pass.driver}, 1);
    ReadMemory(pass, device, name);
    const std::optional<Memory> processes = ReadProcesses(pass, device, name);
    for (const auto& [pid, memory] : processes.value_or(Memory())) {
      pass.clients.push_back({pid, name, memory, 0});
    }
  }
  if (found == 0 && ReadMemory(pass, pass.device, pass.name)) pass.Gives("memory");
  if (found > 0) pass.Gives("memory and processes of " + std::to_string(found) + " MIG instances");
}

bool NvmlGpu::ReadMemory(Pass& pass, NvmlDevice device, const std::string& name) {
  unsigned long long used = 0;
  unsigned long long total = 0;
  const std::string what = name == pass.name ? "memory" : name.substr(pass.name.size() + 1);
  if (!pass.Take(pass.api.MemoryBytes(device, used, total), what)) return false;
  const bool total_known = !IsNvmlBlank(total) && total > 0;
  const bool used_known = !IsNvmlBlank(used) && (!total_known || used <= total);
  if (total_known) pass.out.Add(metrics::kGpuMemoryTotal, {name}, static_cast<double>(total));
  if (used_known) pass.out.Add(metrics::kGpuMemoryUsed, {name}, static_cast<double>(used));
  return total_known || used_known;
}

// The processes on `device`; nothing when they are not known.
std::optional<NvmlGpu::Memory> NvmlGpu::ReadProcesses(Pass& pass, NvmlDevice device,
                                                      const std::string& name) {
  std::vector<NvmlProcess> listed;
  const std::string what =
      name == pass.name ? "processes" : name.substr(pass.name.size() + 1) + ":processes";
  if (!pass.Take(pass.api.Processes(device, listed), what)) return std::nullopt;
  Memory processes;
  for (const NvmlProcess& process : listed) {
    constexpr auto kMaxPid = static_cast<unsigned>(std::numeric_limits<int32_t>::max());
    if (process.pid == 0 || process.pid > kMaxPid || IsNvmlBlank(process.pid)) continue;
    const double memory = IsNvmlBlank(process.memory_bytes)
                              ? std::numeric_limits<double>::quiet_NaN()
                              : static_cast<double>(process.memory_bytes);
    // What computes and draws is in both lists, with the same memory.
    const auto [it, added] = processes.emplace(static_cast<int32_t>(process.pid), memory);
    if (!added) it->second = std::fmax(it->second, memory);
  }
  return processes;
}

void NvmlGpu::CountBusy(Pass& pass) {
  std::erase_if(busy_, [&](const auto& item) { return !pass.processes->contains(item.first); });
  for (const auto& [pid, memory] : *pass.processes) busy_.try_emplace(pid, 0);
  const std::optional<BootTime> last = std::exchange(last_busy_, pass.now.boot);
  const bool known = last && pass.now.boot - *last <= kLongestInterval;
  const double elapsed = known ? ToSeconds(pass.now.boot - *last) : 0;

  const auto latest = std::chrono::duration_cast<std::chrono::microseconds>(
      pass.now.wall.time_since_epoch() + kClockSlack);
  const auto latest_us = static_cast<unsigned long long>(std::max<int64_t>(latest.count(), 0));
  if (newest_sample_us_ > latest_us) newest_sample_us_ = 0;
  std::vector<NvmlProcessSample> samples;
  const NvmlReturn code = pass.api.ProcessSamples(pass.device, newest_sample_us_, samples);
  if (code == NvmlReturn::kNotSupported || code == NvmlReturn::kFunctionNotFound ||
      code == NvmlReturn::kNoPermission) {
    // Whose use it is is certain only when there is one.
    if (busy_.size() == 1) busy_.begin()->second += pass.utilization.value_or(0) * elapsed;
  } else if (pass.Take(code, "busy")) {
    AddSamples(samples, elapsed, latest_us);
  }
}

// A sample is the mean since the one before it; where there was none for a while, because nobody
// used the GPU, since our last reading.
void NvmlGpu::AddSamples(const std::vector<NvmlProcessSample>& samples, double elapsed,
                         unsigned long long latest_us) {
  std::vector<NvmlProcessSample> sorted;
  for (const NvmlProcessSample& sample : samples) {
    const bool is_new = sample.time_us > newest_sample_us_ && sample.time_us <= latest_us;
    if (sample.pid != 0 && sample.sm_percent <= 100 && is_new) sorted.push_back(sample);
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.pid, a.time_us) < std::pair(b.pid, b.time_us);
  });
  const unsigned long long since_us = newest_sample_us_;
  unsigned long long previous_us = 0;
  double left = 0;  // of the interval, for this process
  for (size_t i = 0; i < sorted.size(); ++i) {
    const NvmlProcessSample& sample = sorted[i];
    if (i == 0 || sorted[i - 1].pid != sample.pid) {
      left = elapsed;
      previous_us = since_us;
    }
    const bool first_ever = previous_us == 0;
    const double seconds =
        first_ever ? left : std::min(left, static_cast<double>(sample.time_us - previous_us) / 1e6);
    left -= seconds;
    previous_us = sample.time_us;
    newest_sample_us_ = std::max(newest_sample_us_, sample.time_us);
    const auto process = busy_.find(static_cast<int32_t>(sample.pid));
    if (process != busy_.end()) process->second += seconds * sample.sm_percent / 100;
  }
}

}  // namespace idlewatt
