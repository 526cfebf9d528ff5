#include "collector/process/service_classifier.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/spare.h"
#include "base/text.h"
#include "collector/metrics.h"
#include "collector/port_owner.h"
#include "collector/proc_text.h"

namespace idlewatt {
namespace {

constexpr size_t kCommBytes = 15;  // the kernel cuts program names there
constexpr int kMaxDepth = 256;
constexpr int32_t kInit = 1;
constexpr std::string_view kManager = "systemd";  // takes in the orphans of its user
// Looking for the owner of a port goes through all descriptors of all processes.
constexpr std::chrono::seconds kOwnerLookInterval{30};
// A process is often seen between fork and exec, or before its manager has moved it to its cgroup.
constexpr int kLooks = 2;
// How long a process that has ended is remembered: what it used may be told late.
constexpr std::chrono::seconds kRememberEnded{60};

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
                                     int32_t self_pid, MeasuredServices& services)
    : proc_(proc),
      watched_(std::move(watched)),
      self_pid_(self_pid),
      services_(services),
      watched_pids_(watched_.size()),
      taken_names_{std::string(metrics::kOtherServices)} {
  for (const WatchedService& watch : watched_) taken_names_.insert(watch.name);
}

std::vector<ServiceEntry*> ServiceClassifier::Classify(BootTime now,
                                                       const std::vector<Process>& scan,
                                                       const std::vector<SupervisedRoot>& roots,
                                                       std::span<const EndedRoot> ended) {
  changed_ = false;
  const bool roots_changed = UpdateRoots(now, roots, ended);
  Merge(now, scan);
  const bool watches_changed = UpdateWatchedPids(now);
  if (roots_changed || watches_changed) {
    changed_ = true;
    for (Known& known : known_) known.resolved = false;
  }
  ResolveChanged();
  std::vector<ServiceEntry*> services;
  services.reserve(known_.size());
  for (const Known& known : known_) services.push_back(known.service);
  return services;
}

bool ServiceClassifier::UpdateRoots(BootTime now, const std::vector<SupervisedRoot>& roots,
                                    std::span<const EndedRoot> ended) {
  std::map<int32_t, Root> live;
  for (const SupervisedRoot& root : roots) {
    live[root.pid] = past_roots_[root.pid] = {root.name, now, root.cgroup};
    taken_names_.insert(root.name);
  }
  for (const EndedRoot& root : ended) past_roots_[root.pid] = {root.name, now, {}};
  std::erase_if(past_roots_,
                [&](const auto& item) { return now - item.second.seen > kRememberEnded; });
  const bool changed = live != roots_;
  roots_.swap(live);
  return changed;
}

// Takes over what is known of the processes that are still there.
void ServiceClassifier::Merge(BootTime now, const std::vector<Process>& scan) {
  next_.clear();
  next_gone_.clear();
  for (Known& gone : gone_) KeepGone(now, gone);
  auto before = known_.begin();
  for (const Process& process : scan) {
    for (; before != known_.end() && before->pid < process.pid; ++before) KeepGone(now, *before);
    const bool same =
        before != known_.end() && before->pid == process.pid && before->start == process.start;
    if (same) {
      next_.push_back(std::move(*before++));
    } else {
      next_.emplace_back();
      next_.back().pid = process.pid;
      next_.back().start = process.start;
    }
    Known& known = next_.back();
    const bool is_new = !same || known.parent != process.parent ||
                        known.session != process.session || known.comm != process.comm;
    known.parent = process.parent;
    known.session = process.session;
    known.seen = now;
    known.resolved = !is_new && known.looks >= kLooks;
    if (!known.resolved) Look(process, known);
  }
  for (; before != known_.end(); ++before) KeepGone(now, *before);
  known_.swap(next_);
  std::stable_sort(next_gone_.begin(), next_gone_.end(),
                   [](const Known& a, const Known& b) { return a.pid < b.pid; });
  gone_.swap(next_gone_);
  // The elements of the others are those of the tick before.
  next_.clear();
  next_gone_.clear();
  for (std::vector<Known>* list : {&known_, &next_, &gone_, &next_gone_}) ReleaseSpare(*list);
}

// Also after a long sleep of the machine, one that was there at the last tick is kept for one more.
void ServiceClassifier::KeepGone(BootTime now, Known& gone) {
  const bool just_ended = gone.resolved;
  if (just_ended) changed_ = true;
  gone.resolved = false;
  if (just_ended || now - gone.seen <= kRememberEnded) next_gone_.push_back(std::move(gone));
}

bool ServiceClassifier::UpdateWatchedPids(BootTime now) {
  const bool look = now >= next_owner_look_;
  if (look) next_owner_look_ = now + kOwnerLookInterval;
  std::vector<Watch> watches;
  for (size_t i = 0; i < watched_.size(); ++i) {
    std::vector<int32_t>& pids = watched_pids_[i];
    if (!watched_[i].pid_file.empty()) {
      pids.clear();
      if (const auto pid = ReadPidFile(watched_[i].pid_file)) pids.push_back(*pid);
    } else if (watched_[i].port && look) {
      UpdatePortOwners(*watched_[i].port, pids);
    }
    for (const int32_t pid : pids) watches.emplace_back(pid, i);
  }
  std::sort(watches.begin(), watches.end());
  const bool changed = watches != watches_;
  watches_.swap(watches);
  return changed;
}

void ServiceClassifier::UpdatePortOwners(uint16_t port, std::vector<int32_t>& pids) const {
  const auto owns = [&](int32_t pid) { return IsPortOwner(proc_, pid, port); };
  if (!pids.empty() && std::all_of(pids.begin(), pids.end(), owns)) return;
  pids = FindPortOwners(proc_, port);
  // systemd keeps the sockets of services that it starts on demand; it is not the service.
  std::erase_if(pids, [&](int32_t pid) {
    const Known* known = FindAlsoGone(pid, 0);
    return pid == kInit || (known != nullptr && known->comm == kManager);
  });
}

void ServiceClassifier::Look(const Process& process, Known& known) {
  changed_ = true;
  const bool renamed = known.comm != process.comm;  // by exec, as a rule
  if (renamed) {
    known.looks = 0;
    known.comm = process.comm;
  }
  if (known.looks >= kLooks) return;
  ++known.looks;
  if (process.is_kernel_thread) {
    known.discovered = DiscoveredName(metrics::kKernelService);
    return;
  }
  const std::string pid = std::to_string(process.pid);
  if (const auto cgroup = proc_.Read(pid + "/cgroup")) known.cgroup = ParseCgroup(*cgroup);
  if (!watched_.empty()) {
    const auto exe = proc_.ReadLink(pid + "/exe");
    known.match = MatchOf(known, exe ? exe->substr(exe->rfind('/') + 1) : "");
  }
  if (process.parent == self_pid_ && !roots_.contains(process.pid)) {
    const auto environ_text = proc_.Read(pid + "/environ");
    known.marked = environ_text ? EnvironValue(*environ_text, "IDLEWATT_SERVICE") : std::nullopt;
  }
  known.discovered = DiscoveredName(CgroupGroup(known.cgroup).value_or(ToValidUtf8(process.comm)));
}

std::string ServiceClassifier::DiscoveredName(std::string_view name) const {
  if (name.empty()) return "unnamed";
  std::string unique(name);
  if (taken_names_.contains(unique)) unique += " (discovered)";
  return unique;
}

std::optional<size_t> ServiceClassifier::MatchOf(const Known& known,
                                                 std::string_view program) const {
  const auto matches = [&](const WatchedService& watch) {
    if (!watch.process.empty()) {
      // A name that the kernel cut is compared in full, with that of the executable.
      return program == watch.process ||
             (watch.process.size() <= kCommBytes && known.comm == watch.process);
    }
    if (!watch.cgroup.empty()) return IsWithin(known.cgroup, watch.cgroup);
    return !watch.unit.empty() && HasUnit(known.cgroup, watch.unit);
  };
  const auto it = std::find_if(watched_.begin(), watched_.end(), matches);
  if (it == watched_.end()) return std::nullopt;
  return static_cast<size_t>(it - watched_.begin());
}

void ServiceClassifier::ResolveChanged() {
  bool others_follow = false;
  for (Known& known : known_) {
    if (known.resolved) continue;
    const bool was_stranger = known.service != nullptr && !known.member;
    Resolve(known, 0);
    others_follow = others_follow || (was_stranger && known.member);
  }
  if (!others_follow) return;
  // One that was there before has become a member: so have its descendants.
  for (Known& known : known_) known.resolved = false;
  for (Known& known : known_) Resolve(known, 0);
}

void ServiceClassifier::Resolve(Known& known, int depth) {
  if (known.resolved) return;
  known.resolved = true;
  if (known.member) return;
  const ServiceEntry* of_parent = nullptr;
  if (Known* parent = Find(known.parent);
      parent != nullptr && parent->pid != kInit && depth < kMaxDepth) {
    Resolve(*parent, depth + 1);
    of_parent = parent->service;
  }
  const auto inherits = [&](ServiceKind kind) {
    return of_parent != nullptr && of_parent->first.kind == kind;
  };
  ServiceEntry* service = Supervised(known);
  if (service == nullptr && inherits(ServiceKind::kSupervised)) {
    service = EntryOf(ServiceKind::kSupervised, of_parent->first.name);
  }
  if (service == nullptr) service = Watched(known);
  if (service == nullptr && inherits(ServiceKind::kWatched)) {
    service = EntryOf(ServiceKind::kWatched, of_parent->first.name);
  }
  known.member = service != nullptr;
  known.service = known.member ? service : EntryOf(ServiceKind::kDiscovered, known.discovered);
}

ServiceEntry* ServiceClassifier::Supervised(const Known& known) const {
  // Nobody gets into or out of it but by birth, or by the hand of an administrator.
  for (const auto& [pid, root] : roots_) {
    if (!root.cgroup.empty() && IsWithin(known.cgroup, root.cgroup)) {
      return EntryOf(ServiceKind::kSupervised, root.name);
    }
  }
  auto root = roots_.find(known.pid);
  if (root == roots_.end()) root = roots_.find(known.session);
  if (root != roots_.end()) return EntryOf(ServiceKind::kSupervised, root->second.name);
  if (known.marked) return EntryOf(ServiceKind::kSupervised, *known.marked);
  return nullptr;
}

ServiceEntry* ServiceClassifier::Watched(const Known& known) const {
  std::optional<size_t> match = known.match;
  const auto by_pid = std::lower_bound(watches_.begin(), watches_.end(), Watch(known.pid, 0));
  if (by_pid != watches_.end() && by_pid->first == known.pid) {
    match = std::min(match.value_or(by_pid->second), by_pid->second);
  }
  return match ? EntryOf(ServiceKind::kWatched, watched_[*match].name) : nullptr;
}

ServiceEntry* ServiceClassifier::EntryOf(ServiceKind kind, const std::string& name) const {
  const auto [it, added] = services_.try_emplace({kind, name});
  if (added) it->second.name = std::make_shared<const std::string>(name);
  return &*it;
}

ServiceClassifier::Known* ServiceClassifier::Find(int32_t pid) {
  const auto it = std::lower_bound(known_.begin(), known_.end(), pid,
                                   [](const Known& known, int32_t id) { return known.pid < id; });
  return it != known_.end() && it->pid == pid ? &*it : nullptr;
}

// With start 0 the last process of that number; else only the very same one.
const ServiceClassifier::Known* ServiceClassifier::FindAlsoGone(int32_t pid, uint64_t start) const {
  for (const std::vector<Known>* list : {&known_, &gone_}) {
    auto it = std::lower_bound(list->begin(), list->end(), pid,
                               [](const Known& known, int32_t id) { return known.pid < id; });
    for (; it != list->end() && it->pid == pid; ++it) {
      if (start == 0 || it->start == start) return &*it;
    }
  }
  return nullptr;
}

ServiceEntry* ServiceClassifier::OwnerOf(int32_t pid) const {
  const Known* known = FindAlsoGone(pid, 0);
  return known != nullptr ? known->service : nullptr;
}

ServiceEntry* ServiceClassifier::OwnerOf(const EndedUse& ended) const {
  for (const int32_t pid : {ended.pid, ended.session}) {
    const auto root = past_roots_.find(pid);
    if (root != past_roots_.end()) return EntryOf(ServiceKind::kSupervised, root->second.name);
  }
  if (ended.pid != 0) {
    const Known* itself = FindAlsoGone(ended.pid, ended.start);
    if (itself != nullptr) return itself->service;
  }
  // Whoever takes in orphans is not the one they worked for.
  const Known* ancestor = ended.ancestor > kInit && ended.ancestor != self_pid_
                              ? FindAlsoGone(ended.ancestor, ended.ancestor_start)
                              : nullptr;
  if (ancestor != nullptr && ancestor->comm != kManager) return ancestor->service;
  const Known* leader = ended.session > kInit ? FindAlsoGone(ended.session, 0) : nullptr;
  if (leader != nullptr) return leader->service;
  return ancestor != nullptr ? ancestor->service : nullptr;
}

}  // namespace idlewatt
