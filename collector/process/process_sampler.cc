#include "collector/process/process_sampler.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kOpenFds{"idlewatt_service_open_fds",
                          kGauge,
                          "",
                          {{"service", "kind"}},
                          "Open file descriptors of a supervised or watched service"};
constexpr Metric kIoRead{"idlewatt_service_io_read_bytes_total",
                         kCounter,
                         "bytes",
                         {{"service", "kind"}},
                         "Bytes a supervised or watched service read from storage"};
constexpr Metric kIoWritten{"idlewatt_service_io_written_bytes_total",
                            kCounter,
                            "bytes",
                            {{"service", "kind"}},
                            "Bytes a supervised or watched service wrote to storage"};
constexpr std::array<const Metric*, 9> kMetrics{&metrics::kServiceCpuSeconds,
                                                &metrics::kServiceMemoryBytes,
                                                &metrics::kServiceProcesses,
                                                &metrics::kServiceThreads,
                                                &kOpenFds,
                                                &kIoRead,
                                                &kIoWritten,
                                                &metrics::kServiceGpuMemoryBytes,
                                                &metrics::kServiceGpuSeconds};

constexpr std::chrono::seconds kDescriptorInterval{30};
constexpr std::chrono::hours kForgetAfter{1};
constexpr double kSmoothingSeconds = 60;
// A hidden service must draw this much more than a shown one to take its place.
constexpr double kHysteresis = 1.25;

// What a service draws is known only of those that are shown by name. To choose them a guess is
// enough that has the right order: a busy CPU, a busy GPU engine, and GPU memory that is held,
// which keeps a GPU awake.
constexpr double kWattsOfBusyCpu = 5;
constexpr double kWattsOfBusyGpu = 100;
constexpr double kWattsOfGpuGigabyte = 1;

bool IsDiscovered(const ServiceEntry& service) {
  return service.first.kind == ServiceKind::kDiscovered;
}

double GuessedWatts(const MeasuredService& service, double seconds) {
  double watts = kWattsOfBusyCpu * service.used.Total() / seconds;
  for (const auto& [name, gpu] : service.gpus) {
    watts +=
        kWattsOfBusyGpu * gpu.used_seconds / seconds + kWattsOfGpuGigabyte * gpu.memory_bytes / 1e9;
  }
  return watts;
}

}  // namespace

const SamplerInfo& ProcessSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "process", "CPU time, memory, threads, I/O and GPU use of every service", false, kMetrics};
  return kInfo;
}

ProcessSampler::ProcessSampler(const MachineRoots& roots, std::unique_ptr<ProcessBackend> backend,
                               Options options, ServiceDirectory* directory,
                               std::shared_ptr<GpuBoard> board)
    : proc_(roots.proc),
      backend_(std::move(backend)),
      options_(std::move(options)),
      directory_(directory),
      board_(std::move(board)),
      classifier_(proc_, options_.watched, static_cast<int32_t>(::getpid()), services_),
      io_(proc_),
      cgroup_cpu_(roots.sys) {}

Result<void> ProcessSampler::Read(TimePoint now, Readings& out) {
  // Before the scan: a root that is reaped during it must not be counted twice.
  const std::vector<EndedRoot> ended =
      directory_ != nullptr ? directory_->TakeEnded() : std::vector<EndedRoot>();
  const std::vector<SupervisedRoot> roots =
      directory_ != nullptr ? directory_->Roots() : std::vector<SupervisedRoot>();
  RETURN_IF_ERROR(backend_->Scan(now.boot, ended, scan_));
  const Owners owners = classifier_.Classify(now.boot, scan_.processes, roots, ended);
  const double seconds = ToSeconds(now.boot - last_read_);
  BeginTick();
  AddProcesses(now, owners);
  AddEnded(now);
  AddIo(owners);
  if (!backend_->TellsOfEnded()) PreferCgroups(owners);
  for (auto& [key, service] : services_) service.cpu += service.used;
  other_cpu_ += unowned_;
  AddGpus();
  if (now.boot >= next_descriptor_count_) {
    next_descriptor_count_ = now.boot + kDescriptorInterval;
    CountDescriptors(owners);
  }
  ChooseShown(seconds);
  out.processes = Rows(owners, seconds);
  Publish(out);
  ForgetEmpty(now.boot);
  last_read_ = now.boot;
  first_read_ = false;
  out.AddSource("process", std::to_string(scan_.processes.size()) + " processes (backend " +
                               std::string(backend_->name()) + ")");
  if (options_.without_bpf) {
    out.AddRefused("process:bpf", "CPU time to the nanosecond, short-lived processes",
                   *options_.without_bpf,
                   options_.without_bpf->code == ErrorCode::kPermission
                       ? "run as root, or: setcap cap_bpf,cap_perfmon+ep $(command -v idlewatt)"
                       : "");
  }
  return {};
}

void ProcessSampler::BeginTick() {
  cgroup_cpu_.BeginTick();
  unowned_ = {};
  for (auto& [key, service] : services_) {
    service.memory_bytes = 0;
    service.processes = service.threads = 0;
    service.used = {};
    for (auto& [name, gpu] : service.gpus) gpu.memory_bytes = gpu.used_seconds = 0;
  }
}

void ProcessSampler::AddProcesses(TimePoint now, const Owners& owners) {
  for (size_t i = 0; i < owners.size(); ++i) {
    const Process& process = scan_.processes[i];
    MeasuredService& service = owners[i]->second;
    service.used += process.used;
    service.last_member = now.boot;
    service.memory_bytes += static_cast<double>(process.memory_bytes);
    if (!process.IsZombie()) {
      ++service.processes;
      service.threads += process.threads;
    }
  }
}

void ProcessSampler::AddIo(const Owners& owners) {
  std::vector<bool> marked(owners.size());
  for (size_t i = 0; i < owners.size(); ++i) marked[i] = !IsDiscovered(*owners[i]);
  const std::vector<std::optional<IoBytes>> used = io_.Read(scan_.processes, marked);
  for (size_t i = 0; i < owners.size(); ++i) {
    if (!used[i]) continue;
    MeasuredService& service = owners[i]->second;
    service.io.read += used[i]->read;
    service.io.written += used[i]->written;
    service.io_known = true;
  }
}

void ProcessSampler::AddEnded(TimePoint now) {
  for (const EndedUse& ended : scan_.ended) {
    ServiceEntry* owner = classifier_.OwnerOf(ended);
    if (owner == nullptr) {
      unowned_ += ended.used;
      continue;
    }
    owner->second.used += ended.used;
    owner->second.last_member = now.boot;
  }
}

void ProcessSampler::PreferCgroups(const Owners& owners) {
  if (classifier_.changed()) {
    cgroup_cpu_.Assign(owners,
                       [this](size_t i) -> const std::string& { return classifier_.CgroupOf(i); });
  }
  for (ServiceEntry& service : services_) {
    // A read each: only where a number is shown that it can better.
    if (IsDiscovered(service) && !service.second.shown) continue;
    if (const auto used = cgroup_cpu_.Used(service)) service.second.used = *used;
  }
}

void ProcessSampler::AddGpus() {
  std::map<std::pair<int32_t, std::string>, double> seconds;
  for (const GpuClient& client : board_->Clients()) {
    const auto [it, added] = seconds.try_emplace({client.pid, client.gpu}, client.busy_seconds);
    if (!added) it->second += client.busy_seconds;
    ServiceEntry* owner = classifier_.OwnerOf(client.pid);
    if (owner == nullptr) continue;
    owner->second.gpus[client.gpu].memory_bytes += client.memory_bytes;
  }
  for (const auto& [key, total] : seconds) {
    const auto before = gpu_seconds_.find(key);
    // A counter that fell is that of another process.
    const bool joins = before != gpu_seconds_.end() && before->second <= total;
    const double used = joins ? total - before->second : total;
    if (ServiceEntry* owner = classifier_.OwnerOf(key.first)) {
      MeasuredService::Gpu& gpu = owner->second.gpus[key.second];
      gpu.used_seconds += used;
      gpu.busy_seconds += used;
    }
  }
  gpu_seconds_.swap(seconds);
}

void ProcessSampler::CountDescriptors(const Owners& owners) {
  for (auto& [key, service] : services_) service.open_fds.reset();
  for (size_t i = 0; i < owners.size(); ++i) {
    if (IsDiscovered(*owners[i])) continue;
    const auto descriptors = proc_.List(std::to_string(scan_.processes[i].pid) + "/fd");
    if (!descriptors) continue;
    std::optional<double>& open = owners[i]->second.open_fds;
    open = open.value_or(0) + static_cast<double>(descriptors->size());
  }
}

void ProcessSampler::ChooseShown(double seconds) {
  std::vector<MeasuredService*> candidates;
  const double weight = first_read_ ? 0 : 1 - std::exp(-seconds / kSmoothingSeconds);
  for (auto& [key, service] : services_) {
    if (key.kind != ServiceKind::kDiscovered) continue;
    if (weight > 0) service.watts += weight * (GuessedWatts(service, seconds) - service.watts);
    if (service.processes > 0) candidates.push_back(&service);
  }
  const auto rank = [](const MeasuredService* service) {
    const double stay = service->shown ? kHysteresis : 1;
    return std::pair(service->watts * stay, service->memory_bytes * stay);
  };
  const auto top = std::min(candidates.size(), static_cast<size_t>(options_.discovered_top));
  std::partial_sort(
      candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(top), candidates.end(),
      [&](const MeasuredService* a, const MeasuredService* b) { return rank(a) > rank(b); });
  for (size_t i = 0; i < candidates.size(); ++i) candidates[i]->shown = i < top;
}

// Services that somebody named keep their counters however long they are stopped.
void ProcessSampler::ForgetEmpty(BootTime now) {
  for (auto& [key, service] : services_) {
    service.ticks_empty = service.processes > 0 ? 0 : service.ticks_empty + 1;
  }
  std::erase_if(services_, [&](const ServiceEntry& entry) {
    return IsDiscovered(entry) && entry.second.ticks_empty > 2 &&
           entry.second.last_member + kForgetAfter < now;
  });
}

ProcessRows ProcessSampler::Rows(const Owners& owners, double seconds) const {
  auto rows = std::make_shared<std::vector<ProcessRow>>();
  rows->reserve(owners.size());
  for (size_t i = 0; i < owners.size(); ++i) {
    const Process& process = scan_.processes[i];
    std::optional<double> ratio;
    if (!process.first_seen && seconds > 0) ratio = process.used.Total() / seconds;
    rows->push_back({process.pid, process.parent, process.start, ToValidUtf8(process.comm),
                     owners[i]->second.name, process.state, process.total.Total(), ratio,
                     process.memory_bytes, process.threads});
  }
  return rows;
}

void ProcessSampler::Publish(Readings& out) {
  MeasuredService other;
  const auto publish = [&](const std::string& name, ServiceKind kind,
                           const MeasuredService& service) {
    const std::string_view kind_name = ServiceKindName(kind);
    out.Add(metrics::kServiceCpuSeconds, {name, kind_name, "user"}, service.cpu.user);
    out.Add(metrics::kServiceCpuSeconds, {name, kind_name, "system"}, service.cpu.system);
    out.Add(metrics::kServiceMemoryBytes, {name, kind_name}, service.memory_bytes);
    out.Add(metrics::kServiceProcesses, {name, kind_name}, service.processes);
    out.Add(metrics::kServiceThreads, {name, kind_name}, service.threads);
    if (service.open_fds) out.Add(kOpenFds, {name, kind_name}, *service.open_fds);
    if (service.io_known) {
      out.Add(kIoRead, {name, kind_name}, service.io.read);
      out.Add(kIoWritten, {name, kind_name}, service.io.written);
    }
  };
  for (auto& [name, gpu] : other_gpus_) gpu.memory_bytes = 0;
  for (auto& [key, service] : services_) {
    const bool discovered = key.kind == ServiceKind::kDiscovered;
    const bool named = !discovered || (service.shown && service.processes > 0);
    if (named) {
      publish(key.name, key.kind, service);
    } else {
      other.memory_bytes += service.memory_bytes;
      other.processes += service.processes;
      other.threads += service.threads;
    }
    PublishGpus(out, key.name, key.kind, named, service);
    // The first value of a series shows no growth: what was used until then goes to "other", so
    // that the growth of all series is what all processes used.
    const bool shows_growth = named && (service.was_named || first_read_);
    if (discovered && !shows_growth) other_cpu_ += service.used;
    service.was_named = named;
  }
  other.cpu = other_cpu_;
  publish(std::string(metrics::kOtherServices), ServiceKind::kDiscovered, other);
  const std::string_view kind = ServiceKindName(ServiceKind::kDiscovered);
  for (const auto& [name, gpu] : other_gpus_) {
    out.Add(metrics::kServiceGpuMemoryBytes, {metrics::kOtherServices, kind, name},
            gpu.memory_bytes);
    out.Add(metrics::kServiceGpuSeconds, {metrics::kOtherServices, kind, name}, gpu.busy_seconds);
  }
}

// With the same rule for the first value of a series.
void ProcessSampler::PublishGpus(Readings& out, const std::string& name, ServiceKind kind,
                                 bool named, MeasuredService& service) {
  for (auto& [gpu_name, gpu] : service.gpus) {
    if (named) {
      const std::string_view kind_name = ServiceKindName(kind);
      out.Add(metrics::kServiceGpuMemoryBytes, {name, kind_name, gpu_name}, gpu.memory_bytes);
      out.Add(metrics::kServiceGpuSeconds, {name, kind_name, gpu_name}, gpu.busy_seconds);
    } else {
      other_gpus_[gpu_name].memory_bytes += gpu.memory_bytes;
    }
    const bool shows_growth = named && (gpu.was_named || first_read_);
    if (!shows_growth) other_gpus_[gpu_name].busy_seconds += gpu.used_seconds;
    gpu.was_named = named;
  }
}

}  // namespace idlewatt
