#include "collector/process/service_classifier.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/text.h"
#include "collector/port_owner.h"

namespace idlewatt {
namespace {

constexpr size_t kCommBytes = 15;  // the kernel cuts program names there
constexpr int kMaxDepth = 256;
constexpr int32_t kInit = 1;
// Looking for the owner of a port goes through all descriptors of all processes.
constexpr std::chrono::seconds kOwnerLookInterval{30};
// A process is often seen between fork and exec, or before its manager has moved it to its cgroup.
constexpr int kLooks = 2;

bool IsWithin(std::string_view cgroup, std::string_view folder) {
  return cgroup.starts_with(folder) &&
         (cgroup.size() == folder.size() || cgroup[folder.size()] == '/');
}

bool HasUnit(std::string_view cgroup, std::string_view unit) {
  while (!cgroup.empty()) {
    if (NextField(cgroup, '/') == unit) return true;
  }
  return false;
}

// A path of the user's, outside of /proc.
std::optional<int32_t> ReadPidFile(const std::string& path) {
  const std::filesystem::path file = std::filesystem::path(path);
  const auto folder = FileRoot::Open(file.has_parent_path() ? file.parent_path().string() : ".");
  if (!folder) return std::nullopt;
  const Result<int64_t> pid = folder->ReadInt(file.filename().string());
  if (!pid || *pid <= 0 || *pid > INT32_MAX) return std::nullopt;
  return static_cast<int32_t>(*pid);
}

std::optional<std::string> EnvironValue(std::string_view environ_text, std::string_view name) {
  for (const std::string_view entry : Split(environ_text, '\0')) {
    if (entry.starts_with(name) && entry.substr(name.size(), 1) == "=") {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view ServiceKindName(ServiceKind kind) {
  constexpr std::array<std::string_view, 3> kNames{"supervised", "watched", "discovered"};
  return kNames[static_cast<size_t>(kind)];
}

ServiceClassifier::ServiceClassifier(const FileRoot& proc, std::vector<WatchedService> watched,
                                     int32_t self_pid)
    : proc_(proc),
      watched_(std::move(watched)),
      self_pid_(self_pid),
      watched_pids_(watched_.size()),
      taken_names_{"other"} {
  for (const WatchedService& watch : watched_) taken_names_.insert(watch.name);
}

std::vector<const ServiceKey*> ServiceClassifier::Classify(
    BootTime now, const std::vector<PidStat>& scan, const std::vector<SupervisedRoot>& roots) {
  roots_.clear();
  for (const SupervisedRoot& root : roots) {
    roots_[root.pid] = root.name;
    taken_names_.insert(root.name);
  }
  ForgetGone(scan);
  UpdateWatchedRoots(now);
  for (const PidStat& stat : scan) Look(stat, known_[stat.pid]);
  std::vector<const ServiceKey*> keys;
  keys.reserve(scan.size());
  for (const PidStat& stat : scan) keys.push_back(&Resolve(stat, 0));
  by_pid_.clear();
  return keys;
}

void ServiceClassifier::ForgetGone(const std::vector<PidStat>& scan) {
  by_pid_.clear();
  for (auto& [pid, known] : known_) known.seen = known.resolved = false;
  for (const PidStat& stat : scan) {
    by_pid_[stat.pid] = &stat;
    const auto it = known_.find(stat.pid);
    if (it != known_.end() && it->second.start == stat.start) it->second.seen = true;
  }
  std::erase_if(known_, [](const auto& item) { return !item.second.seen; });
}

void ServiceClassifier::UpdateWatchedRoots(BootTime now) {
  const bool look = now >= next_owner_look_;
  if (look) next_owner_look_ = now + kOwnerLookInterval;
  for (size_t i = 0; i < watched_.size(); ++i) {
    std::vector<int32_t>& pids = watched_pids_[i];
    if (!watched_[i].pid_file.empty()) {
      pids.clear();
      if (const auto pid = ReadPidFile(watched_[i].pid_file)) pids.push_back(*pid);
    } else if (watched_[i].port && look) {
      UpdatePortOwners(*watched_[i].port, pids);
    }
  }
}

void ServiceClassifier::UpdatePortOwners(uint16_t port, std::vector<int32_t>& pids) const {
  const auto owns = [&](int32_t pid) { return IsPortOwner(proc_, pid, port); };
  if (!pids.empty() && std::all_of(pids.begin(), pids.end(), owns)) return;
  pids = FindPortOwners(proc_, port);
  // systemd keeps the sockets of services that it starts on demand; it is not the service.
  std::erase_if(pids, [&](int32_t pid) {
    const auto stat = by_pid_.find(pid);
    return pid == kInit || (stat != by_pid_.end() && stat->second->comm == "systemd");
  });
}

void ServiceClassifier::Look(const PidStat& stat, Known& known) {
  const bool renamed = known.comm != stat.comm;  // by exec, as a rule
  if (known.start != stat.start || renamed) known.looks = 0;
  known.start = stat.start;
  if (renamed) known.comm = stat.comm;
  if (known.looks >= kLooks) return;
  ++known.looks;
  if (stat.IsKernelThread()) {
    known.key.name = DiscoveredName("kernel");
    return;
  }
  const std::string pid = std::to_string(stat.pid);
  if (const auto cgroup = proc_.Read(pid + "/cgroup")) known.cgroup = ParseCgroup(*cgroup);
  if (!watched_.empty()) {
    const auto exe = proc_.ReadLink(pid + "/exe");
    known.program = exe ? exe->substr(exe->rfind('/') + 1) : "";
  }
  if (stat.parent == self_pid_ && !roots_.contains(stat.pid)) {
    const auto environ_text = proc_.Read(pid + "/environ");
    known.marked = environ_text ? EnvironValue(*environ_text, "IDLEWATT_SERVICE") : std::nullopt;
  }
  if (known.member) return;
  known.key.name = DiscoveredName(CgroupGroup(known.cgroup).value_or(ToValidUtf8(stat.comm)));
}

std::string ServiceClassifier::DiscoveredName(std::string name) const {
  if (name.empty()) return "unnamed";
  return taken_names_.contains(name) ? name + " (discovered)" : name;
}

const ServiceKey& ServiceClassifier::Resolve(const PidStat& stat, int depth) {
  Known& known = known_[stat.pid];
  if (known.resolved) return known.key;
  known.resolved = true;
  if (known.member) return known.key;
  const ServiceKey* parents = nullptr;
  const auto parent = by_pid_.find(stat.parent);
  if (parent != by_pid_.end() && parent->first != kInit && depth < kMaxDepth) {
    parents = &Resolve(*parent->second, depth + 1);
  }
  std::optional<ServiceKey> key = Supervised(stat, known);
  if (!key && parents != nullptr && parents->kind == ServiceKind::kSupervised) key = *parents;
  if (!key) key = Watched(stat, known);
  if (!key && parents != nullptr && parents->kind == ServiceKind::kWatched) key = *parents;
  if (key) {
    known.member = true;
    known.key = std::move(*key);
  }
  return known.key;  // if nobody's member: discovered, as Look named it
}

std::optional<ServiceKey> ServiceClassifier::Supervised(const PidStat& stat,
                                                        const Known& known) const {
  auto root = roots_.find(stat.pid);
  if (root == roots_.end()) root = roots_.find(stat.session);
  if (root != roots_.end()) return ServiceKey{ServiceKind::kSupervised, root->second};
  if (known.marked) return ServiceKey{ServiceKind::kSupervised, *known.marked};
  return std::nullopt;
}

std::optional<ServiceKey> ServiceClassifier::Watched(const PidStat& stat,
                                                     const Known& known) const {
  for (size_t i = 0; i < watched_.size(); ++i) {
    if (Matches(i, stat, known)) return ServiceKey{ServiceKind::kWatched, watched_[i].name};
  }
  return std::nullopt;
}

bool ServiceClassifier::Matches(size_t index, const PidStat& stat, const Known& known) const {
  const WatchedService& watch = watched_[index];
  if (!watch.process.empty()) {
    // A name that the kernel cut is compared in full, with that of the executable.
    return known.program == watch.process ||
           (watch.process.size() <= kCommBytes && stat.comm == watch.process);
  }
  if (!watch.cgroup.empty()) return IsWithin(known.cgroup, watch.cgroup);
  if (!watch.unit.empty()) return HasUnit(known.cgroup, watch.unit);
  const std::vector<int32_t>& pids = watched_pids_[index];
  return std::find(pids.begin(), pids.end(), stat.pid) != pids.end();
}

}  // namespace idlewatt
