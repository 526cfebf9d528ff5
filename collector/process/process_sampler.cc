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
constexpr std::array<const Metric*, 7> kMetrics{&metrics::kServiceCpuSeconds,
                                                &metrics::kServiceMemoryBytes,
                                                &metrics::kServiceProcesses,
                                                &metrics::kServiceThreads,
                                                &kOpenFds,
                                                &kIoRead,
                                                &kIoWritten};

constexpr std::chrono::seconds kDescriptorInterval{30};
constexpr std::chrono::hours kForgetAfter{1};
constexpr double kSmoothingSeconds = 60;
// Longer chains of parents exist only in a damaged scan.
constexpr int kMaxDepth = 256;
// A hidden service must use this much more than a shown one to take its place.
constexpr double kHysteresis = 1.25;
constexpr std::string_view kOther = "other";

CpuAccounting::Options AccountingOptions() {
  return {static_cast<int32_t>(::getpid()), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)),
          static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

void Add(CpuTime& sum, const CpuTime& more) {
  sum.user += more.user;
  sum.system += more.system;
}

}  // namespace

const SamplerInfo& ProcessSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "process", "CPU time, memory, threads and I/O of every service", false, kMetrics};
  return kInfo;
}

ProcessSampler::ProcessSampler(const FileRoot& proc, Options options, ServiceDirectory* directory)
    : proc_(proc),
      options_(std::move(options)),
      directory_(directory),
      accounting_(AccountingOptions()),
      classifier_(proc, options_.watched, static_cast<int32_t>(::getpid())),
      page_bytes_(static_cast<double>(::sysconf(_SC_PAGESIZE))),
      ticks_per_second_(static_cast<double>(::sysconf(_SC_CLK_TCK))) {}

Result<void> ProcessSampler::Read(TimePoint now, Readings& out) {
  // Before the scan: a root that is reaped during it must not be counted twice.
  const std::vector<EndedRoot> ended =
      directory_ != nullptr ? directory_->TakeEnded() : std::vector<EndedRoot>();
  const std::vector<SupervisedRoot> roots =
      directory_ != nullptr ? directory_->Roots() : std::vector<SupervisedRoot>();
  RETURN_IF_ERROR(Scan());
  const double seconds = ToSeconds(now.boot - last_read_);
  BeginTick();
  const CpuAccounting::Outcome usage = accounting_.Account(now.boot, scan_, ended);
  for (size_t i = 0; i < ended.size(); ++i) {
    Service& service = services_[{ServiceKind::kSupervised, ended[i].name}];
    Add(service.used, usage.ended[i]);
    service.last_member = now.boot;
  }
  const std::vector<const ServiceKey*> keys = classifier_.Classify(now.boot, scan_, roots);
  AddProcesses(now, keys, usage.processes, seconds, out);
  AddIo(keys);
  if (now.boot >= next_descriptor_count_) {
    next_descriptor_count_ = now.boot + kDescriptorInterval;
    CountDescriptors(keys);
  }
  ChooseShown(now.boot, seconds);
  Publish(out);
  last_read_ = now.boot;
  first_read_ = false;
  out.AddSource("process", std::to_string(scan_.size()) + " processes (backend proc)");
  return {};
}

Result<void> ProcessSampler::Scan() {
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, proc_.List(""));
  size_t count = 0;
  for (const std::string& entry : entries) {
    if (entry[0] < '0' || entry[0] > '9') continue;
    if (count == scan_.size()) scan_.emplace_back();
    // Gone between the listing and the read, or not readable: no process to us.
    if (!proc_.ReadInto(entry + "/stat", buffer_)) continue;
    if (ParsePidStat(buffer_, scan_[count])) ++count;
  }
  scan_.resize(count);
  if (count == 0) {
    return Error{ErrorCode::kNoData, proc_.path(), 0, "shows no process; is proc mounted there?"};
  }
  return {};
}

void ProcessSampler::BeginTick() {
  for (auto& [key, service] : services_) {
    service.memory = 0;
    service.processes = service.threads = 0;
    service.used = {};
  }
}

void ProcessSampler::AddProcesses(TimePoint now, const std::vector<const ServiceKey*>& keys,
                                  const std::vector<CpuAccounting::Usage>& usage, double seconds,
                                  Readings& out) {
  out.processes.reserve(scan_.size());
  for (size_t i = 0; i < scan_.size(); ++i) {
    const PidStat& stat = scan_[i];
    Service& service = services_[*keys[i]];
    Add(service.used, usage[i].used);
    service.last_member = now.boot;
    const double memory = static_cast<double>(std::max<int64_t>(stat.rss_pages, 0)) * page_bytes_;
    service.memory += memory;
    if (!stat.IsZombie()) {
      ++service.processes;
      service.threads += stat.threads;
    }
    std::optional<double> ratio;
    if (!usage[i].first_seen && seconds > 0) ratio = usage[i].used.Total() / seconds;
    out.processes.push_back({stat.pid, stat.parent, stat.start, ToValidUtf8(stat.comm),
                             keys[i]->name, stat.state,
                             static_cast<double>(stat.user + stat.system) / ticks_per_second_,
                             ratio, static_cast<int64_t>(memory), stat.threads});
  }
  for (auto& [key, service] : services_) Add(service.cpu, service.used);
}

// A process that is waited for leaves its I/O to its parent, as with CPU time; here the parent's
// own and inherited bytes come as one number.
void ProcessSampler::AddIo(const std::vector<const ServiceKey*>& keys) {
  for (auto& [pid, known] : io_) known.seen = false;
  std::vector<std::pair<size_t, PidIo>> readings;
  for (size_t i = 0; i < scan_.size(); ++i) {
    if (keys[i]->kind == ServiceKind::kDiscovered) continue;
    if (!proc_.ReadInto(std::to_string(scan_[i].pid) + "/io", buffer_)) continue;
    const Result<PidIo> io = ParsePidIo(buffer_);
    if (!io) continue;
    readings.emplace_back(i, *io);
    const auto it = io_.find(scan_[i].pid);
    if (it != io_.end() && it->second.start == scan_[i].start) it->second.seen = true;
  }
  std::unordered_map<int32_t, PidIo> inherited;
  for (const auto& [pid, known] : io_) {
    if (known.seen) continue;
    int32_t heir = known.parent;  // the nearest that still lives
    for (int depth = 0; depth < kMaxDepth; ++depth) {
      const auto it = io_.find(heir);
      if (it == io_.end() || it->second.seen) break;
      heir = it->second.parent;
    }
    inherited[heir].read_bytes += known.io.read_bytes;
    inherited[heir].write_bytes += known.io.write_bytes;
  }
  std::erase_if(io_, [](const auto& item) { return !item.second.seen; });
  const auto growth = [](uint64_t now, uint64_t before, uint64_t counted) {
    return now > before + counted ? static_cast<double>(now - before - counted) : 0.0;
  };
  for (const auto& [i, io] : readings) {
    const KnownIo before = io_[scan_[i].pid];  // all zero for one that is new
    const PidIo counted = inherited[scan_[i].pid];
    Service& service = services_[*keys[i]];
    service.io_read += growth(io.read_bytes, before.io.read_bytes, counted.read_bytes);
    service.io_written += growth(io.write_bytes, before.io.write_bytes, counted.write_bytes);
    service.io_known = true;
    io_[scan_[i].pid] = {scan_[i].start, io, scan_[i].parent, true};
  }
}

void ProcessSampler::CountDescriptors(const std::vector<const ServiceKey*>& keys) {
  for (auto& [key, service] : services_) service.open_fds.reset();
  for (size_t i = 0; i < scan_.size(); ++i) {
    if (keys[i]->kind == ServiceKind::kDiscovered) continue;
    const auto descriptors = proc_.List(std::to_string(scan_[i].pid) + "/fd");
    if (!descriptors) continue;
    std::optional<double>& open = services_[*keys[i]].open_fds;
    open = open.value_or(0) + static_cast<double>(descriptors->size());
  }
}

void ProcessSampler::ChooseShown(BootTime now, double seconds) {
  std::vector<Service*> candidates;
  const double weight = first_read_ ? 0 : 1 - std::exp(-seconds / kSmoothingSeconds);
  for (auto& [key, service] : services_) {
    if (key.kind != ServiceKind::kDiscovered) continue;
    if (weight > 0) service.busy += weight * (service.used.Total() / seconds - service.busy);
    if (service.processes > 0) candidates.push_back(&service);
  }
  const auto rank = [](const Service* service) {
    const double stay = service->shown ? kHysteresis : 1;
    return std::pair(service->busy * stay, service->memory * stay);
  };
  const auto top = std::min(candidates.size(), static_cast<size_t>(options_.discovered_top));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(top),
                    candidates.end(),
                    [&](const Service* a, const Service* b) { return rank(a) > rank(b); });
  for (size_t i = 0; i < candidates.size(); ++i) candidates[i]->shown = i < top;
  // Services that somebody named keep their counters however long they are stopped.
  std::erase_if(services_, [&](const auto& item) {
    const auto& [key, service] = item;
    return key.kind == ServiceKind::kDiscovered && service.processes == 0 &&
           service.last_member + kForgetAfter < now;
  });
}

void ProcessSampler::Publish(Readings& out) {
  Service other;
  const auto publish = [&](std::string_view name, ServiceKind kind, const Service& service) {
    const std::string_view kind_name = ServiceKindName(kind);
    out.Add(metrics::kServiceCpuSeconds, {name, kind_name, "user"}, service.cpu.user);
    out.Add(metrics::kServiceCpuSeconds, {name, kind_name, "system"}, service.cpu.system);
    out.Add(metrics::kServiceMemoryBytes, {name, kind_name}, service.memory);
    out.Add(metrics::kServiceProcesses, {name, kind_name}, service.processes);
    out.Add(metrics::kServiceThreads, {name, kind_name}, service.threads);
    if (service.open_fds) out.Add(kOpenFds, {name, kind_name}, *service.open_fds);
    if (service.io_known) {
      out.Add(kIoRead, {name, kind_name}, service.io_read);
      out.Add(kIoWritten, {name, kind_name}, service.io_written);
    }
  };
  for (auto& [key, service] : services_) {
    const bool discovered = key.kind == ServiceKind::kDiscovered;
    const bool named = !discovered || (service.shown && service.processes > 0);
    if (named) {
      publish(key.name, key.kind, service);
    } else {
      other.memory += service.memory;
      other.processes += service.processes;
      other.threads += service.threads;
    }
    // The first value of a series shows no growth: what was used until then goes to "other", so
    // that the growth of all series is what all processes used.
    const bool shows_growth = named && (service.was_named || first_read_);
    if (discovered && !shows_growth) Add(other_cpu_, service.used);
    service.was_named = named;
  }
  other.cpu = other_cpu_;
  publish(kOther, ServiceKind::kDiscovered, other);
}

}  // namespace idlewatt
