#include "collector/gpu/drm_clients.h"

#include <algorithm>

#include "base/text.h"
#include "collector/proc_text.h"

namespace idlewatt {
namespace {

using Gpu = DrmClients::Gpu;
using std::chrono::minutes;

constexpr std::string_view kNodes = "/dev/dri/";
// The kernel lets a counter fall, if it soon catches up; one that stays low has begun anew.
constexpr auto kCatchUp = minutes(1);
// No class has more engines: a growth beyond that is no use but a counter of nonsense.
constexpr double kMostEngines = 256;

// The processes below /proc in the order of their numbers.
Result<std::set<int32_t>> Pids(const FileRoot& proc) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, proc.List("."));
  std::set<int32_t> pids;
  for (const std::string& name : names) {
    const auto pid = ParseNumber<int32_t>(name);
    if (pid && *pid > 0) pids.insert(*pid);
  }
  return pids;
}

const Gpu* WithFolder(const std::vector<Gpu>& gpus, std::string_view folder) {
  const auto it =
      std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& gpu) { return gpu.folder == folder; });
  return it == gpus.end() ? nullptr : &*it;
}

const Gpu* WithAddress(const std::vector<Gpu>& gpus, std::string_view address) {
  const auto it = std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& gpu) {
    return !address.empty() && gpu.pci_address == address;
  });
  return it == gpus.end() ? nullptr : &*it;
}

// Does the descriptor tell how busy its client keeps the engines?
bool TellsUse(const DrmFdinfo& info) {
  return std::any_of(info.engines.begin(), info.engines.end(), [](const auto& named) {
    const DrmEngine& engine = named.second;
    return engine.busy_ns || (engine.cycles && engine.total_cycles);
  });
}

}  // namespace

Result<void> DrmClients::Read(BootTime now, const std::vector<Gpu>& gpus, const Nodes& nodes) {
  const Result<std::set<int32_t>> pids = Pids(proc_);
  Forget(pids.value_or(std::set<int32_t>()));
  if (!pids) {
    use_.clear();
    return pids.error();
  }
  Scan scan{now, gpus, nodes, false, {}, {}};
  bool any_awake = false;
  for (const Gpu& gpu : gpus) (gpu.asleep ? scan.any_asleep : any_awake) = true;
  if (any_awake) {
    // Where the processes of others are hidden the first of all is not there.
    sees_others_ = pids->contains(1);
    for (auto& [folder, use] : use_) {
      use.complete = true;
      use.busy_seconds.clear();
    }
    for (const int32_t pid : *pids) {
      if (first_ || pid % kTurns == turn_ || holders_.contains(pid)) LookInto(pid, scan);
    }
    first_ = false;
    turn_ = (turn_ + 1) % kTurns;
    holders_ = std::move(scan.holders);
    for (const auto& [key, seen] : scan.seen) Account(key, seen, now);
  }
  DropUnseen(scan);
  UpdateUtilization(scan);
  return {};
}

// Drops what is known of processes that ended.
void DrmClients::Forget(const std::set<int32_t>& pids) {
  const auto ended = [&](int32_t pid) { return !pids.contains(pid); };
  std::erase_if(holders_, ended);
  std::erase_if(refused_, ended);
  std::erase_if(busy_seconds_, [&](const auto& entry) { return ended(entry.first.first); });
  std::erase_if(clients_, [&](const auto& entry) { return ended(entry.second.pid); });
}

void DrmClients::LookInto(int32_t pid, Scan& scan) {
  const std::string folder = std::to_string(pid) + "/fd";
  const auto descriptors = proc_.List(folder);
  if (!descriptors) {
    if (descriptors.error().code == ErrorCode::kPermission) NoteRefused(pid);
    return;
  }
  refused_.erase(pid);
  for (const std::string& descriptor : *descriptors) {
    const Result<std::string> target = proc_.ReadLink(folder + "/" + descriptor);
    if (!target || !target->starts_with(kNodes)) continue;
    ReadDescriptor(pid, descriptor, std::string_view(*target).substr(kNodes.size()), scan);
  }
}

void DrmClients::ReadDescriptor(int32_t pid, const std::string& descriptor, std::string_view node,
                                Scan& scan) {
  const auto known_node = scan.nodes.find(node);
  const Gpu* gpu = nullptr;
  if (known_node != scan.nodes.end()) {
    gpu = WithFolder(scan.gpus, known_node->second);
    if (gpu == nullptr) return;  // of another driver, Nvidia's for one
    scan.holders.insert(pid);
    if (gpu->asleep) return;
  } else if (scan.any_asleep) {
    return;  // it may be of the one that sleeps
  }
  const auto read = proc_.ReadInto(std::to_string(pid) + "/fdinfo/" + descriptor, buffer_);
  if (!read) {
    if (read.error().code == ErrorCode::kPermission) NoteRefused(pid);
    return;
  }
  std::optional<DrmFdinfo> info = ParseDrmFdinfo(buffer_);
  if (info && gpu == nullptr) gpu = WithAddress(scan.gpus, info->pdev);
  if (gpu == nullptr) return;
  scan.holders.insert(pid);
  if (!info || info->driver != gpu->driver || !TellsUse(*info)) use_[gpu->folder].complete = false;
  if (!info || info->driver != gpu->driver) return;
  // The first process is the one with the lowest number: the client is its.
  Key key{gpu->folder, info->client_id};
  scan.seen.try_emplace(std::move(key), Seen{pid, gpu, std::move(*info)});
}

void DrmClients::NoteRefused(int32_t pid) {
  PidStat stat;
  const Result<std::string> text = proc_.Read(std::to_string(pid) + "/stat");
  if (text && ParsePidStat(*text, stat) && (stat.IsKernelThread() || stat.IsZombie())) return;
  refused_.insert(pid);
}

// A client that no process holds any more is gone; of a GPU that sleeps all stay.
void DrmClients::DropUnseen(const Scan& scan) {
  std::erase_if(clients_, [&](const auto& entry) {
    const Gpu* gpu = WithFolder(scan.gpus, entry.first.first);
    return gpu == nullptr || (!gpu->asleep && !scan.seen.contains(entry.first));
  });
}

void DrmClients::Account(const Key& key, const Seen& seen, BootTime now) {
  const auto [it, is_new] = clients_.try_emplace(key);
  Client& client = it->second;
  const double seconds = is_new ? 0 : ToSeconds(now - client.last);
  const bool same_holder = client.pid == seen.pid;
  client.last = now;
  client.pid = seen.pid;
  client.gpu = seen.gpu->name;
  client.memory_bytes = seen.info.OwnMemoryBytes();
  double& busy_seconds = busy_seconds_[{seen.pid, seen.gpu->folder}];
  Use& use = use_[key.first];
  for (const auto& [name, read] : seen.info.engines) {
    const double used = Used(client.engines[name], read, now, seconds, same_holder);
    busy_seconds += used;
    use.busy_seconds[name] += used / read.capacity;
  }
}

double DrmClients::Used(Engine& engine, const DrmEngine& read, BootTime now, double seconds,
                        bool same_holder) {
  double used = 0;
  if (read.busy_ns) {
    used = static_cast<double>(Growth(engine.busy_ns, read.busy_ns, now, same_holder)) * 1e-9;
  } else if (read.cycles && read.total_cycles) {
    const auto cycles = Growth(engine.cycles, read.cycles, now, same_holder);
    const auto total = Growth(engine.total_cycles, read.total_cycles, now, same_holder);
    if (total > 0) used = static_cast<double>(cycles) / static_cast<double>(total) * seconds;
  }
  return used <= kMostEngines * std::max(seconds, 1.0) ? used : 0;
}

uint64_t DrmClients::Growth(Counter& counter, std::optional<uint64_t> value, BootTime now,
                            bool same_holder) {
  const bool low = counter.value && *value < *counter.value;
  if (!low) {
    counter.lower_since.reset();
    const uint64_t before = std::exchange(counter.value, value).value_or(*value);
    return *value - before;
  }
  if (!counter.lower_since) counter.lower_since = now;
  if (!same_holder || now - *counter.lower_since >= kCatchUp) counter = {value, std::nullopt};
  return 0;
}

void DrmClients::UpdateUtilization(const Scan& scan) {
  for (const Gpu& gpu : scan.gpus) {
    Use& use = use_[gpu.folder];
    use.ratio.reset();
    const bool known = !gpu.asleep && use.complete && refused_.empty() && sees_others_;
    if (!known) {
      use.last.reset();
      continue;
    }
    const std::optional<BootTime> before = std::exchange(use.last, scan.now);
    const double seconds = before ? ToSeconds(scan.now - *before) : 0;
    if (seconds <= 0) continue;
    double busiest = 0;
    for (const auto& [name, busy] : use.busy_seconds) busiest = std::max(busiest, busy);
    use.ratio = std::min(busiest / seconds, 1.0);
  }
}

std::optional<double> DrmClients::Utilization(const std::string& folder) const {
  const auto it = use_.find(folder);
  return it == use_.end() ? std::nullopt : it->second.ratio;
}

std::vector<GpuClient> DrmClients::Rows() const {
  std::map<std::pair<int32_t, std::string>, GpuClient> rows;
  for (const auto& [key, client] : clients_) {
    const auto process = std::make_pair(client.pid, key.first);
    GpuClient& row = rows[process];
    row.pid = client.pid;
    row.gpu = client.gpu;
    row.memory_bytes += client.memory_bytes;
    const auto busy = busy_seconds_.find(process);
    row.busy_seconds = busy == busy_seconds_.end() ? 0 : busy->second;
  }
  std::vector<GpuClient> all;
  for (auto& [process, row] : rows) all.push_back(std::move(row));
  return all;
}

}  // namespace idlewatt
